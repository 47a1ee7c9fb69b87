"""Tests as properties that what is written in a format is what is read from it."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.examples import Example, Span
from train.formats.flat import Reading
from train.formats.registry import FORMATS, read_examples, write_examples
from train.formats.schemes import Scheme, SchemeDetector, WordSpan, tags_of, violations, word_spans
from train.formats.words import Words, Writing, spans_of_words, word_offsets

LABELS = st.sampled_from(["Act", "Item", "Übung 2", "A/B"])
BRAT_LABELS = st.sampled_from(["Act", "Item_2", "A-B"])
WITHOUT_SURROGATES = st.characters(exclude_categories=["Cs"])
WORD_CHARS = st.characters(exclude_categories=["Cs"], exclude_characters=" \t\r\n")
WORDS = st.text(WORD_CHARS, min_size=1, max_size=6).filter(lambda word: word != "-DOCSTART-")


@st.composite
def word_ranges(draw: st.DrawFn, num_words: int, labels: st.SearchStrategy[str]) -> list[WordSpan]:
    """Draw disjoint ranges of words, in order."""
    borders = draw(st.lists(st.integers(0, num_words), unique=True).map(sorted))
    pairs = pairwise(borders)
    return [WordSpan(*pair, draw(labels)) for pair in pairs if draw(st.booleans())]


@st.composite
def examples_of_words(draw: st.DrawFn, labels: st.SearchStrategy[str] = LABELS) -> Example:
    """Draw words, single blanks between them, with spans that begin and end with one."""
    words = draw(st.lists(WORDS, min_size=1, max_size=8))
    ranges = draw(word_ranges(len(words), labels))
    offsets = word_offsets(" ".join(words), Words.BLANKS)
    spans = (Span(offsets[r.first_word][0], offsets[r.end_word - 1][1], r.label) for r in ranges)
    return Example(" ".join(words), tuple(spans))


def examples_of_characters(
    chars: st.SearchStrategy[str], labels: st.SearchStrategy[str]
) -> st.SearchStrategy[Example]:
    """Return any text with any spans that do not overlap."""

    @st.composite
    def example(draw: st.DrawFn) -> Example:
        text = draw(st.text(chars, max_size=20))
        ranges = draw(word_ranges(len(text), labels))
        return Example(text, tuple(Span(r.first_word, r.end_word, r.label) for r in ranges))

    return example()


ANY = examples_of_characters(WITHOUT_SURROGATES, LABELS)
LINES = examples_of_characters(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), BRAT_LABELS
).filter(lambda example: bool(example.text.strip()))


def written_and_read(examples: list[Example], name: str, writing: Writing) -> list[Example]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        write_examples(path, name, [("in", example) for example in examples], writing)
        reading = Reading(format=name, label_level=0)
        return [example for _, example in read_examples(path, reading)]


@pytest.mark.parametrize("name", ["jsonl", "doccano", "label-studio"])
@settings(deadline=None, max_examples=60)
@given(st.lists(ANY, max_size=4))
def test_any_text_with_any_spans_comes_back_from_json(name: str, examples: list[Example]) -> None:
    assert written_and_read(examples, name, Writing()) == examples


@settings(deadline=None, max_examples=60)
@given(st.lists(LINES, max_size=4))
def test_any_line_with_any_spans_comes_back_from_brat(examples: list[Example]) -> None:
    assert written_and_read(examples, "brat", Writing()) == examples


@pytest.mark.parametrize("name", ["conll", "maintie"])
@settings(deadline=None, max_examples=60)
@given(st.lists(examples_of_words(), max_size=4))
def test_words_and_their_spans_come_back(name: str, examples: list[Example]) -> None:
    assert written_and_read(examples, name, Writing()) == examples


@pytest.mark.parametrize("scheme", Scheme)
@settings(deadline=None, max_examples=40)
@given(st.lists(examples_of_words(), max_size=4))
def test_words_come_back_in_every_scheme(scheme: Scheme, examples: list[Example]) -> None:
    found = written_and_read(examples, "conll", Writing(scheme=scheme))
    if scheme is Scheme.IO:  # which cannot part two entities of one label that touch
        assert [example.text for example in found] == [example.text for example in examples]
        assert sum(len(e.spans) for e in found) <= sum(len(e.spans) for e in examples)
    else:
        assert found == examples


@settings(deadline=None, max_examples=60)
@given(ANY)
def test_any_spans_are_widened_to_words_that_then_come_back(example: Example) -> None:
    for name in ("conll", "maintie"):
        for words in Words:
            writing = Writing(words=words, widen=True)
            found = written_and_read([example], name, writing)
            offsets = word_offsets(example.text, words)
            ranges = spans_of_words(example, offsets, widen=True)
            if not offsets and name == "conll":
                assert found == []
                continue
            (again,) = found
            assert again.text == " ".join(example.text[start:end] for start, end in offsets)
            assert [span.label for span in again.spans] == [span.label for span in ranges]


PAIRS = [(a, b) for a in FORMATS for b in FORMATS if a != b]


@settings(deadline=None, max_examples=15)
@given(st.lists(examples_of_words(BRAT_LABELS), min_size=1, max_size=3))
def test_words_pass_through_any_two_formats(examples: list[Example]) -> None:
    plain = [example for example in examples if example.text.strip()]  # brat has no other lines
    for first, second in PAIRS:
        found = written_and_read(plain, first, Writing())
        assert written_and_read(found, second, Writing()) == plain, f"{first} to {second}"


def detected(tags: list[str]) -> SchemeDetector:
    detector = SchemeDetector()
    for previous, tag in zip(["O", *tags], tags, strict=False):
        detector.see(tag, previous)
    return detector


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), word_ranges(n, LABELS))))
def test_tags_of_every_scheme_mean_their_spans_and_break_no_rule(
    drawn: tuple[int, list[WordSpan]],
) -> None:
    num_words, spans = drawn
    for scheme in set(Scheme) - {Scheme.IO}:
        tags = tags_of(num_words, spans, scheme)
        assert word_spans(tags) == spans
        assert list(violations(tags, scheme)) == []
        assert detected(tags).num_ill_formed == 0


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), word_ranges(n, LABELS))))
def test_every_scheme_is_told_by_name_where_its_tags_are_no_others(
    drawn: tuple[int, list[WordSpan]],
) -> None:
    num_words, spans = drawn
    written = {scheme: tags_of(num_words, spans, scheme) for scheme in Scheme}
    for tags in written.values():
        told = detected(tags).scheme
        assert told in {scheme for scheme in Scheme if written[scheme] == tags}
