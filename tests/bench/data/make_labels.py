#!/usr/bin/env python3
"""A label map in the space of a T1w scan, from the atlases and a transform that epvs prepare has found.

make_labels.py T1W T2W_TO_TEMPLATE_xfm.txt OUT.nii.gz ATLAS...      (needs numpy and nibabel)

The T1w scan is taken to lie in the world of the T2w scan, as its headers say. The first atlas that has a label wins.
"""
import sys

import nibabel as nib
import numpy as np

t1w, transform, out, *atlases = sys.argv[1:]
text = dict(line.split(":", 1) for line in open(transform) if ":" in line)
numbers = [float(v) for v in text["Parameters"].split()]
centre = np.array([float(v) for v in text["FixedParameters"].split()][:3])
matrix, shift = np.reshape(numbers[:9], (3, 3)), np.array(numbers[9:12])
lps = np.eye(4)
lps[:3, :3] = matrix
lps[:3, 3] = shift + centre - matrix @ centre
flip = np.diag([-1.0, -1.0, 1.0, 1.0])
to_template = flip @ lps @ flip

scan = nib.load(t1w)
grid = np.indices(scan.shape[:3]).reshape(3, -1)
world = to_template @ scan.affine @ np.vstack([grid, np.ones(grid.shape[1])])
labels = np.zeros(grid.shape[1], np.int16)
for path in atlases:
    atlas = nib.load(path)
    values = np.squeeze(np.asanyarray(atlas.dataobj)).astype(np.int16)
    voxel = np.rint(np.linalg.inv(atlas.affine) @ world)[:3].astype(int)
    inside = np.all((voxel >= 0) & (voxel < np.array(values.shape)[:, None]), axis=0)
    found = np.zeros_like(labels)
    found[inside] = values[tuple(voxel[:, inside])]
    labels = np.where(labels == 0, found, labels)
nib.save(nib.Nifti1Image(labels.reshape(scan.shape[:3]), scan.affine), out)
