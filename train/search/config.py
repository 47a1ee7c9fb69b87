"""Owns the settings of a search. The parser reads their defaults from here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from train.config import TrainConfig
from train.search.space import DEFAULT_SPACE


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """What to search, for how long, and where the study lies.

    Attributes:
        training: The settings that are not searched; what they name as output is not written.
        space: File of the search space.
        trials: Trials the study is to have in the end, those of earlier calls too.
        search: Folder of the study, its table and its picture.
    """

    training: TrainConfig = field(default_factory=TrainConfig)
    space: Path = DEFAULT_SPACE
    trials: int = 20
    search: Path = Path("build/search")
