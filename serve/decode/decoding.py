"""Owns how logits become tags, as a record that travels with a model: `decoding.json`.

    {"temperature": 1.3, "constrained": true, "transitions": [], "start": [], "end": []}

A checkpoint may hold the file, export copies it into the bundle. Without it the tag of a word is
that of its largest logit, and its score the plain softmax; keys that it lacks are as without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from serve.records import read_record

DECODING = "decoding.json"
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
MAX_WEIGHT = 100.0
"""Of a transition, either way: far beyond what training reaches, and safe in every exponential."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How a model's logits are to be read.

    Attributes:
        temperature: What logits are divided by before scores are taken; changes no tag.
        constrained: Whether an I-tag may only go on with an entity of its label: the best sequence
            of tags that obeys is taken instead of each word's best tag.
        transitions: Of a linear-chain CRF: what is added where tag i is followed by tag j. Shape:
            (L, L), or empty for none.
        start: What is added to the first word's tags. Shape: (L,), or empty.
        end: What is added to the last word's tags. Shape: (L,), or empty.
    """

    temperature: float = 1.0
    constrained: bool = False
    transitions: tuple[tuple[float, ...], ...] = ()
    start: tuple[float, ...] = ()
    end: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be decoded with.

        Raises:
            ValueError: If the temperature or a weight is out of bounds, or the shapes disagree.
        """
        if not MIN_TEMPERATURE <= self.temperature <= MAX_TEMPERATURE:
            raise ValueError(
                f"expected a temperature from {MIN_TEMPERATURE} to {MAX_TEMPERATURE}, "
                f"got {self.temperature}"
            )
        sizes = {len(row) for row in (*self.transitions, self.start, self.end)}
        if sizes != {len(self.transitions)}:
            raise ValueError(
                f"expected transitions, start and end of one number of tags, got {sorted(sizes)} "
                f"beside {len(self.transitions)} rows"
            )
        _check_weights(
            weight for row in (*self.transitions, self.start, self.end) for weight in row
        )

    @property
    def is_crf(self) -> bool:
        """Whether tags are weighed by what they follow."""
        return bool(self.transitions)

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_json(cls, text: str, *, num_tags: int) -> Decoding:
        """Parse JSON text; keys that are absent have their defaults.

        Raises:
            ValueError: If it is no such record, or one for another number of tags.
        """
        row = json.loads(text)
        if isinstance(row, dict):  # written before there was a key
            row = json.loads(cls().to_json()) | row
        decoding = read_record(cls, row)
        if decoding.is_crf and len(decoding.transitions) != num_tags:
            raise ValueError(
                f"expected transitions between {num_tags} tags, got {len(decoding.transitions)}"
            )
        return decoding


def _check_weights(weights: Iterable[float]) -> None:
    for weight in weights:
        if not abs(weight) <= MAX_WEIGHT:  # as NaN is not
            raise ValueError(
                f"expected weights from {-MAX_WEIGHT} to {MAX_WEIGHT}, got {weight!r:.40}"
            )
