#!/usr/bin/env python3
"""Smooth ROIs computed with scipy.ndimage, independent of epvs.

    python3 make_smooth_roi_goldens.py OUT_DIR
    python3 make_smooth_roi_goldens.py --real DATA_DIR   -> real_smooth_roi.tsv (the scans stay there)

Per case: scan (int16), hard mask (uint8), soft mask and ROI of the crop (float32), as .nii.gz, and one
line of cases.tsv. Needs numpy, scipy (1.10 was used) and nibabel.
"""
import os
import sys

import nibabel as nib
import numpy as np
from scipy import ndimage

CASES = [  # seed, shape (x, y, z), crop, dilations, sigma, normalisation, where the region lies
    (1, (22, 20, 18), (16, 14, 12), 4, 2.0, "minmax", "middle"),
    (2, (22, 20, 18), (16, 14, 12), 4, 2.0, "max", "middle"),
    (3, (20, 22, 16), (15, 11, 9), 2, 1.3, "minmax", "corner"),
    (4, (20, 16, 22), (26, 14, 10), 1, 0.7, "max", "corner"),
    (5, (18, 18, 18), (12, 12, 12), 0, 1.0, "minmax", "two"),
]


def smooth_roi(scan, hard, crop, dilations, sigma, normalisation):
    cross = ndimage.generate_binary_structure(3, 1)
    dilated = ndimage.binary_dilation(hard, cross, iterations=dilations) if dilations else hard > 0
    soft = ndimage.gaussian_filter(dilated.astype(np.float64), sigma, mode="constant")
    # round(centre of mass), halves up, in whole numbers
    where = np.argwhere(hard)
    centre = [(2 * int(s) + len(where)) // (2 * len(where)) for s in where.sum(axis=0)]
    origin = [c - size // 2 for c, size in zip(centre, crop)]

    def cut(volume):
        out = np.zeros(crop, volume.dtype)
        source = tuple(slice(max(0, o), max(0, min(n, o + s)))
                       for o, s, n in zip(origin, crop, volume.shape))
        target = tuple(slice(s.start - o, s.stop - o) for s, o in zip(source, origin))
        out[target] = volume[source]
        return out

    if normalisation == "max":
        product = cut(scan * soft)
        offset, scale = 0.0, 1 / product.max()
        roi = product * scale
    else:
        values = scan[dilated]
        offset, scale = values.min(), 1 / (values.max() - values.min())
        roi = cut(soft * np.clip((scan - offset) * scale, 0, 1))
    return roi, cut(soft), origin, offset, scale


def region(rng, shape, where):
    hard = np.zeros(shape, np.uint8)
    if where == "corner":
        hard[:4, :3, 2:5] = 1
        hard[shape[0] - 1, 5, 6] = 1
    else:
        x, y, z = (n // 2 for n in shape)
        hard[x - 2:x + 3, y - 1:y + 2, z - 2:z + 1] = rng.random((5, 3, 3)) < 0.8
        if where == "two":
            hard[1:3, 2:4, 3:5] = 1
    return hard


def main(out):
    os.makedirs(out, exist_ok=True)
    lines = ["case\tcrop\tdilation_voxels\tsigma_voxels\tnormalisation\torigin\toffset\tscale"]
    for seed, shape, crop, dilations, sigma, normalisation, where in CASES:
        rng = np.random.default_rng(seed)
        scan = rng.integers(20, 260, shape).astype(np.float64)
        hard = region(rng, shape, where)
        roi, soft, origin, offset, scale = smooth_roi(scan, hard, crop, dilations, sigma,
                                                      normalisation)
        for name, volume in (("scan", scan.astype(np.int16)), ("hard", hard),
                             ("roi", roi.astype(np.float32)), ("soft", soft.astype(np.float32))):
            nib.save(nib.Nifti1Image(volume, np.eye(4)), os.path.join(out, f"{seed}_{name}.nii.gz"))
        lines.append("\t".join([str(seed), ",".join(map(str, crop)), str(dilations), repr(sigma),
                                normalisation, ",".join(map(str, origin)), repr(float(offset)),
                                repr(float(scale))]))
    with open(os.path.join(out, "cases.tsv"), "w") as file:
        file.write("\n".join(lines) + "\n")


BG = [11, 50, 12, 51, 13, 52, 26, 58]
REAL = [  # scan, label map (its own numbers serve as a scan where there is none), region, labels, how
    ("freesurfer_subject/norm.mgz", "freesurfer_subject/aparc.a2009s+aseg.mgz", "bg", BG, "max"),
    ("freesurfer_subject/norm.mgz", "freesurfer_subject/aparc.a2009s+aseg.mgz", "hippocampi",
     [17, 53], "minmax"),
    ("label_maps/training_seg_01.nii.gz", "label_maps/training_seg_01.nii.gz", "bg", BG, "minmax"),
]


def real(folder):
    lines = ["scan\tlabels\tregion\tnormalisation\tvoxels\torigin\tscale\tsum\tsum_of_squares\tprobes"]
    for scan_name, label_name, name, labels, normalisation in REAL:
        scan = nib.load(os.path.join(folder, scan_name)).get_fdata()
        numbers = nib.load(os.path.join(folder, label_name)).get_fdata()
        hard = np.isin(numbers, labels).astype(np.uint8)
        roi, _, origin, _, scale = smooth_roi(scan, hard, (168, 128, 84), 4, 2.0, normalisation)
        where = np.argwhere(roi > 0.3)[::4001]
        probes = ";".join(f"{x},{y},{z},{float(roi[x, y, z])!r}" for x, y, z in where)
        lines.append("\t".join([scan_name, label_name, name, normalisation, str(int(hard.sum())),
                                ",".join(map(str, origin)), repr(float(scale)),
                                repr(float(roi.sum())), repr(float((roi**2).sum())), probes]))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "real_smooth_roi.tsv"),
              "w") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--real":
        real(sys.argv[2])
    else:
        main(sys.argv[1])
