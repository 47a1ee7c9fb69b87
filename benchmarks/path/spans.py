"""Owns noting when functions begin and end, by the clock that Triton's traces use too.

Linux's monotonic clock is one for all processes, so what three of them note falls into one line.
Nothing is changed but that a function notes its span: some 0.3 us each. Used in the benchmark's own
process and, by `traced_model`, in Triton's.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

SPANS = "spans.json"
"""Where the model's process leaves them, in the model's folder."""


class Span(NamedTuple):
    """From when to when a function ran, in nanoseconds."""

    name: str
    start_ns: int
    end_ns: int


def now_ns() -> int:
    """Return the time."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


@contextmanager
def noting(owner: Any, function: str, name: str, spans: list[Span]) -> Iterator[None]:  # noqa: ANN401
    """Make a function of a module or class note each of its runs, inside the block."""
    inner = getattr(owner, function)

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        start_ns = now_ns()
        try:
            return inner(*args, **kwargs)
        finally:
            spans.append(Span(name, start_ns, now_ns()))

    setattr(owner, function, outer)
    try:
        yield
    finally:
        setattr(owner, function, inner)
