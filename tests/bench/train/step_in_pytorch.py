#!/usr/bin/python3
"""The same as bench_step.cpp in eager PyTorch: step_in_pytorch.py ARCHITECTURE WHAT PRECISION CHECKPOINTING
REPEATS THREADS Z Y X. The networks are written as one would write them with torch.nn; CHECKPOINTING must be 0."""
import resource
import statistics
import sys
import time

import torch
from torch import nn


class Media2019(nn.Module):
    def __init__(self, zyx):
        super().__init__()
        layers, channels = [], 1
        for features, pool in ((32, 2), (64, 2)):
            for _ in range(4):
                layers += [nn.Conv3d(channels, features, 3), nn.ReLU(inplace=True)]
                channels = features
            layers.append(nn.MaxPool3d(pool))
        layers += [nn.Conv3d(channels, 128, 3), nn.ReLU(inplace=True), nn.MaxPool3d(4), nn.Flatten()]
        self.features = nn.Sequential(*layers)
        size = [((((n - 8) // 2 - 8) // 2) - 2) // 4 for n in zyx]
        count = 128 * size[0] * size[1] * size[2]
        self.head = nn.Sequential(nn.Linear(count, 2000), nn.ReLU(inplace=True), nn.Linear(2000, 2000),
                                  nn.ReLU(inplace=True), nn.Linear(2000, 1))

    def forward(self, x):
        return self.head(self.features(x)).squeeze(1)


class GpUnet(nn.Module):
    def __init__(self, _):
        super().__init__()
        pair = lambda a, b: nn.Sequential(nn.Conv3d(a, b, 3, padding=1), nn.ReLU(inplace=True),
                                          nn.Conv3d(b, b, 3, padding=1), nn.ReLU(inplace=True))
        self.down, self.bottom = pair(1, 32), pair(33, 64)
        self.pool, self.up = nn.MaxPool3d(2), nn.Upsample(scale_factor=2, mode="nearest")
        self.last = nn.Sequential(nn.Conv3d(130, 32, 3, padding=1), nn.ReLU(inplace=True))
        self.head = nn.Linear(32, 1)

    def forward(self, x):
        skip = torch.cat([self.down(x), x], 1)
        pooled = self.pool(skip)
        maps = torch.cat([self.bottom(pooled), pooled], 1)
        maps = self.last(torch.cat([self.up(maps), skip], 1))
        return self.head(maps.flatten(2).mean(2)).squeeze(1)


def main():
    architecture, what, precision = sys.argv[1:4]
    assert precision == "float32"
    repeats, threads = int(sys.argv[4]), int(sys.argv[5])
    zyx = [int(n) for n in sys.argv[6:9]]
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    network = {"media2019": Media2019, "gp_unet": GpUnet}[architecture](zyx)
    for layer in network.modules():
        if isinstance(layer, (nn.Conv3d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adadelta(network.parameters(), lr=1.0, rho=0.95, eps=1e-8)
    volume, label = torch.rand(1, 1, *zyx), torch.tensor([7.0])

    def gradient():
        nn.functional.mse_loss(network(volume), label).backward()

    def once():
        if what == "forward":
            with torch.no_grad():
                network(volume)
        elif what == "step":
            gradient()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        else:
            optimizer.step()

    if what == "optimizer":
        gradient()
    once()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print("pytorch", architecture, what, precision, threads, f"{statistics.median(seconds):.3f}",
          f"{min(seconds):.3f}", f"{peak:.2f}", sep="\t")


main()
