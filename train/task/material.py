"""Owns what a tagger is trained on, and for what: windows, how they become a batch, and the loss.

Fine-tuning trains on gold's tags; what trains on something else (see `train.distillation`) brings
a material of its own and goes through the same pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from serve.encoding import Encoder
from serve.errors import DataError
from train.config import TrainConfig
from train.corpus.data import Corpus
from train.task.collate import LabelledWindow, TrainingBatch, Windowed, collate, label_windows
from train.task.objective import Objective, make_objective

AnyWindow = TypeVar("AnyWindow", bound=Windowed)


@dataclass(frozen=True, slots=True, eq=False)
class Material(Generic[AnyWindow]):
    """What is trained on.

    Attributes:
        windows: At least one, each with a token that trains.
        collate: Makes some of them a batch.
        objective: The loss of such a batch.
        digest: Identifies what settings and corpus do not say of it.
        record: What the checkpoint's record says of it besides, as JSON.
    """

    windows: Sequence[AnyWindow]
    collate: Callable[[Sequence[AnyWindow], Encoder], TrainingBatch]
    objective: Objective
    digest: str
    record: dict[str, Any]


MakeMaterial = Callable[[TrainConfig, Corpus, Encoder], Material[Any]]


def gold_material(
    config: TrainConfig, corpus: Corpus, encoder: Encoder
) -> Material[LabelledWindow]:
    """Return the train lines with gold's tags, and the loss that the settings ask for.

    Raises:
        DataError: If no train line has a word.
    """
    windows = label_windows(
        corpus.train.examples, encoder, corpus.tags, label_all_tokens=config.label_all_tokens
    )
    if not windows:
        raise DataError(f"{corpus.train.path}: expected lines with words, got none")
    return Material(windows, collate, make_objective(config, corpus.tags, windows), "", {})
