"""Owns single texts on a GPU: each padded length is recorded as a CUDA graph once, and replayed.

A short text keeps a GPU busy for less time than it takes to launch its kernels one by one; a CUDA
graph launches all of them at once. A recording that went wrong would answer with what it saw when
it was recorded, so each is held against a plain run of another text before it is trusted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from serve.encoding import EncodedBatch
from serve.running.bound import Buffers

MAX_LENGTHS = 64
"""Most lengths that are recorded: `bucket_of` makes 40 of a model's 512 tokens."""
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
        self._is_sound: dict[int, bool] = {}
        self._lock = Lock()  # ONNX Runtime records and replays for one caller at a time

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return a score for each token and tag. Shape: (B, T, L)."""
        num_texts, length = batch.input_ids.shape
        with self._lock:
            if num_texts == 1 and length not in self._is_sound and self._has_room:
                return self._record(batch)
            if num_texts == 1 and self._is_sound.get(length):
                return self._replayed(batch)
            return self._plain(batch)

    @property
    def _has_room(self) -> bool:
        return len(self._is_sound) < MAX_LENGTHS and all(self._is_sound.values())

    def _record(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Record a length on a text turned round, replay it on the text, and return a plain run."""
        plain = self._plain(batch)
        length = batch.input_ids.shape[1]
        try:
            self._replayed(EncodedBatch(batch.input_ids[:, ::-1].copy(), batch.attention_mask))
            diff = float(np.max(np.abs(self._replayed(batch) - plain)))
            got, self._is_sound[length] = f"{diff:g}", diff <= TOLERANCE  # which NaN is not
        except Exception as error:  # ONNX Runtime's errors share no public base class
            got, self._is_sound[length] = str(error), False
        if not self._is_sound[length]:
            logger.warning(
                "expected a CUDA graph of %d tokens to answer as the plain run within %g, got %s; "
                "no more are recorded",
                length, TOLERANCE, got,
            )  # fmt: skip
        return plain

    def _replayed(self, batch: EncodedBatch) -> NDArray[np.float32]:
        bound = self._buffers.load(batch)
        self._buffers.run(bound)
        return self._buffers.read(bound)
