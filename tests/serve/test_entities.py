"""Tests the policy from tags to entities."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.entities import Entity, decode_entities, write_entities


def spans(*tags: str) -> list[tuple[str, int, int]]:
    offsets = [(10 * word, 10 * word + 5) for word in range(len(tags))]
    found = decode_entities(tags, [1.0] * len(tags), offsets)
    return [(entity.label, entity.start // 10, entity.end // 10) for entity in found]


def test_a_run_of_b_and_i_is_one_entity() -> None:
    assert spans("O", "B-x", "I-x", "I-x", "O") == [("x", 1, 3)]


def test_b_after_b_starts_another_entity() -> None:
    assert spans("B-x", "B-x") == [("x", 0, 0), ("x", 1, 1)]


def test_i_without_b_starts_an_entity() -> None:
    assert spans("I-x", "I-x", "O", "I-x") == [("x", 0, 1), ("x", 3, 3)]


def test_i_of_another_label_starts_an_entity() -> None:
    assert spans("B-x", "I-y", "I-y", "I-x") == [("x", 0, 0), ("y", 1, 2), ("x", 3, 3)]


def test_no_words_no_entities() -> None:
    assert spans() == []


def test_the_score_is_the_mean_of_the_words() -> None:
    (entity,) = decode_entities(["B-x", "I-x"], [0.5, 1.0], [(0, 3), (4, 9)])
    assert entity == Entity("x", 0, 9, 0.75)
    assert entity.to_json() == {"label": "x", "start": 0, "end": 9, "score": 0.75}


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="got 1 tags, 2 scores and 0 offsets"):
        decode_entities(["O"], [1.0, 1.0], [])


@given(st.lists(st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y"])))
def test_entities_hold_every_tagged_word_once_and_in_order(tags: list[str]) -> None:
    covered = [word for _, first, last in spans(*tags) for word in range(first, last + 1)]
    assert covered == [word for word, tag in enumerate(tags) if tag != "O"]


entities = st.builds(
    Entity, st.text(), st.integers(0), st.integers(0), st.floats(0, 1, allow_subnormal=True)
)


@given(st.lists(entities))
def test_what_is_written_reads_as_json_alike(found: list[Entity]) -> None:
    assert json.loads(write_entities(found)) == [entity.to_json() for entity in found]
