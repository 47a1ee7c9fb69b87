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
from onnx import numpy_helper

from benchmarks.grid.products import open_session, products_graph

WIDTH = 1024
ROWS = (64, 256, 1024)
_ALL_ROWS = 4096  # of one call and core: some 25 ms
_SEED = 1


def macs_of_call(num_cores: int) -> int:
    """Return the multiply-adds of one call of a `peak_runner`."""
    return num_cores * _ALL_ROWS * WIDTH * WIDTH


def peak_runner(num_rows: int, num_cores: int) -> Callable[[], object]:
    """Return what multiplies on so many cores at once, `num_rows` rows at a time."""
    rng = np.random.default_rng(_SEED)
    weights = rng.integers(-127, 128, (WIDTH, WIDTH), dtype=np.int8)
    session = open_session(products_graph([numpy_helper.from_array(weights, "weights")]), 1)
    feeds = {f"rows{WIDTH}": rng.integers(0, 256, (num_rows, WIDTH), dtype=np.uint8)}
    pool = ThreadPoolExecutor(num_cores, thread_name_prefix="peak")

    def multiply(_: int) -> None:
        for _ in range(_ALL_ROWS // num_rows):
            session.run(None, feeds)

    return lambda: list(pool.map(multiply, range(num_cores)))
