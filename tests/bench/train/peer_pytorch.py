#!/usr/bin/python3
"""What bench_step.cpp times, in eager PyTorch: peer_pytorch.py NETWORK WHAT PRECISION REPEATS THREADS Z Y X
[DEVICE]. The networks are written as one would write them with torch.nn. Prints median seconds, least seconds, peak memory in GiB, as TSV."""
import contextlib
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
        for features in (32, 64):
            for _ in range(4):
                layers += [nn.Conv3d(channels, features, 3), nn.ReLU(inplace=True)]
                channels = features
            layers.append(nn.MaxPool3d(2))
        layers += [nn.Conv3d(channels, 128, 3), nn.ReLU(inplace=True), nn.MaxPool3d(4), nn.Flatten()]
        self.features = nn.Sequential(*layers)
        size = [((((n - 8) // 2 - 8) // 2) - 2) // 4 for n in zyx]
        count = 128 * size[0] * size[1] * size[2]
        self.head = nn.Sequential(nn.Linear(count, 2000), nn.ReLU(inplace=True), nn.Linear(2000, 2000),
                                  nn.ReLU(inplace=True), nn.Linear(2000, 1))

    def forward(self, x, want_map=False):
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

    def forward(self, x, want_map=False):
        skip = torch.cat([self.down(x), x], 1)
        pooled = self.pool(skip)
        maps = torch.cat([self.bottom(pooled), pooled], 1)
        maps = self.last(torch.cat([self.up(maps), skip], 1))
        score = self.head(maps.flatten(2).mean(2)).squeeze(1)
        return (score, torch.einsum("c,nczyx->nzyx", self.head.weight[0], maps)) if want_map else score


def main():
    name, what, precision = sys.argv[1:4]
    repeats, threads = int(sys.argv[4]), int(sys.argv[5])
    zyx = [int(n) for n in sys.argv[6:9]]
    device = torch.device(sys.argv[9] if len(sys.argv) > 9 else "cpu")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    network = {"media2019": Media2019, "gp_unet": GpUnet}[name](zyx)
    for layer in network.modules():
        if isinstance(layer, (nn.Conv3d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    network.to(device)
    optimizer = torch.optim.Adadelta(network.parameters(), lr=1.0, rho=0.95, eps=1e-8)
    volume, label = torch.rand(1, 1, *zyx).to(device), torch.tensor([7.0]).to(device)
    autocast = torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()

    def gradient():
        with autocast:
            score = network(volume)
        nn.functional.mse_loss(score.float(), label).backward()

    def once():
        ask()
        if device.type == "cuda":
            torch.cuda.synchronize()

    def ask():
        if what in ("score", "map"):
            with torch.no_grad(), autocast:
                network(volume, what == "map")
        elif what == "step":
            gradient()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        else:
            optimizer.step()

    if what == "optimizer":
        gradient()
    for _ in range(5 if device.type == "cuda" else 2):
        once()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{statistics.median(seconds):.4f}", f"{min(seconds):.4f}", f"{peak:.2f}", sep="\t")


main()
