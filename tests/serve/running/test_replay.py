"""Tests recorded runs: what is recorded, what is trusted, and a recording that is not.

A CPU records nothing, so buffers that answer as a bad recording would stand in for it.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest
from numpy.typing import NDArray

from serve.encoding import EncodedBatch
from serve.running.replay import MAX_LENGTHS, Replay


def batch_of(*rows: list[int]) -> EncodedBatch:
    ids = np.array(rows, dtype=np.int64)
    return EncodedBatch(ids, np.ones_like(ids))


def answer(batch: EncodedBatch) -> NDArray[np.float32]:
    return np.cumsum(batch.input_ids, axis=1)[..., None].astype(np.float32)


class Recorder:
    """Buffers, and a plain run beside them, that remember who was asked."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.asked: list[str] = []
        self._recorded: dict[tuple[int, ...], NDArray[np.float32]] = {}

    def plain(self, batch: EncodedBatch) -> NDArray[np.float32]:
        self.asked.append("plain")
        return answer(batch)

    def load(self, batch: EncodedBatch) -> EncodedBatch:
        return batch

    def run(self, bound: EncodedBatch) -> None:
        self.asked.append("replay")
        if self.fault == "fails":
            raise RuntimeError("CUDA error 901")
        self._recorded.setdefault(bound.input_ids.shape, answer(bound))

    def read(self, bound: EncodedBatch) -> NDArray[np.float32]:
        if self.fault == "stale":
            return self._recorded[bound.input_ids.shape]
        return answer(bound) * (np.nan if self.fault == "nan" else 1.0)


def replay_of(recorder: Recorder) -> Replay:
    return Replay(recorder.plain, recorder)  # type: ignore[arg-type]


def test_a_length_is_recorded_once_and_then_replayed() -> None:
    recorder = Recorder()
    replay = replay_of(recorder)
    texts = [batch_of([1, 2, 3]), batch_of([4, 5, 6]), batch_of([7, 8, 9])]
    for text in texts:
        np.testing.assert_array_equal(replay.logits(text), answer(text))
    assert recorder.asked == ["plain", "replay", "replay", "replay", "replay"]


def test_several_texts_are_not_recorded() -> None:
    recorder = Recorder()
    batch = batch_of([1, 2], [3, 4])
    np.testing.assert_array_equal(replay_of(recorder).logits(batch), answer(batch))
    assert recorder.asked == ["plain"]


@pytest.mark.parametrize(("fault", "got"), [("stale", "got 4;"), ("nan", "nan"), ("fails", "901")])
def test_a_bad_recording_is_told_and_never_answers(
    fault: str, got: str, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(fault)
    replay = replay_of(recorder)
    with caplog.at_level(logging.WARNING, "serve"):
        for text in (batch_of([1, 2, 5]), batch_of([4, 5, 6]), batch_of([7, 8])):
            np.testing.assert_array_equal(replay.logits(text), answer(text))
    (warning,) = caplog.messages
    assert warning.startswith("expected a CUDA graph of 3 tokens to answer as the plain run within")
    assert got in warning
    assert "replay" not in recorder.asked[3:], "nor is another length tried"


def test_lengths_without_end_are_not_recorded_without_end() -> None:
    recorder = Recorder()
    replay = replay_of(recorder)
    for length in range(1, MAX_LENGTHS + 10):
        text = batch_of(list(range(length)))
        np.testing.assert_array_equal(replay.logits(text), answer(text))
    assert recorder.asked.count("replay") == 2 * MAX_LENGTHS
