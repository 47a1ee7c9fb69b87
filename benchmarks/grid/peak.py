"""Owns the cores' INT8 matrix peak: what integer products reach when nothing else is done.

Measured, not looked up: ONNX Runtime's own MatMulInteger, unsigned activations by signed weights
packed beforehand, one single-threaded session a core, all at once, which is how lines run offline:
on four cores at most, so that where there are more it is not the whole machine's.
The weights are 1024 x 1024, one megabyte; the rows are varied, and the fastest count is the peak.

To hold against it: PyTorch's product (oneDNN, `torch._int_mm`) reached 0.97 to 1.08 times as much
for the same sizes on one core. A Zen 4 with AVX-512 VNNI starts one instruction of 64 multiply-adds
a cycle: 237 G a second and core at 3.7 GHz; 188 to 190 G were seen on a shared machine whose clock
cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from export.config import IR_VERSION, OPSET

WIDTH = 1024
ROWS = (64, 256, 1024)
_ALL_ROWS = 4096  # of one call and core: some 25 ms
_SEED = 1


def macs_of_call(num_cores: int) -> int:
    """Return the multiply-adds of one call of a `peak_runner`."""
    return num_cores * _ALL_ROWS * WIDTH * WIDTH


def peak_runner(num_rows: int, num_cores: int) -> Callable[[], object]:
    """Return what multiplies on so many cores at once, `num_rows` rows at a time."""
    session = _session()
    rows = np.random.default_rng(_SEED).integers(0, 256, (num_rows, WIDTH), dtype=np.uint8)
    pool = ThreadPoolExecutor(num_cores, thread_name_prefix="peak")

    def multiply(_: int) -> None:
        for _ in range(_ALL_ROWS // num_rows):
            session.run(None, {"rows": rows})

    return lambda: list(pool.map(multiply, range(num_cores)))


def _session() -> ort.InferenceSession:
    weights = np.random.default_rng(_SEED).integers(-127, 128, (WIDTH, WIDTH), dtype=np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "weights"], ["sums"])],
        "peak",
        [helper.make_tensor_value_info("rows", TensorProto.UINT8, ["M", WIDTH])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, ["M", WIDTH])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = model.SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
