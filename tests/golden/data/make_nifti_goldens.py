#!/usr/bin/env python3
"""Small images of every kind made with nibabel, and what nibabel reads from them.

    python3 make_nifti_goldens.py OUT_DIR           -> images and expected.tsv
    python3 make_nifti_goldens.py --real DATA_DIR   -> real_scans.tsv: geometry and sums of real scans

Needs nibabel (5.0 was used) and numpy.
"""
import os
import sys

import nibabel as nib
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
OBLIQUE = np.array([[-0.49, 0.05, 0.30, 90.1], [0.06, 0.48, -0.50, -101.3],
                    [0.03, 0.10, 3.95, -44.7], [0, 0, 0, 1]])


def rigid_affine(spacing=(0.5, 0.6, 4.0), angles=(0.1, -0.2, 0.3), shift=(80.5, -100.25, -30.125)):
    a, b, c = angles
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rx @ ry @ rz @ np.diag([-spacing[0], spacing[1], spacing[2]])
    affine[:3, 3] = shift
    return affine


def save(image, out, name, sform=1, qform=1):
    if hasattr(image, "set_sform"):
        image.set_sform(image.affine, sform)
        image.set_qform(image.affine, qform)
    nib.save(image, os.path.join(out, name))


def make_images(out):
    rng = np.random.default_rng(7)
    shape = (5, 4, 3)
    affine = rigid_affine()
    for dtype in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"):
        info = np.iinfo(dtype)
        low, high = max(info.min, -10**6), min(info.max, 10**6)
        data = rng.integers(low, high, shape, dtype=np.int64).astype(dtype)
        save(nib.Nifti1Image(data, affine, dtype=dtype), out, f"n1_{dtype}.nii")
    for dtype in ("f4", "f8"):
        save(nib.Nifti1Image(rng.normal(size=shape).astype(dtype), affine), out, f"n1_{dtype}.nii")
    for dtype in (">i2", ">f8"):
        header = nib.Nifti1Header(endianness=">")
        header.set_data_dtype(dtype)
        data = (1000 * rng.normal(size=shape)).astype(dtype)
        save(nib.Nifti1Image(data, affine, header), out, f"n1_big_{dtype[1:]}.nii")
    floats = rng.normal(size=shape).astype("f4")
    save(nib.Nifti1Image(floats, affine), out, "n1_gz.nii.gz")
    save(nib.Nifti2Image(floats, affine), out, "n2_gz.nii.gz")
    header = nib.Nifti2Header(endianness=">")
    header.set_data_dtype(">i2")
    save(nib.Nifti2Image((100 * floats).astype(">i2"), affine, header), out, "n2_big_i2.nii")
    save(nib.Nifti1Pair(floats, affine), out, "pair.hdr")
    scaled = nib.Nifti1Image(rng.integers(0, 4000, shape).astype("i2"), affine)
    scaled.header.set_slope_inter(0.25, -3.5)
    # Stored values are what they are: nibabel must not rescale them.
    save(scaled, out, "n1_scaled.nii")
    with open(os.path.join(out, "n1_scaled.nii"), "r+b") as file:
        file.seek(112)
        file.write(np.array([0.25, -3.5], "<f4").tobytes())
    save(nib.Nifti1Image(floats, affine), out, "qform_only.nii", sform=0, qform=2)
    save(nib.Nifti1Image(floats, OBLIQUE), out, "sform_only_sheared.nii", sform=1, qform=0)
    both = nib.Nifti1Image(floats, affine)
    both.set_sform(rigid_affine(angles=(0, 0, 0)), 2)
    both.set_qform(affine, 1)
    nib.save(both, os.path.join(out, "forms_disagree.nii"))
    for order in ("PIR", "LSA", "IPL"):
        codes = nib.orientations.axcodes2ornt(order)
        start = nib.orientations.io_orientation(np.diag([2.0, 3.0, 4.0, 1.0]))
        image = nib.Nifti1Image(floats, np.diag([2.0, 3.0, 4.0, 1.0]))
        image = image.as_reoriented(nib.orientations.ornt_transform(start, codes))
        save(image, out, f"order_{order}.nii")
    save(nib.Nifti1Image(floats[..., None, None], affine), out, "trailing_ones.nii")
    for name, dtype in (("u1", "u1"), ("i2", "i2"), ("i4", "i4"), ("f4", "f4")):
        data = (50 + 20 * floats).astype(dtype)
        ending = "mgz" if dtype == "i4" else "mgh"
        nib.save(nib.MGHImage(data, affine.astype("f4")), os.path.join(out, f"mgh_{name}.{ending}"))
    # What must be refused.
    save(nib.Nifti1Image(rng.normal(size=(3, 3, 3, 2)).astype("f4"), affine), out, "bad_4d.nii")
    save(nib.Nifti1Image((1 + 1j) * floats.astype("c8"), affine), out, "bad_complex.nii")
    rgb = np.zeros(shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    save(nib.Nifti1Image(rgb, affine), out, "bad_rgb.nii")
    nib.save(nib.AnalyzeImage(floats, np.diag([-2.0, 2, 2, 1])), os.path.join(out, "bad_analyze.hdr"))
    nib.save(nib.MGHImage(rng.normal(size=(3, 3, 3, 2)).astype("f4"), affine.astype("f4")),
             os.path.join(out, "bad_frames.mgh"))
    lines = ["name\tshape\taffine\tvalues"]
    for name in sorted(os.listdir(out)):
        if name.startswith("bad_") or name.endswith((".img", ".tsv")):
            continue
        image = nib.load(os.path.join(out, name))
        data = image.get_fdata(dtype=np.float64)
        lines.append("\t".join([name, text(data.shape[:3]), text(image.affine.ravel()),
                                text(data.ravel(order="F"))]))
    with open(os.path.join(out, "expected.tsv"), "w") as file:
        file.write("\n".join(lines) + "\n")


def text(values):
    return ",".join(repr(value.item() if hasattr(value, "item") else value) for value in values)


def describe_real(folder):
    lines = ["name\tshape\taffine\tsum\tsum_of_squares\tprobes"]
    for parent, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = os.path.join(parent, name)
            if not name.endswith((".nii.gz", ".mgz")) or name == "CIT168.nii.gz":
                continue
            image = nib.load(path)
            data = image.get_fdata(dtype=np.float64)
            data = data.reshape(data.shape[:3])
            probes = [data[tuple(int(f * n) for f, n in zip(fractions, data.shape))]
                      for fractions in ((.5, .5, .5), (.3, .6, .4), (.7, .35, .55), (.45, .3, .6))]
            lines.append("\t".join([os.path.relpath(path, folder), text(data.shape),
                                    text(image.affine.ravel()), repr(float(data.sum())),
                                    repr(float((data**2).sum())), text(probes)]))
    with open(os.path.join(HERE, "real_scans.tsv"), "w") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--real":
        describe_real(sys.argv[2])
    else:
        os.makedirs(sys.argv[1], exist_ok=True)
        make_images(sys.argv[1])
