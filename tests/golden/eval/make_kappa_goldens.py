#!/usr/bin/python3
"""Writes kappa_expected.tsv: weighted kappa of boot_sample.tsv by statsmodels (Fleiss, Cohen & Everitt).

python3 make_kappa_goldens.py     (in this folder, after make_boot_goldens.R; statsmodels >= 0.13)
"""
import csv

import numpy as np
from scipy.stats import norm
from statsmodels.stats.inter_rater import cohens_kappa

with open("boot_sample.tsv") as table:
    sample = list(csv.DictReader(table, delimiter="\t"))
category = lambda name: np.searchsorted([0, 5, 10], [float(row[name]) for row in sample])
cells = np.zeros((4, 4))
np.add.at(cells, (category("x"), category("y")), 1)
with open("kappa_expected.tsv", "w") as out:
    out.write("statistic\tvalue\n")
    for name, weights in (("kappa", None), ("kappa_linear", "linear"), ("kappa_quadratic", "quadratic")):
        k = cohens_kappa(cells, wt=weights)
        half = norm.ppf(0.975) * np.sqrt(k.var_kappa)
        out.write(f"{name}.estimate\t{k.kappa!r}\n")
        out.write(f"{name}.ci_low\t{max(-1.0, k.kappa - half)!r}\n")
        out.write(f"{name}.ci_high\t{min(1.0, k.kappa + half)!r}\n")
