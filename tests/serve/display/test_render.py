"""Tests what a person sees."""

from __future__ import annotations

import re

from serve.display.render import Painter, printable
from serve.entities import Entity

TEXT = "replace oil pump"
ENTITIES = [Entity("Activity", 0, 7, 0.5), Entity("Item", 8, 16, 0.987654)]


def without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_colour_changes_no_character() -> None:
    painted = Painter(in_colour=True).line(TEXT, ENTITIES)
    assert painted != TEXT
    assert without_colour(painted) == TEXT


def test_a_label_keeps_its_colour_and_the_legend_shows_it() -> None:
    painter = Painter(in_colour=True)
    first = painter.line(TEXT, ENTITIES)
    assert painter.line(TEXT, ENTITIES) == first
    codes = re.findall(r"\x1b\[[0-9;]+m", first)
    assert codes[0] != codes[2]
    legend = painter.legend()
    assert without_colour(legend).split() == ["Activity", "Item"]
    assert re.findall(r"\x1b\[[0-9;]+m", legend) == codes


def test_without_colour_an_entity_stands_in_brackets() -> None:
    painter = Painter(in_colour=False)
    assert painter.line(TEXT, ENTITIES) == "[replace|Activity] [oil pump|Item]"
    assert painter.legend() == ""


def test_more_labels_than_colours_are_no_error() -> None:
    painter = Painter(in_colour=True)
    for number in range(40):
        painter.line("x", [Entity(f"L{number}", 0, 1, 1.0)])
    assert len(without_colour(painter.legend()).split()) == 40


def test_a_line_cannot_steer_the_terminal() -> None:
    hostile = "a\x1b[2Jb\x07\x9b1m\u202ec\td"
    shown = Painter(in_colour=False).line(hostile, [Entity("x", 0, 2, 1.0)])
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", shown)
    assert len(printable(hostile)) == len(hostile)


def test_a_label_cannot_steer_the_terminal() -> None:
    hostile = [Entity("\x1b[2J\x07\u202e", 0, 7, 1.0)]
    painter = Painter(in_colour=True)
    shown = [
        Painter(in_colour=False).line(TEXT, hostile),
        without_colour(painter.line(TEXT, hostile) + painter.legend()),
    ]
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", "".join(shown))
