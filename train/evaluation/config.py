"""Owns the settings of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serve.bundle import Precision
from train.formats.flat import Reading


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What to evaluate.

    Attributes:
        tagger: Folder of a checkpoint or a bundle.
        data: Labelled lines.
        reading: How they and the lines of `train` are read.
        train: The lines the tagger was trained on; None for those a checkpoint has with it.
        against: Another tagger to compare with.
        precision: Graph of a bundle; None for the one that serving takes here.
        html: Where the page goes; None for no page.
        json: Print the figures as JSON instead of tables.
    """

    tagger: Path
    data: Path
    reading: Reading = Reading()  # noqa: RUF009 (frozen)
    train: Path | None = None
    against: Path | None = None
    precision: Precision | None = None
    html: Path | None = None
    json: bool = False
