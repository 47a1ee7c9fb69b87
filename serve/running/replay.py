"""Owns single texts on a GPU: each padded length is recorded as a CUDA graph once, and replayed.

A short text keeps a GPU busy for less time than it takes to launch its kernels one by one; a CUDA
graph launches all of them at once. A recording that went wrong would answer with what it saw when
it was recorded, so each is held against a plain run of another text before it is trusted.

ONNX Runtime keeps its CUDA graphs, and a device context with them, for each thread that calls. So
the first thread to call runs its texts itself, for most callers have one, and a thread of our own
those of all others: what was checked is what answers, and callers that come on ever new threads
cost no memory. Plain runs go the same ways; no two runs are at the same time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from serve.encoding import EncodedBatch
from serve.errors import first_line
from serve.running.bound import Buffers
from serve.running.ort_errors import ORT_ERRORS

MAX_LENGTHS = 64
"""Most lengths that are recorded; `bucket_of` makes 56 of 512 tokens. Others run plainly."""
TOLERANCE = 0.05
"""Largest difference of a logit from a plain run's: FP16 steps by 0.008 at 10, whichever kernels
were picked; the answer to another text differs by whole logits."""
logger = logging.getLogger(__name__)


class Replay:
    """A backend that replays single texts and runs whatever else plainly. Any thread may call."""

    def __init__(
        self, plain: Callable[[EncodedBatch], NDArray[np.float32]], buffers: Buffers
    ) -> None:
        """Take the plain run of a session, and the session's buffers."""
        self._plain = plain
        self._buffers = buffers
        self._first_sound: set[int] = set()
        self._others_sound: set[int] = set()
        self._has_given_up = False
        self._unclaimed = threading.Lock()  # the first to call takes it for good
        self._own = threading.local()
        self._running = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="replay")

    @property
    def lengths(self) -> frozenset[int]:
        """The lengths that are replayed at present, by one thread or by both."""
        return (
            frozenset() if self._has_given_up else frozenset(self._first_sound | self._others_sound)
        )

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return a score for each token and tag. Shape: (B, T, L)."""
        if self._unclaimed.acquire(blocking=False):
            self._own.is_first = True
        if hasattr(self._own, "is_first"):
            return self._logits(batch, self._first_sound)
        try:
            result = self._worker.submit(self._logits, batch, self._others_sound)
        except RuntimeError:  # Python is ending; this thread has no recordings
            with self._running:
                return self._plain(batch)
        return result.result()

    def _logits(self, batch: EncodedBatch, sound: set[int]) -> NDArray[np.float32]:
        with self._running:
            return self._run(batch, sound)

    def _run(self, batch: EncodedBatch, sound: set[int]) -> NDArray[np.float32]:
        """Run a batch in the thread whose recordings of these lengths are `sound`."""
        num_texts, length = batch.input_ids.shape
        is_known = length in sound
        is_wanted = is_known or len(sound) < MAX_LENGTHS
        if num_texts > 1 or self._has_given_up or not is_wanted:
            return self._plain(batch)
        plain = None if is_known else self._plain(batch)
        try:
            if plain is None:
                return self._replayed(batch)
            self._check_recording(batch, plain)
        except ORT_ERRORS as error:
            return self._give_up(batch, first_line(error))
        sound.add(length)
        return plain

    def _check_recording(self, batch: EncodedBatch, plain: NDArray[np.float32]) -> None:
        """Record a length on another text, and hold a replay against a plain run.

        Raises:
            ValueError: If they differ.
        """
        self._replayed(_another(batch))
        diff = float(np.max(np.abs(self._replayed(batch) - plain)))
        if not diff <= TOLERANCE:  # which NaN is not
            raise ValueError(f"logits {diff:g} off")

    def _give_up(self, batch: EncodedBatch, reason: str) -> NDArray[np.float32]:
        """Replay no more, and return a plain run, which fails if the device did not outlive it."""
        self._has_given_up = True
        logger.warning(
            "expected a CUDA graph of %d tokens to answer as the plain run within %g, got %s; "
            "all texts run plainly from now on",
            batch.input_ids.shape[1], TOLERANCE, reason,
        )  # fmt: skip
        return self._plain(batch)

    def _replayed(self, batch: EncodedBatch) -> NDArray[np.float32]:
        bound = self._buffers.load(batch)
        self._buffers.run(bound)
        return self._buffers.read(bound)


def _another(batch: EncodedBatch) -> EncodedBatch:
    """Return a text of the same shape with other tokens and another mask."""
    mask = np.ones_like(batch.attention_mask)
    if batch.attention_mask.all():
        mask[:, mask.shape[1] // 2 + 1 :] = 0
    return EncodedBatch(batch.input_ids[:, ::-1].copy(), mask)
