"""Fills a line shape with words: template and topic in, labelled pieces out.

Owns the labelling policy. A machine and its part are two entities, a fixed compound is one; a
preposition of place counts as Location together with the side it names; ids and values with units
are no entities, ratings and sizes that pick out a part are Specifiers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from random import Random

from train.sample.figures import FIGURES
from train.sample.lexicon import Lexicon, Pools
from train.sample.pieces import Piece

_SLOTS_OF_LABEL = {
    "Item": "item other machine product",
    "Activity": ("act acted acting fill filled measure mount reported labour ask called rejected"),
    "Observation": "state broken fault leak defect bad good need stopped",
    "Location": "on from to side inplace",
    "Consumable": "liquid consumable",
    "Agent": "agent",
    "Specifier": "specifier volt size number",
    "Cardinality": "card times",
    "Attribute": "attribute",
    "Time": "when hours dur after date time",
}
LABEL_OF_SLOT: Mapping[str, str] = {
    slot: label for label, slots in _SLOTS_OF_LABEL.items() for slot in slots.split()
}
# In percent; "note" lines are sentences, the others telegrams.
_KIND_SHARES = {"order": 30, "log": 21, "quality": 8, "inspection": 9, "note": 30, "empty": 2}
_SINGULAR = ("one", "1")
_COUNTED = ("item", "other", "product", "machine", "consumable")
_TWO_CLAUSES = 0.1
_CLAUSE_JOINTS = (Piece(".", gap=""), Piece(",", gap=""), Piece("then"), Piece("and"), Piece("-"))
_PARTS = re.compile(r"(?P<gap>\s*)(?:\{(?P<slot>\w+)\}|(?P<literal>\w+|[^\w\s]))")
_OPTIONAL = re.compile(r"\[([^\]]*)\]")


def draw_pieces(lexicon: Lexicon, rng: Random) -> list[Piece]:
    """Draw a topic and one line shape, now and then two, and fill them."""
    topic = rng.choice(lexicon.topics)
    pieces = fill(_draw_template(lexicon, rng), topic, rng)
    if rng.random() < _TWO_CLAUSES:
        first, *rest = fill(_draw_template(lexicon, rng), topic, rng)
        pieces = [*pieces, rng.choice(_CLAUSE_JOINTS), replace(first, gap=" "), *rest]
    return pieces


def fill(template: str, topic: Pools, rng: Random) -> list[Piece]:
    """Fill one template with words of one topic; no phrase is drawn twice.

    Args:
        template: Slots in braces, optional stretches in brackets, the rest literal.
        topic: Words of each slot.
        rng: Source of chance.
    """
    shape = _OPTIONAL.sub(lambda found: rng.choice((found[1], "")), template)
    used: set[str] = set()
    is_plural = False
    pieces: list[Piece] = []
    for part in _PARTS.finditer(shape):
        gap, slot = " " if part["gap"] else "", part["slot"]
        text = part["literal"] or _draw(slot, topic, used, rng)
        used.add(text)
        if slot == "card":
            is_plural = text not in _SINGULAR
        elif is_plural and slot in _COUNTED:
            text, is_plural = plural(text), False
        pieces.append(Piece(text, LABEL_OF_SLOT.get(slot), gap))
    return _merge_places(pieces)


def plural(noun: str) -> str:
    """Return the plural as most people would write it."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun if noun.endswith("s") else noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def _draw_template(lexicon: Lexicon, rng: Random) -> str:
    kind = rng.choices(list(_KIND_SHARES), weights=list(_KIND_SHARES.values()))[0]
    return rng.choice(lexicon.templates[kind])


def _draw(slot: str, topic: Pools, used: Set[str], rng: Random) -> str:
    if slot in FIGURES:
        return FIGURES[slot](rng)
    return rng.choice([phrase for phrase in topic[slot] if phrase not in used])


def _merge_places(pieces: Sequence[Piece]) -> list[Piece]:
    """Make one entity of a preposition and the side after it: `on` + `rear` is `on rear`."""
    merged: list[Piece] = []
    for piece in pieces:
        if merged and merged[-1].label == piece.label == "Location":
            text = merged[-1].text + piece.gap + piece.text
            merged[-1] = replace(merged[-1], text=text)
        else:
            merged.append(piece)
    return merged
