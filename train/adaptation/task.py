"""Owns guessing words as a task for the loop: its batches, its optimizer and its score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from train.adaptation.blocks import TokenSequence, pack
from train.adaptation.config import AdaptConfig
from train.adaptation.lines import Lines
from train.adaptation.masking import MaskedBatch, Masker
from train.adaptation.model import Guesser, loss_of
from train.config import OptimizerName
from train.loop.optimizer import FIRST_EPOCH, SCALE, make_optimizer, parameter_groups
from train.loop.plan import Task
from train.task.collate import group_by_length

NEW_HEAD_SCALE = 5.0
"""Of the learning rate: a new head has an epoch to learn in what the encoder has had years for."""
_HELD_OUT_SEED = 1
"""Of the held-out lines' masks, which are the same for every run and epoch."""


def guessing_task(
    config: AdaptConfig, lines: Lines, masker: Masker, guesser: Guesser, *, has_new_head: bool
) -> Task[MaskedBatch]:
    """Return the task of training a model, on its device, to guess the words of lines.

    Its score is the held-out loss, negative. A new head is trained alone in the first epoch.
    """
    blocks = pack(lines.train, config.block_tokens)
    lengths = [sum(len(sequence.input_ids) for sequence in block) for block in blocks]
    held_out = _held_out(config, lines.held_out, masker)
    device = next(guesser.parameters()).device

    def batches(epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(config.seed * 1000 + epoch)
        return group_by_length(lengths, config.batch_size, generator)

    return Task(
        learner=guesser,
        optimizer=make_optimizer(
            OptimizerName.ADAMW, _groups(guesser, config.weight_decay, has_new_head=has_new_head)
        ),
        batches=batches,
        collate=lambda rows: masker.collate([blocks[row] for row in rows]),
        score=lambda: -loss_of(guesser, held_out, device),
        floor=-math.inf,
    )


def _groups(guesser: Guesser, decay: float, *, has_new_head: bool) -> list[dict[str, Any]]:
    encoder = guesser.model.base_model
    if not has_new_head:
        return parameter_groups(guesser, decay)
    below = {id(parameter) for parameter in encoder.parameters()}
    scales = {id(p): NEW_HEAD_SCALE for p in guesser.parameters() if id(p) not in below}
    groups = parameter_groups(guesser, decay, scales)
    return [group if group[SCALE] != 1.0 else {**group, FIRST_EPOCH: 2} for group in groups]


def _held_out(
    config: AdaptConfig, sequences: Sequence[TokenSequence], masker: Masker
) -> list[MaskedBatch]:
    generator = torch.Generator().manual_seed(_HELD_OUT_SEED)
    blocks = pack(sequences, config.block_tokens)
    parts = [blocks[i : i + config.batch_size] for i in range(0, len(blocks), config.batch_size)]
    return [masker.collate(part, generator) for part in parts]
