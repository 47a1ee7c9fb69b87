"""Tests which windows run together: all of them once, and none beside one that would change it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.encoding import EncodedText, Window, bucket_of
from serve.running.schedule import BATCH_TOKENS, PlannedBatch, padded_length, plan
from serve.words import NO_WORD

MAX_TOKENS = 100
texts_of_lengths = st.lists(st.lists(st.integers(3, MAX_TOKENS), max_size=3), max_size=12)


def encoded(lengths: list[list[int]]) -> list[EncodedText]:
    """Return texts of windows of so many tokens, two words each, the first of which it begins."""
    return [
        EncodedText(
            tuple(
                Window([7] * num_tokens, [NO_WORD] * num_tokens, 2 * place, [1, 2])
                for place, num_tokens in enumerate(of_text)
            ),
            [(0, 1)] * 2 * len(of_text),
        )
        for of_text in lengths
    ]


def rows(batches: list[PlannedBatch]) -> dict[int, int]:
    """Return the length of the window whose words begin at each row."""
    pairs = [
        (row, len(window.input_ids))
        for batch in batches
        for window, row in zip(batch.windows, batch.first_rows, strict=True)
    ]
    assert len(pairs) == len(dict(pairs)), "each window once"
    return dict(pairs)


def lengths_of(batch: PlannedBatch) -> list[int]:
    return [len(window.input_ids) for window in batch.windows]


@given(texts_of_lengths)
@pytest.mark.parametrize("way", [{}, {"mixed": True}, {"alone": True}])
def test_every_window_runs_once_and_its_words_keep_their_rows(
    way: dict[str, bool], lengths: list[list[int]]
) -> None:
    batches = list(plan(encoded(lengths), max_tokens=MAX_TOKENS, batch_tokens=200, **way))
    flat = [num_tokens for of_text in lengths for num_tokens in of_text]
    assert rows(batches) == {2 * place: num_tokens for place, num_tokens in enumerate(flat)}
    assert all(max(lengths_of(batch)) <= batch.num_tokens for batch in batches)
    assert all(len(b.windows) == 1 or len(b.windows) * b.num_tokens <= 200 for b in batches)


@given(texts_of_lengths)
def test_a_window_is_padded_to_its_own_length_whichever_it_runs_with(
    lengths: list[list[int]],
) -> None:
    batches = list(plan(encoded(lengths), max_tokens=MAX_TOKENS, batch_tokens=200))
    for batch in batches:
        assert {bucket_of(n, MAX_TOKENS) for n in lengths_of(batch)} == {batch.num_tokens}
    for batch, after in pairwise(batches):
        is_full = (len(batch.windows) + 1) * batch.num_tokens > 200
        assert is_full or batch.num_tokens < after.num_tokens, "what fits together runs together"


@given(texts_of_lengths)
def test_alone_no_window_is_padded_or_has_a_neighbour(lengths: list[list[int]]) -> None:
    batches = list(plan(encoded(lengths), max_tokens=MAX_TOKENS, alone=True))
    flat = [num_tokens for of_text in lengths for num_tokens in of_text]
    assert [lengths_of(batch) for batch in batches] == [[num_tokens] for num_tokens in flat]
    assert [batch.num_tokens for batch in batches] == flat


def test_mixed_windows_of_all_lengths_run_together_the_shorter_ones_first() -> None:
    texts = encoded([[40], [3, 17], [90], [5]])
    (whole,) = plan(texts, max_tokens=MAX_TOKENS, mixed=True)
    assert (lengths_of(whole), whole.num_tokens) == ([3, 5, 17, 40, 90], 96)
    assert whole.first_rows == [2, 8, 4, 0, 6]
    portions = plan(texts, max_tokens=MAX_TOKENS, mixed=True, batch_tokens=100)
    assert [lengths_of(batch) for batch in portions] == [[3, 5, 17], [40], [90]]


def test_a_batch_holds_as_many_tokens_as_it_may() -> None:
    full = BATCH_TOKENS // 16
    batches = plan(encoded([[16]] * (full + 1)), max_tokens=MAX_TOKENS)
    assert [len(batch.windows) for batch in batches] == [full, 1]
    (longer,) = plan(encoded([[90]]), max_tokens=MAX_TOKENS, batch_tokens=50)
    assert lengths_of(longer) == [90]


def test_a_length_is_padded_unless_it_runs_alone() -> None:
    window = Window([7] * 33, [NO_WORD] * 33, 0, [1])
    assert padded_length(window, max_tokens=512, alone=True) == 33
    assert padded_length(window, max_tokens=512, alone=False) == 36
    assert padded_length(window, max_tokens=34, alone=False) == 34
