"""Owns the step from FP32 to FP16: what is converted, what stays FP32, and why.

Weights and activations become FP16. The logits leave as FP32, so that softmax and scores are
computed in FP32; sums inside LayerNorm and softmax are FP32 inside ONNX Runtime's fused kernels.
"""

from __future__ import annotations

import warnings

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16


def to_fp16(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a FP16 copy of a fused graph; inputs and logits keep their types."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    with warnings.catch_warnings():
        # "the float32 number will be truncated": parity and F1 say whether that mattered
        warnings.simplefilter("ignore", UserWarning)
        half: onnx.ModelProto = convert_float_to_float16(
            copy, keep_io_types=True, disable_shape_infer=True
        )
    return half
