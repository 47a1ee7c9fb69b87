"""Owns the rules for constants: finite, and within what FP16 can hold.

A value beyond 65504 is infinite in FP16; one below 6.1e-5 loses digits, and below 3e-8 it is 0. A
graph that is still FP32 is judged as the FP16 graph it would become.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from export.tensorrt.lint.finding import Finding, error, warning
from export.tensorrt.lint.subject import Subject

MAX_UNDERFLOW = 0.05
"""Largest share of a tensor's values that may be below FP16's normal range without a warning."""
_FP16 = np.finfo(np.float16)
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)


def check_weights(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with the values of constants."""
    outside = set(subject.external)
    full = 0
    for name, tensor in subject.constants.items():
        if tensor.data_type in _FLOATS and name not in outside:
            yield from _check_values(name, numpy_helper.to_array(tensor))
            full += tensor.data_type != onnx.TensorProto.FLOAT16 and len(tensor.dims) > 1
    if full:
        yield warning(
            "fp32-weights",
            str(subject.path),
            "weights in FP16",
            f"{full} in FP32, which TensorRT 11 computes in FP32: no builder flag lowers it",
            "export with --tensorrt",
        )


def _check_values(name: str, values: NDArray[np.floating]) -> Iterator[Finding]:
    sizes = np.abs(values[values != 0].astype(np.float64))
    if not np.isfinite(sizes).all():
        yield error(
            "not-finite", name, "finite values", "NaN or infinity", "train or export it again"
        )
    elif sizes.size and sizes.max() > float(_FP16.max):
        share = float((sizes > float(_FP16.max)).mean())
        yield error(
            "fp16-overflow",
            name,
            f"values within {float(_FP16.max):g}, the largest of FP16",
            f"{sizes.max():.3g} ({share:.2%} of its values beyond)",
            "use -1e4 for a mask; a weight that large needs FP32",
        )
    elif (
        values.ndim > 1
        and (share := float((sizes < float(_FP16.smallest_normal)).mean())) > MAX_UNDERFLOW
    ):
        gone = float((sizes < float(_FP16.smallest_subnormal) / 2).mean())
        yield warning(
            "fp16-underflow",
            name,
            f"at most {MAX_UNDERFLOW:.0%} of its values below FP16's normal range",
            f"{share:.1%} below {float(_FP16.smallest_normal):.2g}, {gone:.1%} that become 0",
            "leave its node in FP32 if the gate finds a loss",
        )
