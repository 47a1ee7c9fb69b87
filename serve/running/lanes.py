"""Owns running many batches side by side on a CPU.

One text uses all threads inside an operator, for latency; many texts do better with one thread
each, where nothing waits for anything. So lanes hold a single-threaded backend and a pool that
calls it from every core. A fork's child has none of the parent's threads, so it gets a pool of its
own.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from serve.backend import Backend
from serve.encoding import EncodedBatch
from serve.pools import submitted

TASK_TOKENS = 256
"""Most tokens a lane takes at once: enough to cost nothing, few enough to share the work evenly.
Such a batch's widest activation, 1.5 MB in MiniLM, about fits a core's second cache."""
Logits = NDArray[np.float32]
LAST_TOKENS = 64
"""What the last tasks come down to, so that no lane is long at work when the others have ended."""


class Lanes:
    """A single-threaded backend called from several threads at once."""

    def __init__(self, backend: Backend, num_lanes: int) -> None:
        """Take the backend, which must allow calls from several threads."""
        self._backend = backend
        self._num_lanes = num_lanes
        self.begin_anew()
        _ALL.add(self)

    def begin_anew(self) -> None:
        """Make a pool; its threads start with the first tasks."""
        self._pool = ThreadPoolExecutor(self._num_lanes, thread_name_prefix="lane")

    def logits(self, batches: Sequence[EncodedBatch]) -> Iterator[tuple[int, Logits]]:
        """Yield each batch's place and its logits, shape (B, T, L), about as they get done.

        In the order of the batches all could wait for a short one, which runs last.
        """
        shared = [
            (task, submitted(self._pool, self._run, [batches[place] for place in task]))
            for task in tasks([batch.input_ids.size for batch in batches], self._num_lanes)
        ]
        try:
            for task, result in shared:
                yield from zip(task, result.result(), strict=True)
        finally:  # after an error nobody waits for the others
            for _, result in shared:
                result.cancel()

    def _run(self, task: list[EncodedBatch]) -> list[Logits]:
        return [self._backend.logits(batch) for batch in task]


_ALL: weakref.WeakSet[Lanes] = weakref.WeakSet()


def _after_fork() -> None:
    for lanes in list(_ALL):
        lanes.begin_anew()


os.register_at_fork(after_in_child=_after_fork)


def tasks(sizes: Sequence[int], num_lanes: int) -> Iterator[list[int]]:
    """Yield what a lane takes at a time: places of batches, the largest batches first.

    A task is an even share of the tokens, `TASK_TOKENS` if that is less, and towards the end a part
    of what is left (guided self-scheduling, Polychronopoulos and Kuck 1987).

    Args:
        sizes: Tokens of each batch.
        num_lanes: Lanes that take tasks as they become free.
    """
    left = sum(sizes)
    most = min(TASK_TOKENS, -(-left // num_lanes))
    task: list[int] = []
    num_tokens = 0
    for place in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
        task.append(place)
        num_tokens += sizes[place]
        if num_tokens >= min(most, max(LAST_TOKENS, left // (2 * num_lanes))):
            yield task
            left -= num_tokens
            task, num_tokens = [], 0
    if task:
        yield task
