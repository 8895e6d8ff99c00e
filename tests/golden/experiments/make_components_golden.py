#!/usr/bin/env python3
"""Connected components of a small random volume, 26 neighbours, by scipy.ndimage.label.

usage: make_components_golden.py > components.json      (numpy, scipy; run with scipy 1.17)
"""
import json

import numpy
from scipy import ndimage

values = numpy.random.default_rng(7).integers(0, 30, (5, 7, 9))  # z, y, x
thresholds = [-0.5, 10.0, 20.0, 24.5, 26.0, 27.0, 28.0, 29.0]
print(json.dumps({
    "shape_xyz": [9, 7, 5],
    "values": values.ravel().tolist(),
    "thresholds": thresholds,
    "components": [int(ndimage.label(values > t, numpy.ones((3, 3, 3)))[1]) for t in thresholds],
    "voxels": [int((values > t).sum()) for t in thresholds],
}))
