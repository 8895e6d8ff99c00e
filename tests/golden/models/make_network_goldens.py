#!/usr/bin/env python3
"""Scores and gradients of small networks, computed by PyTorch from the published description.

Writes, per network, NAME.safetensors (weights, float64, by a writer that shares no code with epvs) and
NAME.json (scores and gradients for the input  x[i] = sin(0.1 (i + 1)) cos(0.013 i),  flat index i).
Needs torch and numpy:  python3 make_network_goldens.py  (Debian 12: /usr/bin/python3)
"""
import json
import pathlib
import struct

import numpy as np
import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
PREPROCESSING = {
    "preset": "custom", "region": "bg", "spacing_mm": [0.5, 0.5, 0.8], "crop_voxels": None,
    "dilation_voxels": 4, "sigma_voxels": 2.0, "normalisation": "minmax", "registration": "none",
    "labels": [11, 50], "label_source": "n/a"}


def conv(weights, name, x, padding):
    return F.relu(F.conv3d(x, weights[name + ".weight"], weights[name + ".bias"], padding=padding))


def dense(weights, name, x):
    return F.linear(x, weights[name + ".weight"], weights[name + ".bias"])


def pool_all(x, kind):
    return x.mean((2, 3, 4)) if kind == "avg" else x.amax((2, 3, 4))


def media2019(w, x, o):
    padding = 1 if o["padding"] == "same" else 0
    ceil = o["pool_rounding"] == "ceil"
    blocks = o["blocks"] + (1 if o["trailing_convolution"] else 0)
    for b in range(blocks):
        trailing = b == o["blocks"]
        for i in range(1 if trailing else o["convolutions_per_block"]):
            x = conv(w, "trailing_conv" if trailing else f"block{b + 1}_conv{i + 1}", x, padding)
        x = F.max_pool3d(x, 4 if b == blocks - 1 else 2, ceil_mode=ceil)
    x = x.flatten(1)
    for i in range(len(o["fully_connected"])):
        x = F.relu(dense(w, f"fc{i + 1}", x))
    return dense(w, "output", x)[:, 0]


def cnn4(w, x, o):
    concat = o["residual"] == "concat"
    m = conv(w, "conv2", conv(w, "conv1", x, 1), 1)
    m = torch.cat([m, x], 1) if concat else m
    p = F.max_pool3d(m, 2)
    m = conv(w, "conv4", conv(w, "conv3", p, 1), 1)
    m = torch.cat([m, p], 1) if concat else m
    return dense(w, "output", o["pool_scale"] * pool_all(m, o["pool"]))[:, 0]


def gp_unet(w, x, o):
    concat = o["residual"] == "concat"
    m = conv(w, "down_conv2", conv(w, "down_conv1", x, 1), 1)
    skip = torch.cat([m, x], 1) if concat else m
    p = F.max_pool3d(skip, 2)
    m = conv(w, "bottom_conv2", conv(w, "bottom_conv1", p, 1), 1)
    m = torch.cat([m, p], 1) if concat else m
    up = F.interpolate(m, scale_factor=2, mode="nearest")
    grow = []
    for axis in (4, 3, 2):
        grow += [0, skip.shape[axis] - up.shape[axis]]
    up = F.pad(up, grow)
    m = conv(w, "up_conv", torch.cat([up, skip], 1), 1)
    return dense(w, "output", o["pool_scale"] * pool_all(m, o["pool"]))[:, 0]


