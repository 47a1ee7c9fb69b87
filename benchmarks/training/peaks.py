"""Owns the machine's two limits: what its matrix products reach, and its memory.

Measured, not looked up: PyTorch's own product on all its threads, of sizes that keep to the caches
in different ways, and a copy of more than any cache holds. The fastest of several is the limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

_SIZES = ((256, 384, 1536), (1024, 1024, 1024), (2048, 1536, 1536), (4096, 2048, 2048))
"""Rows, inner and outer width of the products; the first is a MiniLM's own."""
_COPIED = 1 << 26  # numbers of four bytes: 256 MB
_MIN_S, _MIN_CALLS = 0.5, 5


def matrix_peak_flops(number_format: torch.dtype) -> float:
    """Return the most floating-point operations a second of products in a number format."""
    return max(_product_flops(*size, number_format) for size in _SIZES)


def memory_bytes_per_s() -> float:
    """Return how many bytes are read and written a second, at most."""
    source = torch.ones(_COPIED)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _best_s(lambda: target.copy_(source))


def _product_flops(rows: int, inner: int, outer: int, number_format: torch.dtype) -> float:
    a = torch.ones(rows, inner, dtype=number_format)
    b = torch.ones(inner, outer, dtype=number_format)
    return 2 * rows * inner * outer / _best_s(lambda: torch.mm(a, b))


def _best_s(call: Callable[[], object]) -> float:
    """Return the shortest time of a call."""
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < _MIN_CALLS or time.perf_counter() - started < _MIN_S:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return min(times)
