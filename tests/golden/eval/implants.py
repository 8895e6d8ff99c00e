#!/usr/bin/env python3
"""Golden values for implants, by SciPy.

    python3 tests/golden/eval/implants.py tests/golden/eval

writes implants.tsv (case participant series added score), implants_expected.tsv (case quantity value)
and implants_resamples.tsv (case, participants drawn, and the metrics of the draw).

Slopes and intercepts by scipy.stats.linregress in every series, averaged over the series of a
participant and over participants, their interval by scipy.stats.t; the correlation by
scipy.stats.pearsonr of k and score after each series' means are taken off.
"""
import sys

import numpy as np
from scipy import stats

OUT = sys.argv[1]
rng = np.random.default_rng(310446)


def metrics(series):
    """series: list of (participant, k, score); participants may be there twice under other names."""
    own = {}
    kk, ss = [], []
    for person, k, score in series:
        line = stats.linregress(k[1:], score[1:] - score[0])
        own.setdefault(person, []).append((line.slope, line.intercept))
        kk.append(k - k.mean())
        ss.append(score - score.mean())
    means = np.array([np.mean(lines, axis=0) for lines in own.values()])
    pearson = stats.pearsonr(np.concatenate(kk), np.concatenate(ss))[0]
    return means, pearson


cases = {}
for name, people, twice, numbers, slope, noise in (
    ("four_people", 4, False, [0, 5, 10, 15], 0.8, 0.7),
    ("unequal_numbers", 12, False, None, 1.1, 1.5),
    ("several_scans", 9, True, [0, 1, 3, 9], 0.4, 2.0),
    ("falling", 7, False, [0, 2, 4], -0.5, 0.3),
):
    cases[name] = []
    for p in range(people):
        for s in range(2 if twice and p % 2 else 1):
            k = np.array(numbers if numbers else [0, *np.sort(rng.choice(np.arange(1, 20), 3, replace=False))], float)
            own = slope + rng.normal(0, 0.2)
            score = np.round(rng.normal(8, 4) + own * k + (k > 0) * 0.5 + rng.normal(0, noise, len(k)), 3)
            cases[name].append((p, k, score))

data, expected, draws = [], [], []
for name, series in cases.items():
    for number, (p, k, score) in enumerate(series):
        data += [(name, p, number, a, b) for a, b in zip(k, score)]
    means, pearson = metrics(series)
    n = len(means)
    for i, metric in enumerate(("slope", "intercept")):
        low, high = stats.t.interval(0.95, n - 1, means[:, i].mean(), stats.sem(means[:, i]))
        expected += [(name, metric, means[:, i].mean()), (name, metric + "_low", low), (name, metric + "_high", high)]
    degrees = sum(len(k) - 1 for _, k, _ in series) - 1
    half = stats.norm.ppf(0.975) / np.sqrt(degrees - 1)
    expected += [(name, "pearson", pearson), (name, "pearson_low", np.tanh(np.arctanh(pearson) - half)),
                 (name, "pearson_high", np.tanh(np.arctanh(pearson) + half))]
    for _ in range(20):
        drawn = rng.integers(0, n, n)
        again = [((i, p), k, score) for i, p in enumerate(drawn) for q, k, score in series if q == p]
        means, pearson = metrics(again)
        draws.append((name, " ".join(map(str, drawn)), means[:, 0].mean(), means[:, 1].mean(), pearson))


def write(name, header, rows):
    with open(f"{OUT}/{name}", "w") as file:
        file.write("\t".join(header) + "\n")
        for row in rows:
            file.write("\t".join(repr(float(v)) if isinstance(v, (float, np.floating)) else str(v) for v in row) + "\n")


write("implants.tsv", ["case", "participant", "series", "added", "score"], data)
write("implants_expected.tsv", ["case", "quantity", "value"], expected)
write("implants_resamples.tsv", ["case", "drawn", "slope", "intercept", "pearson"], draws)
