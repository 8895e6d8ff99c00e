#!/usr/bin/env python3
"""Smooth ROIs computed with scipy.ndimage, independent of epvs.

    python3 make_smooth_roi_goldens.py OUT_DIR

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


if __name__ == "__main__":
    main(sys.argv[1])
