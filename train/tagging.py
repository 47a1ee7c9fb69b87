"""Owns fine-tuning a tagger as a task for the loop: its batches, its optimizer and its score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from serve.encoding import Encoder
from serve.tagger import Tagger
from train.collate import LabelledWindow, TrainingBatch, collate, group_by_length
from train.config import TrainConfig
from train.data import Corpus
from train.evaluate import TorchBackend, entity_f1
from train.learner import Learner
from train.method import inner
from train.objective import Objective
from train.optimizer import CHAIN_SCALE, layer_scales, make_optimizer, parameter_groups
from train.plan import Plan, Task
from train.state import state_path

DEFAULT_STEPS = 400
"""Steps a run takes unless told its epochs: a small corpus is read more often than a large one."""
MIN_EPOCHS, MAX_EPOCHS = 4, 40


def tagging_task(
    config: TrainConfig,
    corpus: Corpus,
    windows: Sequence[LabelledWindow],
    encoder: Encoder,
    learner: Learner[Objective],
) -> Task[TrainingBatch]:
    """Return the task of fitting a learner, on its device, to labelled windows."""
    lengths = [len(window.tag_ids) for window in windows]

    def batches(epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(config.seed * 1000 + epoch)
        return group_by_length(lengths, config.batch_size, generator)

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
        collate=lambda rows: collate([windows[row] for row in rows], encoder),
        score=score,
    )


def tagging_plan(config: TrainConfig, num_windows: int, run: str) -> Plan:
    """Return the plan that the settings make for so many windows; `run` identifies the run."""
    steps_per_epoch = -(-num_windows // config.batch_size)
    return Plan(
        num_epochs=config.epochs or default_epochs(steps_per_epoch),
        patience=config.patience,
        learning_rate=config.learning_rate,
        schedule=config.schedule,
        warmup=config.warmup,
        seed=config.seed,
        arithmetic=config.arithmetic,
        accumulate=config.accumulate,
        save_every_s=config.save_every_s,
        resume=config.resume,
        state=state_path(config.output),
        run=run,
    )


def default_epochs(steps_per_epoch: int) -> int:
    """Return how often a corpus is read: about `DEFAULT_STEPS` in all, within bounds."""
    return min(max(math.ceil(DEFAULT_STEPS / steps_per_epoch), MIN_EPOCHS), MAX_EPOCHS)
