"""Owns what a student is trained on: the train lines and unlabelled ones, as its teachers see them.

Each teacher answers once, before training, and is then let go, so that a student costs no more
memory than any training run, however many or large its teachers are.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from serve.bundle import sha256
from serve.decode.decoding import Decoding
from serve.encoding import Encoder
from serve.errors import DataError
from train.config import Decoder, TrainConfig
from train.corpus.data import Corpus
from train.distillation.lesson import Lesson
from train.distillation.targets import (
    TaughtWindow,
    collate_taught,
    mix_gold,
    soft_loss,
    taught_windows,
)
from train.distillation.teachers import teach
from train.distillation.unlabelled import Unlabelled, read_unlabelled
from train.model.base import find_base
from train.record import base_json
from train.task.collate import TrainingBatch
from train.task.material import Material
from train.task.objective import Objective
from train.trained.lines import warn_of_known_lines

logger = logging.getLogger(__name__)


def taught_material(
    lesson: Lesson, config: TrainConfig, corpus: Corpus, encoder: Encoder
) -> Material[TaughtWindow]:
    """Return a student's material.

    Raises:
        DataError: If an unlabelled file is not as expected, or no line has a word.
        CheckpointError: If a teacher cannot be used.
    """
    train = corpus.train.examples
    lines = _unlabelled(lesson, config, corpus)
    texts = [*(example.text for example in train), *lines.texts]
    encoded = encoder.encode(texts)
    for teacher in dict.fromkeys(lesson.teachers):
        warn_of_known_lines(teacher, corpus)
    targets = teach(lesson.teachers, texts, encoded, corpus.tags)
    for row, example in enumerate(train):
        targets[row] = mix_gold(example, encoded[row], targets[row], corpus.tags, lesson.gold_share)
    windows = taught_windows(encoded, targets)
    if not windows:
        raise DataError(f"{corpus.train.path}: expected lines with words, got none")
    return Material(
        windows,
        collate_taught,
        SoftTargets(config.decoder),
        digest=_digest(windows),
        record={"distillation": _record(lesson, lines)},
    )


class SoftTargets(Objective):
    """The cross-entropy with a probability for each tag of each word."""

    def __init__(self, decoder: Decoder) -> None:
        """Take how the student's logits are read: plainly, or constrained."""
        super().__init__()
        self._decoding = Decoding(constrained=decoder is Decoder.CONSTRAINED)

    def forward(self, logits: Tensor, batch: TrainingBatch) -> Tensor:
        """Return the loss summed over the batch's trained tokens. Shape: (B, T, L) to ()."""
        return soft_loss(logits, batch)

    def decoding(self) -> Decoding:
        """Return how logits are to be read."""
        return self._decoding


def _digest(windows: Sequence[TaughtWindow]) -> str:
    digest = hashlib.sha256()
    for taught in windows:
        digest.update(np.array(taught.window.input_ids).tobytes() + taught.targets.tobytes())
    return digest.hexdigest()


def _unlabelled(lesson: Lesson, config: TrainConfig, corpus: Corpus) -> Unlabelled:
    held = [e.text for split in (corpus.dev, corpus.test) if split for e in split.examples]
    lines = read_unlabelled(
        lesson.unlabelled,
        held=held,
        known=[example.text for example in corpus.train.examples],
        most=lesson.max_unlabelled,
        seed=config.seed,
    )
    logger.info(
        "%d teachers; %d unlabelled lines, without %d that dev or test has and %d that train has "
        "or that came twice",
        len(lesson.teachers), len(lines.texts), lines.num_held, lines.num_known,
    )  # fmt: skip
    return lines


def _record(lesson: Lesson, lines: Unlabelled) -> dict[str, Any]:
    return {
        "teachers": [
            base_json(find_base(str(teacher))) | {"name": teacher.name}
            for teacher in lesson.teachers
        ],
        "gold_share": lesson.gold_share,
        "unlabelled": [path.name for path in lesson.unlabelled],
        "unlabelled_sha256": sha256("\n".join(lines.texts).encode()),  # a pipe is read once
        "num_unlabelled": len(lines.texts),
        "num_held": lines.num_held,
    }