def shapes(o):
    """Names and shapes of the weights, in order."""
    f, out = o["first_features"], {}
    extra = 1 if o.get("residual") == "concat" else 0

    def add_conv(name, c_in, c_out):
        out[name + ".weight"], out[name + ".bias"] = (c_out, c_in, 3, 3, 3), (c_out,)

    def add_dense(name, n_in, n_out):
        out[name + ".weight"], out[name + ".bias"] = (n_out, n_in), (n_out,)

    if o["architecture"] == "media2019":
        c, n = 1, list(o["input_zyx"])
        loss = 0 if o["padding"] == "same" else 2
        blocks = o["blocks"] + (1 if o["trailing_convolution"] else 0)
        for b in range(blocks):
            trailing = b == o["blocks"]
            for i in range(1 if trailing else o["convolutions_per_block"]):
                add_conv("trailing_conv" if trailing else f"block{b + 1}_conv{i + 1}", c, f << b)
                c, n = f << b, [k - loss for k in n]
            width = 4 if b == blocks - 1 else 2
            n = [(k + (width - 1 if o["pool_rounding"] == "ceil" else 0)) // width for k in n]
        size = c * n[0] * n[1] * n[2]
        for i, units in enumerate(o["fully_connected"]):
            add_dense(f"fc{i + 1}", size, units)
            size = units
        add_dense("output", size, 1)
    elif o["architecture"] == "cnn4":
        add_conv("conv1", 1, f), add_conv("conv2", f, f)
        add_conv("conv3", f + extra, 2 * f), add_conv("conv4", 2 * f, 2 * f)
        add_dense("output", 2 * f + extra * (f + 1), 1)
    else:
        skip = f + extra
        bottom = 2 * f + extra * skip
        add_conv("down_conv1", 1, f), add_conv("down_conv2", f, f)
        add_conv("bottom_conv1", skip, 2 * f), add_conv("bottom_conv2", 2 * f, 2 * f)
        add_conv("up_conv", bottom + skip, f)
        add_dense("output", f, 1)
    return out


def write_safetensors(path, tensors, metadata):
    header, position = {"__metadata__": metadata}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F64", "shape": list(array.shape),
                        "data_offsets": [position, position + array.nbytes]}
        position += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array, dtype="<f8").tobytes())


def make(name, seed, options):
    random = np.random.RandomState(seed)
    arrays = {}
    for key, shape in shapes(options).items():
        scale = np.sqrt(2.0 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
        arrays[key] = random.normal(0.0, scale, shape)
    weights = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in arrays.items()}
    zyx = options["input_zyx"]
    i = np.arange(2 * zyx[0] * zyx[1] * zyx[2], dtype=np.float64)
    x = torch.tensor((np.sin(0.1 * (i + 1)) * np.cos(0.013 * i)).reshape(2, 1, *zyx),
                     requires_grad=True)
    network = {"media2019": media2019, "cnn4": cnn4, "gp_unet": gp_unet}[options["architecture"]]
    scores = network(weights, x, options)
    scores.sum().backward()
    inner = x.grad.flatten()
    golden = {
        "made_by": f"make_network_goldens.py, torch {torch.__version__}",
        "scores": scores.tolist(),
        "gradient_norms": {k: v.grad.norm().item() for k, v in weights.items()},
        "output_weight_gradient": weights["output.weight"].grad.flatten().tolist(),
        "input_gradient_norm": inner.norm().item(),
        "input_gradient_samples": {str(k): inner[k].item() for k in range(0, len(inner), 1511)}}
    preprocessing = dict(PREPROCESSING, crop_voxels=zyx[::-1])
    metadata = {"format_version": 1, "network": options, "preprocessing": preprocessing,
                "target": "rater1", "provenance": {"made_by": golden["made_by"]}}
    write_safetensors(HERE / f"{name}.safetensors", arrays, {"epvs": json.dumps(metadata)})
    (HERE / f"{name}.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(name, golden["scores"], sum(a.size for a in arrays.values()), "parameters")


MEDIA = {"architecture": "media2019", "first_features": 2, "blocks": 2, "convolutions_per_block": 2,
         "trailing_convolution": True, "fully_connected": [12, 7], "padding": "valid",
         "pool_rounding": "floor", "init": "he", "bias_init": 0.0, "input_zyx": [36, 37, 39]}
POOLED = {"architecture": "gp_unet", "first_features": 3, "pool": "avg", "residual": "concat",
          "pool_scale": 1.5, "init": "he", "bias_init": 0.0, "input_zyx": [9, 10, 11]}

if __name__ == "__main__":
    make("media2019", 1, MEDIA)
    make("media2019_three_blocks", 2, dict(MEDIA, blocks=3, trailing_convolution=False,
                                           padding="same", pool_rounding="ceil",
                                           fully_connected=[], input_zyx=[13, 17, 22]))
    make("cnn4", 3, dict(POOLED, architecture="cnn4"))
    make("cnn4_max", 4, dict(POOLED, architecture="cnn4", pool="max", residual="none"))
    make("gp_unet", 5, POOLED)
    make("gp_unet_plain", 6, dict(POOLED, residual="none", pool="max"))
