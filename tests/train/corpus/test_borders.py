from pathlib import Path

import pytest

from serve.encoding import Encoder
from serve.examples import Example, Span
from tests.families import byte_level_tokenizer
from train.corpus.borders import lost_spans, warn_of_lost_spans
from train.corpus.data import Split
from train.model.base import find_base

WORDS = [(0, 3), (4, 7), (7, 8)]  # of "abc def."


@pytest.fixture(scope="module")
def encoder(tiny_base: Path) -> Encoder:
    return find_base(str(tiny_base)).encoder()


@pytest.mark.parametrize(
    "span", [(0, 3), (0, 7), (4, 7), (4, 8), (7, 8), (0, 8)], ids=lambda span: f"{span}"
)
def test_a_span_of_whole_words_is_kept(span: tuple[int, int]) -> None:
    assert lost_spans(Example("abc def.", (Span(*span, "A"),)), WORDS) == []


@pytest.mark.parametrize(
    "span", [(0, 2), (1, 3), (3, 4), (3, 7), (0, 4), (0, 5), (5, 6)], ids=lambda span: f"{span}"
)
def test_a_span_off_the_borders_of_words_is_lost(span: tuple[int, int]) -> None:
    example = Example("abc def.", (Span(*span, "A"),))
    assert lost_spans(example, WORDS) == [*example.spans]


def test_of_two_spans_in_one_word_the_second_is_lost_with_the_first() -> None:
    example = Example("abc", (Span(0, 1, "A"), Span(1, 3, "B")))
    assert lost_spans(example, [(0, 3)]) == [*example.spans]


def test_the_number_of_lost_spans_and_the_first_one_are_said_once(
    encoder: Encoder, caplog: pytest.LogCaptureFixture
) -> None:
    examples = (
        Example("oil pump", (Span(0, 8, "Item"),)),
        Example("oil pumps", (Span(0, 8, "Item"),)),
        Example("pumps", (Span(0, 4, "Item"), Span(4, 5, "X"))),
    )
    places = ("a.jsonl:1", "a.jsonl:3", "a.jsonl:7")
    assert warn_of_lost_spans(Split(Path("a.jsonl"), places, examples), encoder) == 3
    (record,) = caplog.records
    assert record.getMessage() == (
        "warning: a.jsonl:3: expected spans that begin and end with a word, got 'oil pump' for "
        "Item, and 2 more such; they count as missed, move their borders to those of words, as "
        "python -m train convert --words punctuation --widen does"
    )


def test_a_span_that_ends_with_a_combining_mark_is_not_lost(encoder: Encoder) -> None:
    examples = (Example("oil cafe\u0301 pump", (Span(4, 9, "Item"),)),)
    assert warn_of_lost_spans(Split(Path("a.jsonl"), ("a.jsonl:1",), examples), encoder) == 0


def test_nothing_is_said_where_words_express_every_span(
    encoder: Encoder, caplog: pytest.LogCaptureFixture
) -> None:
    examples = (Example("oil pump", (Span(0, 8, "Item"),)), Example("", ()))
    warn_of_lost_spans(Split(Path("a.jsonl"), ("a.jsonl:1", "a.jsonl:2"), examples), encoder)
    assert not caplog.records


def test_words_between_blanks_are_reached_by_widening_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tokenizer = byte_level_tokenizer(["oil pump, hose"])
    encoder = Encoder(tokenizer, max_tokens=32, pad_id=0)
    examples = (Example("oil pump, hose", (Span(0, 8, "Item"),)),)
    assert warn_of_lost_spans(Split(Path("a.jsonl"), ("a.jsonl:1",), examples), encoder) == 1
    assert caplog.messages[0].endswith("as python -m train convert --widen does")
