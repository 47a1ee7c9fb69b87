"""Tests the tag set."""

from __future__ import annotations

import pytest

from serve.labels import Tags


def test_tags_of_labels_are_sorted_with_o_first() -> None:
    tags = Tags.from_labels(["b", "a", "b"])
    assert tags.names == ("O", "B-a", "I-a", "B-b", "I-b")
    assert tags.labels == ("a", "b")
    assert len(tags) == 5


def test_every_tag_has_the_id_of_its_place() -> None:
    tags = Tags(("B-x", "O", "I-x"))
    assert [tags.id_of(name) for name in tags.names] == [0, 1, 2]
    with pytest.raises(KeyError):
        tags.id_of("B-y")


def test_a_label_may_hold_a_hyphen_a_blank_and_any_script() -> None:
    for label in ("B-1", "Not working", "Tätigkeit", "設備"):
        assert Tags.from_labels([label]).labels == (label,)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("O", "X-a"), "expected tags O, B-X or I-X, got 'X-a'"),
        (("O", "B-"), "expected tags O, B-X or I-X, got 'B-'"),
        (("O", "B-a\x1b[2J"), r"expected tags of printable characters, got 'B-a\\x1b\[2J'"),
        (("O", "B-\u202ea"), "expected tags of printable characters"),
        (("O", ""), "expected tags O, B-X or I-X, got ''"),
        (("O", "I-a"), r"expected B-a beside I-a, got \['O', 'I-a'\]"),
        (("B-a",), r"expected the tag O, got \['B-a'\]"),
        (("O", "B-a", "B-a"), "expected every tag once"),
    ],
)
def test_a_tag_set_that_cannot_be_decoded_is_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Tags(names)
