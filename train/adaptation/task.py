"""Owns guessing words as a task for the loop: its batches, its optimizer and its score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from serve.encoding import Window
from train.adaptation.blocks import pack
from train.adaptation.config import AdaptConfig
from train.adaptation.lines import Lines
from train.adaptation.masking import MaskedBatch, Masker
from train.adaptation.model import Guesser, loss_of
from train.collate import group_by_length
from train.config import OptimizerName
from train.optimizer import FIRST_EPOCH, make_optimizer, parameter_groups
from train.plan import Task

_HELD_OUT_SEED = 1
"""Of the held-out lines' masks, which are the same for every run and epoch."""


def guessing_task(
    config: AdaptConfig, lines: Lines, masker: Masker, guesser: Guesser, *, has_new_head: bool
) -> Task[MaskedBatch]:
    """Return the task of training a model, on its device, to guess the words of lines.

    Its score is the held-out loss, negative. A new head is trained alone in the first epoch.
    """
    blocks = pack(lines.train, config.block_tokens)
    lengths = [sum(len(window.input_ids) for window in block) for block in blocks]
    held_out = _held_out(config, lines.held_out, masker)
    device = next(guesser.parameters()).device

    def batches(epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(config.seed * 1000 + epoch)
        return group_by_length(lengths, config.batch_size, generator)

    encoder = guesser.model.base_model.requires_grad_(False)
    head = parameter_groups(guesser, config.weight_decay)
    groups = parameter_groups(encoder.requires_grad_(True), config.weight_decay)
    first = {FIRST_EPOCH: 2} if has_new_head else {}
    return Task(
        learner=guesser,
        optimizer=make_optimizer(
            OptimizerName.ADAMW, [*head, *({**group, **first} for group in groups)]
        ),
        batches=batches,
        collate=lambda rows: masker.collate([blocks[row] for row in rows]),
        score=lambda: -loss_of(guesser, held_out, device),
        floor=-math.inf,
    )


def _held_out(config: AdaptConfig, windows: Sequence[Window], masker: Masker) -> list[MaskedBatch]:
    generator = torch.Generator().manual_seed(_HELD_OUT_SEED)
    blocks = pack(windows, config.block_tokens)
    parts = [blocks[i : i + config.batch_size] for i in range(0, len(blocks), config.batch_size)]
    return [masker.collate(part, generator) for part in parts]
