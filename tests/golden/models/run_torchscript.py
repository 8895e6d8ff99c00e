#!/usr/bin/env python3
"""Runs exported networks in PyTorch on the input of make_network_goldens.py.
usage: run_torchscript.py MODEL.pt...   prints one JSON line per model: its scores, means of the
attention maps where it has them, and the architecture that its description names.
"""
import json
import sys

import numpy as np
import torch

for path in sys.argv[1:]:
    extra = {"epvs.json": ""}
    model = torch.jit.load(path, _extra_files=extra)
    network = json.loads(extra["epvs.json"])["network"]
    zyx = network["input_zyx"]
    i = np.arange(2 * np.prod(zyx), dtype=np.float64)
    x = torch.from_numpy((np.sin(0.1 * (i + 1)) * np.cos(0.013 * i)).reshape(2, 1, *zyx))
    with torch.no_grad():
        out = {"architecture": network["architecture"], "scores": model(x).tolist()}
        if hasattr(model, "attention"):
            out["attention_means"] = model.attention(x).mean((1, 2, 3, 4)).tolist()
    print(json.dumps(out))
