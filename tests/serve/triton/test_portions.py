"""Tests what the model takes on at once, and for whom."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serve.entities import Entity
from serve.errors import Refusal
from serve.triton.metering import Meter
from serve.triton.portions import (
    PORTION_CHARS,
    GoneError,
    Watch,
    abandoned,
    portions,
    tag_in_portions,
)

LONG, WHOLE = "a" * (PORTION_CHARS // 2), "a" * PORTION_CHARS


class Recorder:
    """Tags a text as one item, and keeps what it was given at once."""

    def __init__(self) -> None:
        self.given: list[list[str]] = []

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        self.given.append(list(texts))
        return [[Entity("Item", 0, len(text), 1.0)] for text in texts]


@given(st.lists(st.integers(0, 2 * PORTION_CHARS)))
@example([PORTION_CHARS, 1, PORTION_CHARS - 1, 1])
def test_portions_hold_each_text_once_in_order_and_are_as_large_as_allowed(
    lengths: list[int],
) -> None:
    parts = [lengths[part] for part in portions(lengths)]
    assert [length for part in parts for length in part] == lengths
    assert all(len(part) == 1 or sum(part) <= PORTION_CHARS for part in parts)
    assert all(sum(part) + after[0] > PORTION_CHARS for part, after in pairwise(parts))


def test_what_is_one_portion_goes_at_once_and_nobody_is_asked_after() -> None:
    recorder = Recorder()

    def is_wanted(owner: int) -> bool:
        raise AssertionError(owner)

    rows = tag_in_portions(recorder.tag, ["ab", LONG], [0, 1], is_wanted, Watch())
    assert recorder.given == [["ab", LONG]]
    assert [row[0].end for row in rows if row] == [2, len(LONG)]


def test_who_has_gone_by_the_time_of_a_portion_is_left_out_of_it() -> None:
    recorder = Recorder()
    gone = {1}

    def is_wanted(owner: int) -> bool:
        if len(recorder.given) == 1:
            gone.add(2)
        return owner not in gone

    texts = [LONG, "b", LONG, "d", "e"]
    owners = [0, 1, 2, 2, 3]
    rows = tag_in_portions(recorder.tag, texts, owners, is_wanted, Watch())
    assert recorder.given == [[LONG], ["e"]]
    assert [row is None for row in rows] == [False, True, True, True, False]
    assert abandoned(owners, rows) == {1, 2}


def test_a_portion_that_nobody_waits_for_any_more_is_left_undone_and_the_next_is_not() -> None:
    now = 0.0
    waiting = {0, 1, 2}
    watch = Watch(lambda: now)
    done: list[str] = []

    def tag(texts: Sequence[str]) -> list[list[Entity]]:
        """Take 0.3 s for each text; meanwhile one of the first two callers goes."""
        nonlocal now
        for text in texts:
            now += 0.3
            done.append(text)
            waiting.difference_update(waiting & {len(done) - 1} & {0, 1})
            watch.look()
        return [[] for _ in texts]

    texts, owners = ["a", "b", "c", "d", WHOLE, WHOLE], [0, 1, 1, 0, 2, 2]
    rows = tag_in_portions(tag, texts, owners, waiting.__contains__, watch)
    assert done == ["a", "b", WHOLE, WHOLE]
    assert rows == [None, None, None, None, [], []]


def test_a_watch_asks_four_times_a_second_whether_anybody_waits() -> None:
    now = 0.0
    asked: list[int] = []

    def is_wanted(owner: int) -> bool:
        asked.append(owner)
        return owner == 7

    watch = Watch(lambda: now)
    watch.look()
    watch.begin([3, 7], is_wanted)
    for later in (0.1, 0.24, 0.26, 0.4, 0.5, 0.52):
        now = later
        watch.look()
    assert asked == [3, 7, 3, 7]
    watch.begin([3, 4], is_wanted)
    now = 0.76
    watch.look()
    now = 0.78
    with pytest.raises(GoneError):
        watch.look()


def test_what_was_skipped_counts_as_abandoned_and_not_as_tagged() -> None:
    meter = Meter()
    meter.count_answers(["abc", "de"], [[], None], num_requests=1, seconds=0.5)
    meter.count_refusal(Refusal.ABANDONED)
    counts = dict(meter.take())
    assert counts["texts", ""] == 1
    assert counts["characters", ""] == 3
    assert counts["refusals", "abandoned"] == 1
