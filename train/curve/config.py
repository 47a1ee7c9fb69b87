"""Owns the settings of a learning curve. The parser reads their defaults from here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from train.config import TrainConfig

SIZES = (10, 25, 50, 100, 250, 500, None)


class Pick(StrEnum):
    """How the lines to label are chosen."""

    RANDOM = "random"
    SELECT = "select"


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to train that gets a curve of its own.

    Attributes:
        name: Of the curve.
        training: Its settings.
    """

    name: str
    training: TrainConfig


@dataclass(frozen=True, kw_only=True)
class CurveConfig:
    """What is drawn.

    Attributes:
        strategies: The ways to train, on the same files.
        sizes: Numbers of train lines, rising; None for all of them, at the end.
        draws: Runs of each size, each with lines and a seed of its own.
        picks: How lines are chosen.
        folder: Where runs and picture lie.
        score_test: Whether test lines are looked at, too.
        json: Print the figures as JSON instead of a table.
    """

    strategies: tuple[Strategy, ...]
    sizes: tuple[int | None, ...] = SIZES
    draws: int = 5
    picks: tuple[Pick, ...] = (Pick.RANDOM,)
    folder: Path = Path("build/curve")
    score_test: bool = False
    json: bool = False
