"""Tests recorded runs: what is recorded, what is trusted, and a recording that is not.

A CPU records nothing, so buffers that answer as a recording would, good or bad, stand in for it.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from serve.encoding import EncodedBatch
from serve.running.replay import MAX_LENGTHS, TOLERANCE, Replay


def batch_of(*rows: list[int], padding: int = 0) -> EncodedBatch:
    ids = np.array(rows, dtype=np.int64)
    mask = np.ones_like(ids)
    mask[:, ids.shape[1] - padding :] = 0
    return EncodedBatch(ids, mask)


def answer(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.cumsum(ids * mask, axis=1)[..., None].astype(np.float32)


def expected(batch: EncodedBatch) -> NDArray[np.float32]:
    return answer(batch.input_ids, batch.attention_mask)


class Recorder:
    """Buffers, and a plain run beside them, that remember who was asked.

    Recordings are each thread's own, as ONNX Runtime's are.
    """

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.asked: list[str] = []
        self.threads: dict[threading.Thread, None] = {}
        self.most_at_once = 0
        self._at_once = 0
        self._own = threading.local()

    def plain(self, batch: EncodedBatch) -> NDArray[np.float32]:
        self.asked.append("plain")
        self.threads[threading.current_thread()] = None
        if self.fault == "kills" and "replay" in self.asked:
            raise RuntimeError("CUDA error 700\nmore")
        return expected(batch)

    def load(self, batch: EncodedBatch) -> EncodedBatch:
        return batch

    def run(self, bound: EncodedBatch) -> None:
        self.asked.append("replay")
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        if self.fault == "slow":
            time.sleep(0.001)
        self._at_once -= 1
        is_late = self.fault == "late" and self.asked.count("replay") > 3
        if self.fault == "struck":
            raise TimeoutError("by a signal")
        if is_late or self.fault in ("fails", "kills"):
            raise RuntimeError("CUDA error 901\nmore")
        shapes = self._own.__dict__.setdefault("shapes", {})
        shapes.setdefault(bound.input_ids.shape, (bound.input_ids, bound.attention_mask))

    def read(self, bound: EncodedBatch) -> NDArray[np.float32]:
        ids, mask = self._own.shapes[bound.input_ids.shape]
        frozen = self.fault in ("frozen", "frozen ids"), self.fault in ("frozen", "frozen mask")
        read = answer(
            ids if frozen[0] else bound.input_ids, mask if frozen[1] else bound.attention_mask
        )
        off = {"nan": np.nan, "off": 1.1 * TOLERANCE}.get(self.fault, 0.0)
        return read + np.float32(off)


def replay_of(recorder: Recorder) -> Replay:
    return Replay(recorder.plain, recorder)


def test_a_length_is_recorded_once_and_then_replayed() -> None:
    recorder = Recorder()
    replay = replay_of(recorder)
    for text in (batch_of([1, 2, 3]), batch_of([4, 5, 6], padding=1), batch_of([7, 8, 9])):
        np.testing.assert_array_equal(replay.logits(text), expected(text))
    assert recorder.asked == ["plain", "replay", "replay", "replay", "replay"]
    assert replay.lengths == {3}


def test_several_texts_are_not_recorded() -> None:
    recorder = Recorder()
    batch = batch_of([1, 2], [3, 4])
    np.testing.assert_array_equal(replay_of(recorder).logits(batch), expected(batch))
    assert recorder.asked == ["plain"]


def test_what_was_checked_answers_whichever_thread_asks() -> None:
    """The first thread's own, and one for all others."""
    recorder = Recorder()
    replay = replay_of(recorder)
    texts = [batch_of([number, 2, 3]) for number in range(40)]
    replay.logits(texts[0])
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(replay.logits, texts)
        for text in texts:
            np.testing.assert_array_equal(replay.logits(text), expected(text))
        for text, logits in zip(texts, answers, strict=True):
            np.testing.assert_array_equal(logits, expected(text))
    assert recorder.asked.count("plain") == 2
    assert recorder.asked.count("replay") == (2 + 40) + (2 + 39)
    (own, others) = recorder.threads
    assert own is threading.current_thread()
    assert others.name.startswith("replay")


