import json
from collections import Counter
from pathlib import Path

import pytest

from serve.examples import Example, Span
from train.formats.flat import Overlaps, Reading
from train.formats.maintie import parse, write
from train.formats.registry import read_examples
from train.formats.words import Writing

ROW = {
    "text": "eng oil",
    "tokens": ["engine", "oil"],
    "entities": [
        {"start": 0, "end": 2, "type": "PhysicalObject/Substance/Liquid"},
        {"start": 0, "end": 1, "type": "PhysicalObject/DrivingObject"},
    ],
    "relations": [],
}


def test_entities_of_tokens_become_spans_of_the_tokens_text() -> None:
    record = parse("a:1", ROW)
    assert record.text == "engine oil"
    assert record.spans == (
        Span(0, 10, "PhysicalObject/Substance/Liquid"),
        Span(0, 6, "PhysicalObject/DrivingObject"),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": None}, 'expected a list of words under "tokens", got None'),
        ({"tokens": [1]}, r'expected a list of words under "tokens", got \[1\]'),
        ({"entities": {}}, r'expected a list under "entities", got \{\}'),
        ({"entities": [{"start": 0, "end": 1}]}, r"expected start, end and type at entities\[0\]"),
        (
            {"entities": [{"start": 0, "end": 3, "type": "A"}]},
            r"expected 0 <= start < end <= 2, the number of tokens, at entities\[0\], got start 0 "
            "and end 3",
        ),
        ({"entities": [{"start": 1, "end": 1, "type": "A"}]}, "expected 0 <= start < end"),
        ({"entities": [{"start": -1, "end": 1, "type": "A"}]}, "expected 0 <= start < end"),
        (
            {"entities": [{"start": "0", "end": 1, "type": "A"}]},
            r"expected whole numbers as start and end at entities\[0\], got '0' and 1",
        ),
    ],
)
def test_a_broken_row_is_refused_with_the_path_into_it(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        parse("a:1", ROW | change)


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an object with tokens and entities, got 3"):
        parse("a:1", 3)


def test_ranges_of_words_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, [Example("new oil pump", (Span(4, 12, "Item"),)), Example("", ())], Writing())
    first, second = json.loads(path.read_text())
    assert first["tokens"] == ["new", "oil", "pump"]
    assert first["entities"] == [{"start": 1, "end": 3, "type": "Item"}]
    assert (second["tokens"], second["relations"]) == ([], [])


def test_the_gold_release_is_read_flat_with_its_five_classes(shared_data: Path) -> None:
    path = shared_data / "maintie" / "gold_release.json"
    found = [example for _, example in read_examples(path, Reading())]
    labels = Counter(span.label for example in found for span in example.spans)
    assert len(found) == 1076
    assert labels.total() == 3035, "as its source note says of longest-first"
    assert set(labels) == {"PhysicalObject", "Activity", "State", "Process", "Property"}


@pytest.mark.parametrize(("level", "num_labels"), [(1, 5), (0, 155)])
def test_the_gold_releases_label_level_is_chosen(
    shared_data: Path, level: int, num_labels: int
) -> None:
    path = shared_data / "maintie" / "gold_release.json"
    reading = Reading(label_level=level, overlaps=Overlaps.LONGEST)
    labels = {span.label for record, _ in read_examples(path, reading) for span in record.spans}
    cut = {"/".join(label.split("/")[: level or None]) for label in labels}
    assert len(cut) == num_labels, "of the types used, nested ones included"
