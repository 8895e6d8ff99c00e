#!/usr/bin/env python3
"""Writes the table of the bootstrap benchmark: participants x regions, a reference and scorers.

make_table.py OUT.tsv [participants] [scorers]
"""
import random
import sys

out = sys.argv[1]
participants = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
scorers = int(sys.argv[3]) if len(sys.argv) > 3 else 4
random.seed(5)
with open(out, "w") as table:
    names = [f"scorer{i + 1}" for i in range(scorers)]
    table.write("\t".join(["participant_id", "region", "rater1"] + names) + "\n")
    for i in range(participants):
        for region in ("bg", "cso", "hippocampi"):
            mean = random.gammavariate(1.5, 4)
            cells = [str(int(random.gammavariate(8, (mean + 0.1) / 8)))]
            cells += [f"{mean + random.gauss(0, 2):.4f}" for _ in names]
            table.write("\t".join([f"sub-{i:05d}", region] + cells) + "\n")
