"""Owns the settings of a refit. The parser reads their defaults from here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from train.config import TrainConfig
from train.refit.gate import Rule

MAX_REPLAY = 5000
"""See `train.refit.mixture`."""
EPOCHS = 5
"""Fewer than a fresh tagger reads: the challenger begins where the champion ended."""


@dataclass(frozen=True, kw_only=True)
class RefitConfig:
    """A refit.

    Attributes:
        champion: The bundle that serves; it is read only.
        new: Folders of splits, or files, of new labelled lines.
        training: How the challenger is trained; its model and decoder are the champion's, its
            output is where champion's successor goes, and its reading is that of the new lines.
        checkpoint: What the champion was exported from; None to find it beside the bundle.
        replay: Most old train lines to learn again.
        rule: What the challenger has to prove.
        publish: Model repository that an accepted challenger goes into; None for none.
    """

    champion: Path
    new: tuple[Path, ...]
    training: TrainConfig
    checkpoint: Path | None = None
    replay: int = MAX_REPLAY
    rule: Rule = Rule()  # noqa: RUF009 (frozen)
    publish: Path | None = None
