#!/usr/bin/env python3
"""Characteristics of an invented cohort by NumPy, independent of epvs: python3 make_characteristics_golden.py

Writes characteristics/{scans,participants,expected}.tsv beside this file. Sagittal, coronal and axial
stacks; two sessions for some people; facts of sidecars for some scans; gaps everywhere.
"""
import json
import os

import numpy as np

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "characteristics")
rng = np.random.default_rng(12)
people = [f"sub-{i:02d}" for i in range(1, 18)]
age = {p: None if i == 4 else int(rng.integers(35, 90)) for i, p in enumerate(people)}
sex = {p: "n/a" if i == 7 else str(rng.choice(["F", "M"])) for i, p in enumerate(people)}
scanner = {p: str(rng.choice(["a-1.5t", "b-3t"])) for p in people}
field_table = {p: "1.5" if scanner[p] == "a-1.5t" else "3" for p in people}

scans = []  # participant, session, spacing x y z, slice axis, facts
for i, p in enumerate(people):
    for session in ("ses-1", "ses-2") if i % 5 == 0 else ("n/a",):
        flat = np.round(rng.uniform(0.39, 0.68, 2), 3)
        thick = round(float(rng.uniform(3.3, 7.0)), 3)
        axis = int(rng.integers(0, 3))
        spacing = np.insert(flat, axis, thick)
        facts = {}
        if i % 2 == 0:
            facts = {"SliceThickness": round(float(rng.uniform(2.5, 6)), 2),
                     "SpacingBetweenSlices": round(float(rng.uniform(3, 6.6)), 2),
                     "MagneticFieldStrength": float(rng.choice([1, 1.5, 3])),
                     "Manufacturer": str(rng.choice(["Siemens", "Philips"]))}
        scans.append((p, session, spacing, axis, facts))

with open(os.path.join(here, "participants.tsv"), "w") as file:
    file.write("participant_id\tage\tsex\tscanner\tfield_strength_t\n")
    for p in people + ["sub-99"]:  # somebody who is not in the cohort
        file.write("\t".join([p, str(age.get(p, 90) if age.get(p, 90) is not None else "n/a"),
                              sex.get(p, "F"), scanner.get(p, "b-3t"), field_table.get(p, "3")]) + "\n")
with open(os.path.join(here, "scans.tsv"), "w") as file:
    file.write("participant_id\tsession_id\tx\ty\tz\tfacts\n")
    for p, session, spacing, _, facts in scans:
        file.write("\t".join([p, session, *(repr(float(v)) for v in spacing),
                              json.dumps(facts)]) + "\n")

lines = ["characteristic\tlevel\tn\tcount\tminimum\tmaximum\tmean\tsd"]


def numbers(name, values):
    v = np.array([x for x in values if x is not None], float)
    sd = np.std(v, ddof=1)
    lines.append(f"{name}\tn/a\t{len(v)}\tn/a\t{v.min()!r}\t{v.max()!r}\t{v.mean()!r}\t{sd!r}")


def levels(name, values):
    known = [v for v in values if v not in (None, "n/a")]
    for level, count in zip(*np.unique(known, return_counts=True)):
        lines.append(f"{name}\t{level}\t{len(known)}\t{count}\tn/a\tn/a\tn/a\tn/a")


numbers("age", age.values())
levels("sex", sex.values())
levels("scanner", scanner.values())
numbers("in_plane_voxel_size", [np.delete(s, a).mean() for _, _, s, a, _ in scans])
numbers("slice_voxel_size", [s[a] for _, _, s, a, _ in scans])
numbers("slice_thickness", [f.get("SliceThickness") for *_, f in scans])
numbers("slice_spacing", [f.get("SpacingBetweenSlices") for *_, f in scans])
levels("field_strength", [f"{f.get('MagneticFieldStrength', float(field_table[p])):g}"
                          for p, *_, f in scans])
levels("manufacturer", [f.get("Manufacturer") for *_, f in scans])
with open(os.path.join(here, "expected.tsv"), "w") as file:
    file.write("\n".join(lines) + "\n")
