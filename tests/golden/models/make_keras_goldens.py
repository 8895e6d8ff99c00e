#!/usr/bin/env python3
"""Small weights files in the layouts of Keras, and the scores that Keras would compute with them.

Debian has no Keras, so its semantics are written out here with NumPy and SciPy, sharing nothing with
PyTorch or epvs:
- Theano backend: true convolution (scipy.signal.convolve); TensorFlow: correlation (correlate).
- Keras 1: kernels (out, in, k1, k2, k3) with dim_ordering th, (k1, k2, k3, in, out) with tf; weights
  NAME_W and NAME_b, attribute keras_version and no backend. Keras 2: (k1, k2, k3, in, out) for every
  data_format; NAME/kernel:0 and NAME/bias:0; attributes keras_version and backend.
- Dense: x @ W + b with W (in, out). Flatten reshapes (C, d1, d2, d3) or (d1, d2, d3, C); Flatten of
  Keras 2.2 moves channels_first data to channels last before it does.
- MaxPooling3D drops the rest; UpSampling3D repeats; ZeroPadding3D at the far end for odd sizes.
Kernels are random, so neither a turn nor a change of axes leaves them as they are.

Writes keras_NAME.h5 and keras_goldens.json.  Needs h5py, numpy, scipy:  /usr/bin/python3 on Debian 12
"""
import json
import pathlib

import h5py
import numpy as np
from scipy import signal

HERE = pathlib.Path(__file__).parent


def volume(zyx):
    """The input of make_network_goldens.py as arrays [z, y, x], two of them."""
    i = np.arange(2 * np.prod(zyx), dtype=np.float64)
    return (np.sin(0.1 * (i + 1)) * np.cos(0.013 * i)).reshape(2, *zyx)


def oriented(array, code):
    """[z, y, x] -> an array whose axes run in the directions of `code` (nibabel's aff2axcodes)."""
    axis = {"S": 0, "I": 0, "A": 1, "P": 1, "R": 2, "L": 2}
    array = array.transpose([axis[letter] for letter in code])
    return array[tuple(slice(None, None, -1 if letter in "LPI" else 1) for letter in code)]


