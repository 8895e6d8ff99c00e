#!/usr/bin/env python3
"""Runs the ONNX checker, with inference of all shapes, over models; exits with 1 at the first bad one.
Prints one line per model: its inputs and outputs.  usage: check_onnx.py MODEL.onnx...
Needs onnx (Debian: python3-onnx).
"""
import sys

import onnx

for path in sys.argv[1:]:
    onnx.checker.check_model(path, full_check=True)
    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True, data_prop=True)

    def text(value):
        sizes = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        return f"{value.name}{sizes}".replace("'", "").replace(" ", "")

    print(*[text(v) for v in model.graph.input], "->", *[text(v) for v in model.graph.output])
