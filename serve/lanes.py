"""Owns running many small batches side by side on a CPU.

For graphs that must see each text alone. One text uses all threads inside an operator, for latency;
many texts do better with one thread each, where nothing waits for anything. So lanes hold a
single-threaded backend, made when first needed, and a pool that calls it from every core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from serve.backend import Backend
from serve.encoding import EncodedBatch

_TASKS_PER_LANE = 4  # large enough to share the work evenly, small enough to cost nothing


class Lanes:
    """A single-threaded backend called from several threads at once."""

    def __init__(self, make_backend: Callable[[], Backend], num_lanes: int) -> None:
        """Take the way to make the backend, which must allow calls from several threads."""
        self._make_backend = make_backend
        self._num_lanes = num_lanes
        self._starting = Lock()

    def logits(self, batches: Sequence[EncodedBatch]) -> list[NDArray[np.float32]]:
        """Return the logits of each batch, in order. Shape of each: (B, T, L)."""
        size = -(-len(batches) // (self._num_lanes * _TASKS_PER_LANE))
        parts = [batches[i : i + size] for i in range(0, len(batches), size)]
        with self._starting:  # callers on several threads make one pool and one backend
            run = self._backend.logits
            pool = self._pool
        results = pool.map(lambda part: [run(batch) for batch in part], parts)
        return [logits for part in results for logits in part]

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._num_lanes, thread_name_prefix="lane")

    @cached_property
    def _backend(self) -> Backend:
        backend = self._make_backend()
        del self._make_backend  # and the graph's bytes that it holds
        return backend
