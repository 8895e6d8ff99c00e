#!/usr/bin/env python3
"""Linear transforms in the files of FSL and ITK, computed with NumPy, independent of epvs.

    python3 make_transform_goldens.py OUT_DIR

Each case is one affine W of world points (RAS+ mm) from a "from" image to a "to" image, written in every
format, and cases.json: both grids and points before and after W. Needs numpy.

Conventions:
  FLIRT (.mat, 4x4 text): "-in A -ref B -omat M": M takes FSL millimetres of A to those of B. FSL
      millimetres are voxel indices times voxel sizes; where the affine of an image has a positive
      determinant (neurological storage) x runs backwards: (n_x - 1 - i) * size_x.
  ITK text: y = A (x - c) + t + c in LPS, 9 numbers of A by rows, then t; FixedParameters hold the centre c.
"""
import json
import sys
from pathlib import Path

import numpy as np


def rotation(axis, angle):
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def image(shape, spacing, axes, centre):
    """Direction cosines in columns `axes`; `centre`: world of the middle of the grid."""
    affine = np.eye(4)
    affine[:3, :3] = axes @ np.diag(spacing)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return shape, spacing, affine


def fsl_mm(img, world):
    shape, spacing, affine = img
    index = np.linalg.solve(affine, np.append(world, 1))[:3]
    if np.linalg.det(affine[:3, :3]) > 0:
        index[0] = shape[0] - 1 - index[0]
    return index * spacing


def affine_through(points_from, points_to):
    """The 4x4 that takes four points to four points."""
    a = np.column_stack([np.append(p, 1) for p in points_from])
    b = np.column_stack([np.append(p, 1) for p in points_to])
    return b @ np.linalg.inv(a)


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    las = np.diag([-1.0, 1, 1])
    conformed = np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # FreeSurfer's LIA
    oblique = rotation([1, 2, 3], 0.3)
    images = {
        "las": image((11, 13, 7), (0.9, 0.8, 3.0), las, [3.0, -5, 12]),
        "ras": image((12, 10, 9), (1.2, 1.1, 2.0), np.eye(3), [-7.0, 2, 5]),
        "oblique_ras": image((14, 9, 8), (1.0, 1.5, 2.5), oblique, [4.0, 4, -20]),
        "oblique_las": image((10, 12, 8), (0.7, 0.9, 4.0), oblique @ las, [-4.0, 9, 2]),
        "conformed": image((16, 16, 16), (1.0, 1.0, 1.0), conformed, [1.0, -18, 20]),
    }
    cases = []
    rng = np.random.default_rng(7)
    for number, (a, b) in enumerate([("las", "ras"), ("ras", "las"), ("las", "las"), ("ras", "oblique_ras"),
                                     ("oblique_las", "conformed"), ("conformed", "oblique_ras")]):
        world = np.eye(4)
        world[:3, :3] = rotation(rng.normal(size=3), 0.4) @ np.diag(rng.uniform(0.85, 1.2, 3))
        world[0, 1] += 0.05
        world[:3, 3] = rng.uniform(-20, 20, 3)
        apply = lambda p, w=world: w[:3, :3] @ p + w[:3, 3]
        source, target = images[a], images[b]
        corners = [np.zeros(3), np.array([50.0, 0, 0]), np.array([0, 50.0, 0]), np.array([0, 0, 50.0])]
        flirt = affine_through([fsl_mm(source, p) for p in corners], [fsl_mm(target, apply(p)) for p in corners])
        name = f"case{number}"
        (out / f"{name}_flirt.mat").write_text("".join("  ".join(f"{x:.17g}" for x in row) + "  \n" for row in flirt))
        flip = np.diag([-1.0, -1, 1])
        centre = rng.uniform(-30, 30, 3)
        lps = flip @ world[:3, :3] @ flip
        shift = flip @ world[:3, 3]
        translation = shift + lps @ centre - centre
        parameters = np.append(lps.ravel(), translation)
        (out / f"{name}_itk.txt").write_text(
            "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
            f"Parameters: {' '.join(f'{x:.17g}' for x in parameters)}\n"
            f"FixedParameters: {' '.join(f'{x:.17g}' for x in centre)}\n")
        points = rng.uniform(-60, 60, (5, 3))
        cases.append({"name": name, "from": {"shape": source[0], "affine": source[2].tolist()},
                      "to": {"shape": target[0], "affine": target[2].tolist()},
                      "points": points.tolist(), "images": [apply(p).tolist() for p in points]})
    (out / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