class Model:
    """A Keras model under construction: computes and remembers its weights. Maps are (C, d1, d2, d3)
    here whatever the data_format; only flatten() knows it."""

    def __init__(self, seed, keras, backend, data_format, dtype="f4"):
        self.random = np.random.RandomState(seed)
        self.keras, self.backend, self.data_format, self.dtype = keras, backend, data_format, dtype
        self.layers, self.draws, self.config = [], {}, []

    def weights(self, kind, shapes):
        """Draws the weights of the next layer of this kind, once; later volumes reuse them."""
        number = self.calls[kind] = self.calls.get(kind, 0) + 1
        name = f"{kind}_{number}"
        if name not in self.draws:
            fan_in = np.prod(shapes[0][1:]) if len(shapes[0]) == 5 else shapes[0][0]
            kernel = self.random.normal(0, np.sqrt(2 / fan_in), shapes[0]).astype(self.dtype)
            bias = self.random.normal(0, 0.1, shapes[1]).astype(self.dtype)
            self.draws[name] = (kernel, bias)
            self.layers.append(name)
        return [w.astype(np.float64) for w in self.draws[name]]

    def conv(self, x, filters, padding):
        kind = "convolution3d" if self.keras[0] == "1" else "conv3d"
        kernel, bias = self.weights(kind, [(filters, len(x), 3, 3, 3), (filters,)])
        run = signal.convolve if self.backend == "theano" else signal.correlate
        out = [b + sum(run(x[c], kernel[f, c], mode=padding, method="direct")
                       for c in range(len(x))) for f, b in enumerate(bias)]
        return np.maximum(np.array(out), 0)

    def dense(self, x, units, relu):
        kernel, bias = self.weights("dense", [(len(x), units), (units,)])
        y = x @ kernel + bias
        return np.maximum(y, 0) if relu else y

    def pool(self, x, width):
        n = [k // width * width for k in x.shape[1:]]
        x = x[:, :n[0], :n[1], :n[2]]
        return x.reshape(len(x), n[0] // width, width, n[1] // width, width,
                         n[2] // width, width).max((2, 4, 6))

    def flatten(self, x, keras22=False):
        if self.data_format == "channels_last" or keras22:
            x = np.moveaxis(x, 0, -1)
        return x.reshape(-1)

    def run(self, network, volumes):
        scores = []
        for x in volumes:
            self.calls = {}
            scores.append(float(network(self, x[None])[0]))
        return scores

    def write(self, path, whole_model=False, fixed_length=True, config=None):
        def texts(names):
            return np.array([n.encode() for n in names]) if fixed_length else \
                np.array(names, dtype=h5py.string_dtype())
        with h5py.File(path, "w") as file:
            group = file.create_group("model_weights") if whole_model else file
            # A layer without weights has an empty list, as Keras writes it.
            group.attrs["layer_names"] = texts(["input_1"] + self.layers)
            group.create_group("input_1").attrs["weight_names"] = []
            group.attrs["keras_version"] = self.keras.encode() if fixed_length else self.keras
            if self.keras[0] != "1":
                group.attrs["backend"] = self.backend.encode() if fixed_length else self.backend
            if config:
                file.attrs["model_config"] = json.dumps(config)
            for name in self.layers:
                kernel, bias = self.draws[name]
                layer = group.create_group(name)
                if kernel.ndim == 5 and not (self.keras[0] == "1" and
                                             self.data_format == "channels_first"):
                    kernel = kernel.transpose(2, 3, 4, 1, 0)
                ends = ("_W", "_b") if self.keras[0] == "1" else ("/kernel:0", "/bias:0")
                layer.attrs["weight_names"] = texts([name + end for end in ends])
                layer[name + ends[0]], layer[name + ends[1]] = kernel, bias


def media2019(blocks, convolutions, first, hidden, padding="valid", keras22=False):
    def network(model, x):
        for block in range(blocks):
            for _ in range(convolutions):
                x = model.conv(x, first << block, padding)
            x = model.pool(x, 2)
        x = model.pool(model.conv(x, first << blocks, padding), 4)
        x = model.flatten(x, keras22)
        for units in hidden:
            x = model.dense(x, units, True)
        return model.dense(x, 1, False)
    return network


def cnn4(first, pool, concat):
    def network(model, x):
        m = model.conv(model.conv(x, first, "same"), first, "same")
        p = model.pool(concat(m, x), 2)
        m = model.conv(model.conv(p, 2 * first, "same"), 2 * first, "same")
        return model.dense(pool(concat(m, p), (1, 2, 3)), 1, False)
    return network


def gp_unet(first, concat, skip_concat):
    def network(model, x):
        skip = concat(model.conv(model.conv(x, first, "same"), first, "same"), x)
        p = model.pool(skip, 2)
        m = concat(model.conv(model.conv(p, 2 * first, "same"), 2 * first, "same"), p)
        up = m.repeat(2, 1).repeat(2, 2).repeat(2, 3)
        up = np.pad(up, [(0, 0)] + [(0, skip.shape[k] - up.shape[k]) for k in (1, 2, 3)])
        return model.dense(model.conv(skip_concat(up, skip), first, "same").mean((1, 2, 3)), 1,
                           False)
    return network


def first_then_second(a, b):
    return np.concatenate([a, b])


def second_then_first(a, b):
    return np.concatenate([b, a])


def only_first(a, b):
    return a


GOLDENS = {}


def make(name, model, network, zyx, orientation, arguments, **layout):
    scores = model.run(network, [oriented(v, orientation) for v in volume(zyx)])
    model.write(HERE / f"keras_{name}.h5", **layout)
    GOLDENS[name] = {"input_zyx": zyx, "scores": scores,
                     "arguments": ["--orientation", orientation] + arguments}
    print(name, scores, sum(k.size + b.size for k, b in model.draws.values()), "parameters")


MEDIA = ["--network", "media2019", "--set", "network.first_features=2", "--set", "network.blocks=1",
         "--set", "network.convolutions_per_block=2"]

if __name__ == "__main__":
    # P1's own: Keras 1.2, Theano, channels first, arrays (x, y, z); maps 1 x 2 x 3 before the Flatten.
    make("media2019_theano", Model(1, "1.2.2", "theano", "channels_first"),
         media2019(1, 2, 2, [5, 3]), [16, 24, 32], "RAS",
         MEDIA + ["--set", "network.fully_connected=5,3", "--backend", "theano"])
    # A whole model of Keras 2, channels last, arrays (z, y, x), float64, names of variable length.
    make("media2019_tensorflow", Model(2, "2.1.6", "tensorflow", "channels_last", "f8"),
         media2019(1, 2, 2, [4]), [16, 25, 34], "SAR",
         MEDIA + ["--set", "network.fully_connected=4"], whole_model=True, fixed_length=False,
         config={"class_name": "Sequential", "config": [
             {"class_name": "Conv3D", "config": {"name": "conv3d_1",
                                                 "data_format": "channels_last"}},
             {"class_name": "Flatten", "config": {"name": "flatten_1"}}]})
    # Keras 2.2 with Theano: turned kernels in the new layout; its Flatten moves the channels. The
    # second and third array axes run to the left and down.
    make("media2019_keras22", Model(3, "2.2.4", "theano", "channels_first"),
         media2019(1, 2, 2, [], "same", True), [8, 16, 24], "ALI",
         MEDIA + ["--set", "network.fully_connected=", "--set", "network.padding=same"],
         whole_model=True,
         config={"class_name": "Sequential", "config": {"layers": [
             {"class_name": "Conv3D", "config": {"data_format": "channels_first"}},
             {"class_name": "Flatten", "config": {"data_format": "channels_first"}}]}})
    # Keras 1 with dim_ordering tf on Theano: kernels in the layout of TensorFlow, turned all the same.
    make("cnn4_theano", Model(4, "1.2.0", "theano", "channels_last"),
         cnn4(3, np.max, second_then_first), [9, 10, 11], "RAS",
         ["--network", "cnn4", "--set", "network.first_features=3", "--set", "network.pool=max",
          "--backend", "theano", "--block-concat", "input-first"])
    # Odd sizes: the upsampled maps are padded.
    make("gp_unet_tensorflow", Model(5, "2.2.4-tf", "tensorflow", "channels_last"),
         gp_unet(3, first_then_second, first_then_second), [9, 10, 11], "RAS",
         ["--network", "gp_unet", "--set", "network.first_features=3"])
    make("gp_unet_theano", Model(6, "1.1.2", "theano", "channels_first"),
         gp_unet(2, second_then_first, second_then_first), [8, 10, 12], "LPS",
         ["--network", "gp_unet", "--set", "network.first_features=2", "--backend", "theano",
          "--block-concat", "input-first", "--skip-concat", "skip-first"])
    make("gp_unet_plain", Model(7, "2.0.8", "cntk", "channels_last"),
         gp_unet(3, only_first, first_then_second), [9, 10, 11], "SRA",
         ["--network", "gp_unet", "--set", "network.first_features=3", "--set",
          "network.residual=none", "--backend", "tensorflow"])
    (HERE / "keras_goldens.json").write_text(json.dumps(GOLDENS, indent=1) + "\n")
