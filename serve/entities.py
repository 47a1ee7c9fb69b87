"""Owns the value `Entity`, what a tagger is, and the policy that turns word tags into entities.

Policy: an entity is a maximal run of words whose first tag is `B-X` or `I-X` and whose further tags
are `I-X`. An `I-X` that continues nothing starts an entity: dropping it would lose what the model
saw, and counting it keeps precision honest. The score is the mean probability of the words' tags.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol, TypedDict

from serve.labels import OUTSIDE

_quoted = cache(json.dumps)


class EntityJson(TypedDict):
    """An entity as JSON."""

    label: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Entity:
    """A labelled span of a text.

    Attributes:
        label: Entity type, without the BIO prefix.
        start: Offset of the first character.
        end: Offset after the last character, so that `text[start:end]` is the entity.
        score: Mean probability of its words' tags, in [0, 1].
    """

    label: str
    start: int
    end: int
    score: float

    def to_json(self) -> EntityJson:
        """Return the entity as a JSON object."""
        return EntityJson(label=self.label, start=self.start, end=self.end, score=self.score)


class AnyTagger(Protocol):
    """Whatever tags texts: embedded, behind a network, or somebody else's."""

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text, in the order of the text."""
        ...


def write_entities(entities: Sequence[Entity]) -> bytes:
    """Return one text's entities as JSON, each an `EntityJson`.

    Between a server's other steps `json.dumps` takes twice as long, 20 us for a line (Zen 4).
    """
    rows = [
        f'{{"label": {_quoted(e.label)}, "start": {e.start}, "end": {e.end}, "score": {e.score!r}}}'
        for e in entities
    ]
    return f"[{', '.join(rows)}]".encode()


def decode_entities(
    tags: Sequence[str], scores: Sequence[float], offsets: Sequence[tuple[int, int]]
) -> list[Entity]:
    """Group the tags of one text into entities.

    Args:
        tags: BIO tag of each word. Shape: (W,)
        scores: Probability of each tag, in [0, 1]. Shape: (W,)
        offsets: Character offsets of each word, end excluded. Shape: (W, 2)

    Returns:
        The entities in the order of the text; they never overlap.

    Raises:
        ValueError: If the lengths differ.
    """
    if not len(tags) == len(scores) == len(offsets):
        raise ValueError(
            "expected one tag, score and offset per word, "
            f"got {len(tags)} tags, {len(scores)} scores and {len(offsets)} offsets"
        )
    entities: list[Entity] = []
    first = 0
    for word in range(1, len(tags) + 1):
        if word < len(tags) and tags[word][:2] == "I-" and tags[word][2:] == tags[first][2:]:
            continue
        if tags[first] != OUTSIDE:
            start, end = offsets[first][0], offsets[word - 1][1]
            score = sum(scores[first:word]) / (word - first)
            entities.append(Entity(tags[first][2:], start, end, score))
        first = word
    return entities
