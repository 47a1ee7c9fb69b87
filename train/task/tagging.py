"""Owns fine-tuning a tagger as a task for the loop: its batches, its optimizer and its score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from serve.tagger import Tagger
from train.config import TrainConfig, state_path
from train.corpus.data import Corpus
from train.loop.optimizer import CHAIN_SCALE, layer_scales, make_optimizer, parameter_groups
from train.loop.plan import Plan, Task
from train.model.base import Base
from train.model.method import inner
from train.scores.evaluate import TorchBackend, entity_f1
from train.task.collate import TrainingBatch, group_by_length
from train.task.material import AnyWindow, Material
from train.task.objective import Learner
from train.task.word_dropout import word_dropout

DEFAULT_STEPS = 400
"""Steps a run takes unless told its epochs: a small corpus is read more often than a large one."""
MIN_EPOCHS, MAX_EPOCHS = 4, 40


def tagging_task(
    config: TrainConfig,
    corpus: Corpus,
    material: Material[AnyWindow],
    base: Base,
    learner: Learner,
) -> Task[TrainingBatch]:
    """Return the task of fitting a learner, on its device, to a material.

    Raises:
        CheckpointError: If words are to be hidden and the base model has no mask token.
    """
    encoder, hide = base.encoder(), word_dropout(config.word_dropout, base.tokenizer)
    windows = material.windows
    lengths = [len(row.window.input_ids) for row in windows]

    def batches(epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(config.seed * 1000 + epoch)
        return group_by_length(lengths, config.batch_size, generator)

    def batch_of(rows: Sequence[int]) -> TrainingBatch:
        hidden = [replace(windows[row], window=hide(windows[row].window)) for row in rows]
        return material.collate(hidden, encoder)

    def score() -> float:
        decoding = learner.objective.decoding()
        tagger = Tagger(encoder, corpus.tags, TorchBackend(learner.model), decoding=decoding)
        return entity_f1(tagger, corpus.dev.examples)

    scales = {id(p): CHAIN_SCALE for p in learner.objective.parameters()}
    if config.layer_decay < 1.0:
        scales |= layer_scales(inner(learner.model), config.layer_decay)
    groups = parameter_groups(learner, config.weight_decay, scales)
    return Task(
        learner=learner,
        optimizer=make_optimizer(config.optimizer, groups),
        batches=batches,
        collate=batch_of,
        score=score,
    )


def tagging_plan(config: TrainConfig, num_windows: int, run: str) -> Plan:
    """Return the plan that the settings make for so many windows; `run` identifies the run."""
    epochs = config.epochs or default_epochs(-(-num_windows // config.batch_size))
    return Plan(config=config, num_epochs=epochs, state=state_path(config.output), run=run)


def default_epochs(steps_per_epoch: int) -> int:
    """Return how often a corpus is read: about `DEFAULT_STEPS` in all, within bounds."""
    return min(max(math.ceil(DEFAULT_STEPS / steps_per_epoch), MIN_EPOCHS), MAX_EPOCHS)
