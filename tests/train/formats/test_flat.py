from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.errors import DataError
from serve.examples import Example, Span
from train.formats.flat import Overlaps, Reading, at_level, flat_example, longest
from train.formats.record import Record

LONGEST = Reading(overlaps=Overlaps.LONGEST, label_level=0)
REFUSE = Reading(overlaps=Overlaps.REFUSE, label_level=0)


def flat(reading: Reading, *spans: Span, text: str = "x" * 10) -> tuple[Span, ...]:
    return flat_example(Record("a:1", text, spans), reading).spans


def test_of_nested_spans_the_longest_stays() -> None:
    outer, inner, apart = Span(0, 8, "A"), Span(2, 4, "B"), Span(8, 10, "B")
    assert flat(LONGEST, inner, apart, outer) == (outer, apart)


def test_of_equally_long_ones_the_first_in_the_text_stays_then_the_first_by_name() -> None:
    assert flat(LONGEST, Span(1, 3, "A"), Span(0, 2, "B")) == (Span(0, 2, "B"),)
    assert flat(LONGEST, Span(0, 2, "B"), Span(0, 2, "A")) == (Span(0, 2, "A"),)


def test_what_a_dropped_span_overlapped_stays() -> None:
    chain = Span(0, 5, "A"), Span(4, 8, "A"), Span(7, 9, "A")
    assert flat(LONGEST, *chain) == (chain[0], chain[2])


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9), st.sampled_from("AB"))))
def test_longest_keeps_disjoint_spans_and_drops_only_for_a_longer_or_equal_one(
    drawn: list[tuple[int, int, str]],
) -> None:
    spans = [Span(start, start + length, label) for start, length, label in drawn]
    kept = longest(spans)
    Example("x" * 40, tuple(kept))  # refuses what is unsorted or overlaps
    for span in set(spans) - set(kept):
        overlapped = [k for k in kept if k.start < span.end and span.start < k.end]
        assert max(k.end - k.start for k in overlapped) >= span.end - span.start


def test_overlaps_are_refused_with_the_remedy() -> None:
    message = r"a:1: expected spans that do not overlap, got 'B'.*; --overlaps longest keeps the"
    with pytest.raises(DataError, match=message):
        flat(REFUSE, Span(0, 4, "A"), Span(2, 6, "B"))


@pytest.mark.parametrize(("level", "label"), [(1, "A"), (2, "A/B"), (0, "A/B/C"), (None, "A/B/C")])
def test_labels_are_cut_to_their_level(level: int | None, label: str) -> None:
    assert at_level(Span(0, 2, "A/B/C"), level) == Span(0, 2, label)


def test_a_label_that_would_be_cut_to_nothing_is_kept() -> None:
    assert at_level(Span(0, 1, "/A"), 1) == Span(0, 1, "/A")


def test_labels_are_merged_and_dropped_in_one_pass() -> None:
    spans = Span(0, 1, "A"), Span(1, 2, "B"), Span(2, 3, "C")
    mapping = Reading(label_map=(("A", "B"), ("B", "A"), ("C", "")))
    assert flat(mapping, *spans) == (Span(0, 1, "B"), Span(1, 2, "A"))


def test_spans_that_are_equal_once_their_labels_are_cut_or_mapped_are_one() -> None:
    same = Span(0, 2, "A"), Span(0, 2, "B"), Span(3, 4, "E")
    assert flat(Reading(label_map=(("A", "B"),)), *same) == (Span(0, 2, "B"), Span(3, 4, "E"))
    assert flat(REFUSE, Span(0, 2, "A"), Span(0, 2, "A")) == (Span(0, 2, "A"),)


def test_a_span_whose_label_is_dropped_is_in_no_others_way() -> None:
    outer, inner = Span(0, 8, "A"), Span(2, 4, "B")
    assert flat(replace(REFUSE, label_map=(("A", ""),)), outer, inner) == (inner,)
    assert flat(replace(LONGEST, label_map=(("A", ""),)), outer, inner) == (inner,)


@pytest.mark.parametrize("reading", [LONGEST, REFUSE])
def test_a_span_that_leaves_the_text_is_refused_even_where_a_longer_one_covers_it(
    reading: Reading,
) -> None:
    message = r"a:1: expected 0 <= start < end <= 10, .* got start 9 and end 11"
    with pytest.raises(DataError, match=message):
        flat(reading, Span(0, 10, "A"), Span(9, 11, "B"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * 20_001, "a:1: expected at most 20000 characters, got 20001; cut it up"),
        ("a\ud800", "a:1: expected valid Unicode, got a lone surrogate at 1"),
    ],
)
def test_a_text_that_cannot_be_tagged_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        flat(REFUSE, text=text)
