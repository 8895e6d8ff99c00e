#!/usr/bin/python3
"""Golden files of the optimisers, from PyTorch (Debian python3-torch), in float64.

Run in this folder: python3 make_optimizers.py
  optimizers.json        weights of a quadratic problem after 1, 10, 100 and 1000 steps
  gp_unet_start.safetensors, gp_unet_end.safetensors, gp_unet_data.safetensors
                         a small GP-Unet before and after 100 Adadelta steps (batches of two), its
                         inputs and labels
"""
import json
import math
import struct

import numpy
import torch

N = 8
STEPS = (1, 10, 100, 1000)


def gradient(weights, step):
    """a (w - c) plus a wave: no stationary point, signs change."""
    a = [0.5 + 0.25 * i for i in range(N)]
    c = [(-1.0) ** i * i / 3.0 for i in range(N)]
    return [a[i] * (weights[i] - c[i]) + 0.1 * math.sin(0.1 * step + i) for i in range(N)]


def trajectory(make):
    weights = torch.nn.Parameter(torch.tensor([0.3 * i - 1.0 for i in range(N)], dtype=torch.float64))
    optimizer = make([weights])
    result = {}
    for step in range(1, max(STEPS) + 1):
        weights.grad = torch.tensor(gradient(weights.tolist(), step), dtype=torch.float64)
        optimizer.step()
        if step in STEPS:
            result[str(step)] = weights.tolist()
    return result


def write_safetensors(path, tensors):
    header, data, offset = {}, b"", 0
    for name, tensor in tensors.items():
        raw = numpy.ascontiguousarray(tensor.detach().numpy().astype("<f8")).tobytes()
        header[name] = {"dtype": "F64", "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(raw)]}
        data += raw
        offset += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


class GpUnet(torch.nn.Module):
    """PAPERS 1.3, written independently of the C++ code."""

    def __init__(self, features, pool_scale):
        super().__init__()
        def conv(i, o):
            return torch.nn.Conv3d(i, o, 3, padding=1)
        self.down_conv1 = conv(1, features)
        self.down_conv2 = conv(features, features)
        skip = features + 1
        self.bottom_conv1 = conv(skip, 2 * features)
        self.bottom_conv2 = conv(2 * features, 2 * features)
        self.up_conv = conv(2 * features + skip + skip, features)
        self.output = torch.nn.Linear(features, 1)
        self.pool_scale = pool_scale

    def forward(self, x):
        relu = torch.relu
        skip = torch.cat([relu(self.down_conv2(relu(self.down_conv1(x)))), x], 1)
        pooled = torch.nn.functional.max_pool3d(skip, 2)
        bottom = torch.cat([relu(self.bottom_conv2(relu(self.bottom_conv1(pooled)))), pooled], 1)
        up = torch.nn.functional.interpolate(bottom, scale_factor=2, mode="nearest")
        maps = relu(self.up_conv(torch.cat([up, skip], 1)))
        return self.output(maps.mean((2, 3, 4)) * self.pool_scale).squeeze(1)


def train_gp_unet():
    torch.manual_seed(1)
    network = GpUnet(3, 0.5).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    start = {name: p.detach().clone() for name, p in network.named_parameters()}
    volumes = torch.rand(4, 1, 4, 6, 8, dtype=torch.float64)
    labels = torch.tensor([3.0, 0.0, 7.0, 1.5], dtype=torch.float64)
    optimizer = torch.optim.Adadelta(network.parameters(), lr=1.0, rho=0.95, eps=1e-8)
    for step in range(100):
        rows = slice(0, 2) if step % 2 == 0 else slice(2, 4)
        optimizer.zero_grad()
        ((network(volumes[rows]) - labels[rows]) ** 2).mean().backward()
        optimizer.step()
    write_safetensors("gp_unet_start.safetensors", start)
    write_safetensors("gp_unet_end.safetensors", dict(network.named_parameters()))
    write_safetensors("gp_unet_data.safetensors",
                      {"volumes": volumes, "labels": labels, "scores": network(volumes)})


def main():
    o = torch.optim
    runs = {
        "adadelta_keras": lambda p: o.Adadelta(p, lr=1.0, rho=0.95, eps=1e-8),
        "adadelta_keras_2_2_4": lambda p: o.Adadelta(p, lr=1.0, rho=0.95, eps=1e-7),
        "adadelta_pytorch": lambda p: o.Adadelta(p),
        "adadelta_half_rate_decay": lambda p: o.Adadelta(p, lr=0.5, rho=0.95, eps=1e-8,
                                                         weight_decay=0.01),
        "adamw": lambda p: o.AdamW(p, lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01),
        "sgd": lambda p: o.SGD(p, lr=0.01, momentum=0.9),
        "sgd_nesterov_decay": lambda p: o.SGD(p, lr=0.01, momentum=0.9, nesterov=True,
                                              weight_decay=0.02),
    }
    document = {"made_by": "torch " + torch.__version__,
                "runs": {name: trajectory(make) for name, make in runs.items()}}
    with open("optimizers.json", "w") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    train_gp_unet()


main()
