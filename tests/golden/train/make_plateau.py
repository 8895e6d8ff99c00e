#!/usr/bin/python3
"""plateau.json: factors of torch.optim.lr_scheduler.ReduceLROnPlateau, from PyTorch.

Run in this folder: python3 make_plateau.py
"""
import json
import math

import torch

CASES = (
    {"patience": 2, "factor": 0.5, "min_delta": 0.0, "smallest": 0.0},
    {"patience": 0, "factor": 0.1, "min_delta": 0.05, "smallest": 0.005},
    {"patience": 3, "factor": 0.3, "min_delta": 0.02, "smallest": 0.1},
)
EPOCHS = 60
VALUES = [1.0 / (1 + 0.2 * i) + 0.15 * math.sin(1.7 * i) - (0.5 if i > 45 else 0.0) for i in range(EPOCHS)]


def factors(case):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="min", factor=case["factor"], patience=case["patience"], threshold=case["min_delta"],
        threshold_mode="abs", min_lr=case["smallest"], eps=0.0)
    result = []
    for value in VALUES:
        schedule.step(value)
        result.append(optimizer.param_groups[0]["lr"])
    return result


with open("plateau.json", "w", encoding="utf-8") as file:
    json.dump({"torch": torch.__version__, "values": VALUES,
               "cases": [dict(case, factors=factors(case)) for case in CASES]}, file, indent=1)
    file.write("\n")
