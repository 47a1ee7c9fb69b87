"""Owns what a student is told to learn from. Knows nothing of models: the parser reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a student learns from besides the train lines.

    Attributes:
        teachers: Folders of checkpoints with the train lines' labels.
        unlabelled: Files of lines without labels.
        max_unlabelled: Most of them to learn from; of more, as many are drawn.
        gold_share: Weight of gold's tag beside the teachers' probabilities, in [0, 1].
    """

    teachers: tuple[Path, ...]
    unlabelled: tuple[Path, ...] = ()
    max_unlabelled: int = 10_000
    gold_share: float = 0.5
