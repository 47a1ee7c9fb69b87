"""Tests how batches are shared out among lanes: in order, all of them, and evenly."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from serve.encoding import EncodedBatch
from serve.running.lanes import TASK_TOKENS, Lanes, tasks


def batch(num_tokens: int, *, number: int = 0) -> EncodedBatch:
    ids = np.full((1, num_tokens), number, dtype=np.int64)
    return EncodedBatch(ids, np.ones_like(ids))


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([10] * 8, [40, 40]),  # sixteen lines of five tokens keep both lanes busy
        ([8, 9, 10, 11, 12], [27, 23]),
        ([30, 5, 5], [30, 10]),
        ([5], [5]),
        ([TASK_TOKENS] * 5, [TASK_TOKENS] * 5),
        ([100] * 12, [300, 300, 300, 300]),  # at least TASK_TOKENS each
    ],
)
def test_lanes_get_even_shares_until_a_share_is_a_task(
    lengths: list[int], expected: list[int]
) -> None:
    batches = [batch(length, number=number) for number, length in enumerate(lengths)]
    shared = list(tasks(batches, 2))
    assert [sum(b.input_ids.size for b in task) for task in shared] == expected
    assert [b for task in shared for b in task] == batches
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
    first, second = Lanes(Meeting(2), 2).logits(batches)
    assert (first[0, 0], second[0, 0]) == (0, 1)
