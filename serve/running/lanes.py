"""Owns running many batches side by side on a CPU.

One text uses all threads inside an operator, for latency; many texts do better with one thread
each, where nothing waits for anything. So lanes hold a single-threaded backend and a pool that
calls it from every core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from serve.backend import Backend
from serve.encoding import EncodedBatch

TASK_TOKENS = 256
"""Most tokens a lane takes at once: enough to cost nothing, few enough to share the work evenly.
Such a batch's widest activation, 1.5 MB in MiniLM, about fits a core's second cache."""


class Lanes:
    """A single-threaded backend called from several threads at once."""

    def __init__(self, backend: Backend, num_lanes: int) -> None:
        """Take the backend, which must allow calls from several threads."""
        self._backend = backend
        self._num_lanes = num_lanes
        self._starting = Lock()

    def logits(self, batches: Sequence[EncodedBatch]) -> Iterator[NDArray[np.float32]]:
        """Yield the logits of each batch, in order. Shape of each: (B, T, L)."""
        run = self._backend.logits
        with self._starting:  # callers on several threads make one pool
            pool = self._pool
        shares = tasks(batches, self._num_lanes)
        results = pool.map(lambda task: [run(batch) for batch in task], shares)
        return (logits for task in results for logits in task)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._num_lanes, thread_name_prefix="lane")


def tasks(batches: Sequence[EncodedBatch], num_lanes: int) -> Iterator[list[EncodedBatch]]:
    """Yield runs of batches for lanes: an even share of the tokens each, or `TASK_TOKENS` if less.

    No run is shorter than that, but for the last.
    """
    share = -(-sum(batch.input_ids.size for batch in batches) // num_lanes)
    task: list[EncodedBatch] = []
    num_tokens = 0
    for batch in batches:
        task.append(batch)
        num_tokens += batch.input_ids.size
        if num_tokens >= min(share, TASK_TOKENS):
            yield task
            task, num_tokens = [], 0
    if task:
        yield task
