#!/usr/bin/env python3
"""Voxel counts and volumes of regions in real label maps by NumPy: make_label_volumes.py DATA_DIR

Writes real_label_volumes.tsv beside this file; the label maps stay where they are. Needs numpy and nibabel.
"""
import os
import sys

import nibabel as nib
import numpy as np

REGIONS = {
    "bg": [11, 50, 12, 51, 13, 52, 26, 58],
    "hippocampi": [17, 53],
    "cso": [2, 41, *range(3001, 3036), *range(4001, 4036), 5001, 5002],
}
MAPS = ["freesurfer_subject/aparc.a2009s+aseg.mgz", "label_maps/training_seg_01.nii.gz",
        "label_maps/training_seg_02.nii.gz"]

lines = ["labels\tregion\tvoxels\tvolume_mm3"]
for name in MAPS:
    image = nib.load(os.path.join(sys.argv[1], name))
    numbers = np.asanyarray(image.dataobj)
    voxel = abs(np.linalg.det(image.affine[:3, :3]))
    for region, labels in REGIONS.items():
        count = int(np.isin(numbers, labels).sum())
        lines.append(f"{name}\t{region}\t{count}\t{count * voxel!r}")
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "real_label_volumes.tsv"), "w") as file:
    file.write("\n".join(lines) + "\n")
