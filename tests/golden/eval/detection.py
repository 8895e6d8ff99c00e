#!/usr/bin/env python3
"""Golden values for assignments and detection, by SciPy and NumPy.

    python3 tests/golden/eval/detection.py tests/golden/eval

writes assignment.tsv (case row column cost) and assignment_expected.tsv (least sums of
scipy.optimize.linear_sum_assignment), detection_points.tsv (participant_id session_id kind x y z
weight), detection_resamples.tsv (resample participant) and detection_expected.tsv (quantity value).

The FROC curve is made the slow way: at every threshold every scan is matched anew, by
linear_sum_assignment on a cost matrix in which a pair out of reach costs 1e6. Bootstrap intervals are
numpy.quantile over the written resamples of participants.
"""
import sys

import numpy as np
from scipy.optimize import linear_sum_assignment

OUT = sys.argv[1]
RADIUS = 3.0
RATES = [0.125, 0.25, 0.5, 1, 2, 4, 8]
rng = np.random.default_rng(1955)


def write(name, header, rows):
    with open(f"{OUT}/{name}", "w") as file:
        file.write("\t".join(header) + "\n")
        for row in rows:
            file.write("\t".join(repr(float(v)) if isinstance(v, (float, np.floating)) else str(v) for v in row) + "\n")


rows, sums = [], []
shapes = [(1, 1), (1, 5), (5, 1), (2, 2), (3, 3), (4, 7), (7, 4), (10, 10), (20, 20), (30, 12), (12, 30), (50, 50)]
for number, shape in enumerate(shapes + shapes):
    case = f"a{number:02d}_{shape[0]}x{shape[1]}"
    cost = np.round(rng.normal(0, 10, shape), 3) if number < len(shapes) else rng.integers(0, 4, shape).astype(float)
    left, right = linear_sum_assignment(cost)
    sums.append((case, "sum", float(cost[left, right].sum())))
    rows += [(case, i, j, float(cost[i, j])) for i in range(shape[0]) for j in range(shape[1])]
write("assignment.tsv", ["case", "row", "column", "cost"], rows)
write("assignment_expected.tsv", ["case", "quantity", "value"], sums)

scans = []
for p in range(25):
    for session in (["1", "2"] if p % 6 == 0 else ["1"]):
        truths = np.round(rng.uniform(0, 25, (rng.poisson(6) if p % 9 else 0, 3)), 2)
        found = truths[rng.random(len(truths)) < 0.8]
        detections = [t + rng.normal(0, 1.0, 3) for t in found] + list(rng.uniform(0, 25, (rng.poisson(5), 3)))
        detections += [t + rng.normal(0, 1.5, 3) for t in found[:2]]  # two detections of one EPVS
        detections = np.round(np.array(detections).reshape(-1, 3), 2)
        weights = np.round(np.clip(rng.normal(0.5, 0.2, len(detections)) + 0.2 * (np.arange(len(detections)) < len(found)), 0, 1), 2)
        scans.append((f"sub-{p:02d}", session, truths, detections, weights))
write("detection_points.tsv", ["participant_id", "session_id", "kind", "x", "y", "z", "weight"],
      [(p, s, kind, *map(float, point), w) for p, s, truths, detections, weights in scans for kind, points, ws in
       (("scan", [[0.0, 0.0, 0.0]], ["n/a"]), ("truth", truths, ["n/a"] * len(truths)), ("detection", detections, list(map(float, weights))))
       for point, w in zip(points, ws)])


def match(truths, detections):
    if len(truths) == 0 or len(detections) == 0:
        return []
    d = np.linalg.norm(detections[:, None] - truths[None], axis=2)
    left, right = linear_sum_assignment(np.where(d < RADIUS, d, 1e6))
    return [(i, j, d[i, j]) for i, j in zip(left, right) if d[i, j] < RADIUS]


people = sorted({s[0] for s in scans})
thresholds = sorted({float(w) for s in scans for w in s[4]}, reverse=True)
# per participant and threshold: hits, false positives
hits = np.zeros((len(people), len(thresholds)))
fps = np.zeros_like(hits)
n_scans, n_truths = np.zeros(len(people)), np.zeros(len(people))
for p, _, truths, detections, weights in scans:
    k = people.index(p)
    n_scans[k] += 1
    n_truths[k] += len(truths)
    for t, threshold in enumerate(thresholds):
        kept = detections[weights >= threshold]
        m = len(match(truths, kept))
        hits[k, t] += m
        fps[k, t] += len(kept) - m


def numbers(times):
    h, f, s, n = times @ hits, times @ fps, times @ n_scans, times @ n_truths
    at = max(i for i, t in enumerate(thresholds) if t >= 0.5)
    froc = [max([0.0] + [h[i] / n for i in range(len(h)) if f[i] <= r * s]) for r in RATES]
    return [h[at] / n, h[at] / (h[at] + f[at]), 2 * h[at] / (n + h[at] + f[at]), f[at] / s] + froc + [np.mean(froc)]


names = ["sensitivity", "precision", "f1", "fps_per_scan"] + [f"froc_{r:g}" for r in RATES] + ["froc_mean"]
everyone = numbers(np.ones(len(people)))
resamples = rng.integers(0, len(people), (199, len(people)))
boot = np.array([numbers(np.bincount(r, minlength=len(people)).astype(float)) for r in resamples])
low, high = np.quantile(boot, [0.025, 0.975], axis=0)
expected = []
for i, name in enumerate(names):
    expected += [(name, float(everyone[i])), (name + "_low", float(low[i])), (name + "_high", float(high[i]))]
total = sum(d for s in scans for _, _, d in match(s[2], s[3]))
expected += [("sum_of_distances", float(total)), ("hits_all", float(hits[:, -1].sum())), ("thresholds", float(len(thresholds)))]
for t in range(0, len(thresholds), 5):
    expected += [(f"curve_{t}_threshold", thresholds[t]), (f"curve_{t}_hits", float(hits[:, t].sum())), (f"curve_{t}_fps", float(fps[:, t].sum()))]
write("detection_expected.tsv", ["quantity", "value"], expected)
write("detection_resamples.tsv", ["resample", "participant"], [(i, int(p)) for i, r in enumerate(resamples) for p in r])
