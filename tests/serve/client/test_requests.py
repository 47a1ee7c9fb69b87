"""Tests how texts become requests, and a model's rows become entities and typed answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from serve.client.requests import (
    MAX_REQUEST_CHARS,
    MAX_REQUEST_TEXTS,
    Requests,
    answers,
    check_sendable,
    checked,
    cut,
    read_entities,
)
from serve.client.steps import Answered
from serve.entities import Entity
from serve.errors import AnswerError, DataError
from serve.limits import MAX_CHARS
from serve.triton.names import ENTITIES, MAX_BATCH_SIZE

GOOD = {"label": "Item", "start": 4, "end": 8, "score": 0.5}


def test_no_two_requests_have_one_number() -> None:
    one, other = Requests(), Requests()
    made = [each.make(["x"], ENTITIES).request_id for each in (one, other) for _ in range(100)]
    assert len(set(made)) == 200


def test_texts_are_cut_by_number_and_by_length_and_none_is_lost() -> None:
    texts = [*["x" * 10] * 150, "y" * MAX_CHARS, *["z" * 1_000] * 5, ""]
    runs = list(cut(texts))
    assert [text for run in runs for text in run] == texts
    assert max(map(len, runs)) == MAX_REQUEST_TEXTS <= MAX_BATCH_SIZE
    for run in runs:
        assert len(run) == 1 or sum(map(len, run)) <= MAX_REQUEST_CHARS
    assert list(cut([])) == []
    full = ["x", "y" * (MAX_REQUEST_CHARS - 1)]
    assert list(cut([*full, "z", *full])) == [full, ["z", "x"], full[1:]]


def test_what_the_source_raises_comes_after_the_texts_before() -> None:
    def source() -> Iterator[str]:
        yield from ("a", "b")
        raise OSError("the file is gone")

    runs = cut(source())
    assert next(runs) == ["a", "b"]
    with pytest.raises(OSError, match="the file is gone"):
        next(runs)


def test_texts_that_must_not_be_sent_are_named() -> None:
    with pytest.raises(TypeError, match="expected texts, got one string; put it into a list"):
        list(checked("text", check_sendable))
    with pytest.raises(TypeError, match="text 1: expected a string, got bytes"):
        list(checked(["fine", b"bytes"], check_sendable))
    with pytest.raises(DataError, match=f"text 1: expected at most {MAX_CHARS} characters"):
        list(checked(["fine", "x" * (MAX_CHARS + 1)], check_sendable))
    with pytest.raises(DataError, match="text 0: expected valid Unicode, got a lone surrogate"):
        list(checked(["\ud800"], check_sendable))


@pytest.mark.parametrize(
    "changed",
    [
        {"start": -1},
        {"start": 8},
        {"end": 9},
        {"end": 4},
        {"start": 4.0},
        {"start": True},
        {"end": "8"},
        {"label": 3},
        {"label": None},
        {"label": "x" * 4_097},
        {"label": "\ud800"},
        {"score": "0.5"},
        {"score": float("nan")},
        {"score": 1.5},
        {"score": -0.1},
        {"score": None},
        {"score": True},
        {"unknown": 1},
    ],
)
def test_an_entity_that_does_not_fit_its_text_is_refused(changed: dict[str, object]) -> None:
    assert read_entities([GOOD], "fix pump") == [Entity("Item", 4, 8, 0.5)]
    message = r"score, one after the other within 8 characters, got \[\{"
    with pytest.raises(AnswerError, match=message):
        read_entities([{**GOOD, **changed}], "fix pump")


def test_entities_that_overlap_or_are_out_of_order_are_refused() -> None:
    first = {"label": "Activity", "start": 0, "end": 4, "score": 1}
    assert [entity.start for entity in read_entities([first, GOOD], "fix pump")] == [0, 4]
    for row in ([GOOD, first], [GOOD, GOOD], [{**first, "end": 5}, GOOD]):
        with pytest.raises(AnswerError, match="score, one after the other"):
            read_entities(row, "fix pump")


@pytest.mark.parametrize(
    "row", [None, 3, "text", "", {}, GOOD, [3], ["label"], [{}], {"label": "a"}]
)
def test_something_else_than_entities_is_refused(row: object) -> None:
    with pytest.raises(AnswerError, match="expected entities with label"):
        read_entities(row, "fix pump")


def test_an_answer_has_words_version_and_the_shape_of_transformers_pipeline() -> None:
    request = Requests().make(["fix 🔧 pump", ""], ENTITIES)
    rows = [[Entity("Tool", 4, 5, 0.25), Entity("Item", 6, 10, 1.0)], []]
    first, second = answers(request, Answered(rows, "12"))
    assert (first.text, first.version, first.request_id) == (
        "fix 🔧 pump",
        "12",
        request.request_id,
    )
    assert [entity.text for entity in first.entities] == ["🔧", "pump"]
    assert list(first.to_dict()) == ["text", "version", "entities"]
    assert first.to_dict()["entities"][0] == {
        "entity_group": "Tool",
        "score": 0.25,
        "word": "🔧",
        "start": 4,
        "end": 5,
    }
    assert list(first.to_dict()["entities"][0]) == ["entity_group", "score", "word", "start", "end"]
    assert json.loads(json.dumps(second.to_dict())) == {"text": "", "version": "12", "entities": []}