def test_a_thread_that_ends_leaves_its_recordings_to_nobody() -> None:
    """The next one may have its number, and has none of what ONNX Runtime keeps for it."""
    recorder = Recorder()
    replay = replay_of(recorder)
    for number in range(3):
        text = batch_of([number, 2, 3])
        with ThreadPoolExecutor(1) as pool:
            np.testing.assert_array_equal(pool.submit(replay.logits, text).result(), expected(text))
    assert recorder.asked.count("plain") == 2
    assert [thread.name.startswith("replay") for thread in recorder.threads] == [False, True]


def test_once_python_is_ending_other_threads_run_plainly() -> None:
    """They have no recordings, and the thread that had takes no more work."""
    recorder = Recorder()
    replay = replay_of(recorder)
    replay.logits(batch_of([1, 2, 3]))
    recorder.asked.clear()
    replay._worker.shutdown()
    text = batch_of([4, 5, 6])
    with ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            np.testing.assert_array_equal(pool.submit(replay.logits, text).result(), expected(text))
    assert recorder.asked == ["plain", "plain"]
    np.testing.assert_array_equal(replay.logits(text), expected(text))
    assert recorder.asked[2:] == ["replay"]


def test_no_two_runs_are_at_the_same_time() -> None:
    recorder = Recorder("slow")
    replay = replay_of(recorder)
    replay.logits(batch_of([1, 2, 3]))
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(replay.logits, batch_of([n, 2, 3])) for n in range(20)]
        for n in range(20):
            replay.logits(batch_of([n, 2, 3]))
        for other in others:
            other.result()
    assert recorder.most_at_once == 1


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(
    ("fault", "got"),
    [
        ("frozen", "off"),
        ("frozen ids", "off"),
        ("frozen mask", "off"),
        ("nan", "logits nan off"),
        ("off", "logits 0.055"),
        ("fails", "got CUDA error 901; all"),
    ],
)
def test_a_bad_recording_is_told_and_never_answers(
    fault: str, got: str, padding: int, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(fault)
    replay = replay_of(recorder)
    with caplog.at_level(logging.WARNING, "serve"):
        for text in (batch_of([1, 2, 5], padding=padding), batch_of([4, 5, 6]), batch_of([7, 8])):
            np.testing.assert_array_equal(replay.logits(text), expected(text))
    (warning,) = caplog.messages
    assert warning.startswith("expected a CUDA graph of 3 tokens to answer as the plain run within")
    assert got in warning
    assert recorder.asked[-3:] == ["plain"] * 3, "nor is another length tried"
    assert replay.lengths == frozenset()


def test_a_recording_that_fails_later_is_given_up() -> None:
    recorder = Recorder("late")
    replay = replay_of(recorder)
    for number in range(4):
        text = batch_of([number, 2, 3])
        np.testing.assert_array_equal(replay.logits(text), expected(text))
    assert recorder.asked[-3:] == ["replay", "plain", "plain"]


def test_what_a_signal_raises_in_a_recording_is_not_the_recordings_fault() -> None:
    recorder = Recorder("struck")
    replay = replay_of(recorder)
    with pytest.raises(TimeoutError):
        replay.logits(batch_of([1, 2, 3]))
    recorder.fault = ""
    replay.logits(batch_of([1, 2, 3]))
    assert replay.lengths == {3}


def test_a_device_that_did_not_outlive_a_recording_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="CUDA error 700"):
        replay_of(Recorder("kills")).logits(batch_of([1, 2, 3]))


def test_lengths_without_end_are_not_recorded_without_end() -> None:
    recorder = Recorder()
    replay = replay_of(recorder)
    for length in range(2, MAX_LENGTHS + 10):
        text = batch_of(list(range(length)))
        np.testing.assert_array_equal(replay.logits(text), expected(text))
    assert recorder.asked.count("replay") == 2 * MAX_LENGTHS
