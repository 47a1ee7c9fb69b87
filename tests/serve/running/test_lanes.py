"""Tests how batches are shared out among lanes: all of them, evenly, each answer in its place."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from operator import itemgetter

import numpy as np
import pytest
from numpy.typing import NDArray

from serve.encoding import EncodedBatch
from serve.errors import GraphError
from serve.running.lanes import TASK_TOKENS, Lanes, tasks
from tests.serve.forked import holds_in_a_child

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def batch(num_tokens: int, *, number: int = 0) -> EncodedBatch:
    ids = np.full((1, num_tokens), number, dtype=np.int64)
    return EncodedBatch(ids, np.ones_like(ids))


def answers(lanes: Lanes, batches: list[EncodedBatch]) -> list[int]:
    """Return the first number of each batch's answer, in the order of the batches."""
    return [int(logits[0, 0]) for _, logits in sorted(lanes.logits(batches), key=itemgetter(0))]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([10] * 8, [40, 40]),  # sixteen lines of five tokens keep both lanes busy
        ([8, 9, 10, 11, 12], [33, 17]),
        ([30, 5, 5], [30, 10]),
        ([5], [5]),
        ([TASK_TOKENS] * 5, [TASK_TOKENS] * 5),
        ([100] * 12, [300, 300, 200, 100, 100, 100, 100]),  # a quarter of what is left
        ([20, 200, 60, 250, 40], [250, 200, 100, 20]),
    ],
)
def test_lanes_get_even_shares_until_a_share_is_a_task_and_less_towards_the_end(
    sizes: list[int], expected: list[int]
) -> None:
    shared = list(tasks(sizes, 2))
    assert [sum(sizes[place] for place in task) for task in shared] == expected
    assert sorted(place for task in shared for place in task) == list(range(len(sizes)))
    assert list(tasks([], 2)) == []


class Meeting:
    """A backend whose calls wait until as many run as there are lanes."""

    def __init__(self, num_lanes: int) -> None:
        self._barrier = threading.Barrier(num_lanes, timeout=10.0)

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        self._barrier.wait()
        return batch.input_ids.astype(np.float32)


def test_few_short_batches_run_on_every_lane_at_once_and_answer_in_order() -> None:
    batches = [batch(8, number=number) for number in range(2)]
    assert answers(Lanes(Meeting(2), 2), batches) == [0, 1]


class Failing:
    """A backend that counts its calls and fails each."""

    def __init__(self) -> None:
        self.num_calls = 0

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        self.num_calls += 1
        time.sleep(0.01)  # the caller sees the first error before the lane is through
        raise GraphError(f"cannot take {batch.input_ids.size} tokens")


def test_a_forks_child_has_threads_of_its_own() -> None:
    """None of the parent's are there, and a process's id may come again."""
    lanes = Lanes(Doubling(), 2)
    batches = [batch(8, number=number) for number in range(4)]
    assert answers(lanes, batches) == [0, 2, 4, 6]
    parents = os.getpid()

    def holds() -> bool:
        os.getpid = lambda: parents
        return answers(lanes, batches) == [0, 2, 4, 6]

    assert holds_in_a_child(holds)


class Doubling:
    """A backend that doubles ids."""

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        return 2 * batch.input_ids.astype(np.float32)


LATE = """
import threading
from tests.serve.running.test_lanes import Doubling, Lanes, answers, batch

def late():
    threading.main_thread().join()  # Python has shut all pools by then
    batches = [batch(8, number=number) for number in range(4)]
    print(answers(lanes, batches))

lanes = Lanes(Doubling(), 2)
threading.Thread(target=late).start()
"""


def test_a_thread_that_outlives_the_main_thread_is_answered() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[0, 2, 4, 6]\n", "")


def test_after_an_error_batches_that_wait_are_not_run() -> None:
    backend = Failing()
    lanes = Lanes(backend, 1)
    with pytest.raises(GraphError):
        list(lanes.logits([batch(TASK_TOKENS) for _ in range(50)]))
    lanes._pool.shutdown(wait=True)  # whatever was not called off has run by then
    assert backend.num_calls < 50


def test_answers_are_those_of_the_batches_though_the_largest_run_first() -> None:
    batches = [batch(8, number=0), batch(300, number=1), batch(90, number=2), batch(9, number=3)]
    lanes = Lanes(Meeting(1), 2)
    assert answers(lanes, batches) == [0, 1, 2, 3]
    assert [place for place, _ in lanes.logits(batches)] == [1, 2, 3, 0]


def test_an_answer_does_not_wait_for_a_short_batch_that_runs_last() -> None:
    last = threading.Event()

    class Waiting(Doubling):
        def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
            assert batch.input_ids.size > 8 or last.wait(10.0)
            return super().logits(batch)

    batches = [batch(8, number=0), batch(300, number=1), batch(300, number=2)]
    done = Lanes(Waiting(), 2).logits(batches)
    assert [next(done)[0], next(done)[0]] == [1, 2]
    last.set()
    assert [place for place, _ in done] == [0]
