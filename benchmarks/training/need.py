"""Owns what a run cannot do without: its matrix products, and the bytes its weights cost.

Products are counted by PyTorch on every eighth batch of an epoch and scaled by tokens, padding
included; a CPU's fused attention, which it does not count, adds T / 6D to them, 1 % here. Per step
and trained weight, memory moves 40 bytes, however few tokens there are: 12 for the gradient's norm
and scaling (read, read, written), and 28 for AdamW, which reads weight, gradient and two moments
and writes all but the gradient; in BF16 12 more, to make BF16 of the weight and FP32 of its
gradient (4 and 2 each). Activations are left out: they stay in the caches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from train.loop.plan import Task
from train.task.collate import TrainingBatch

BYTES_PER_WEIGHT = {torch.float32: 12 + 28, torch.bfloat16: 12 + 12 + 28}
_EVERY = 8


@dataclass(frozen=True, slots=True)
class Need:
    """What an epoch needs at least.

    Attributes:
        num_steps: Its steps.
        num_tokens: Tokens, padding included.
        num_padding: Tokens of padding among them.
        num_weights: Trained weights.
        flops: Floating-point operations of its matrix products.
        bytes_moved: By its weights.
    """

    num_steps: int
    num_tokens: int
    num_padding: int
    num_weights: int
    flops: float
    bytes_moved: int


def need_of(task: Task[TrainingBatch], number_format: torch.dtype) -> Need:
    """Return what an epoch of a task needs whose products are in a number format."""
    batches = [task.collate(rows) for rows in task.batches(1)]
    num_tokens = sum(batch.input_ids.numel() for batch in batches)
    num_real = sum(int(batch.attention_mask.sum()) for batch in batches)
    counted = batches[::_EVERY]
    with FlopCounterMode(display=False) as counter:
        for batch in counted:
            torch.autograd.backward(task.learner(batch))
    share = sum(batch.input_ids.numel() for batch in counted) / num_tokens
    trained = [p for p in task.learner.parameters() if p.requires_grad]
    task.optimizer.zero_grad()
    num_weights = sum(p.numel() for p in trained)
    return Need(
        num_steps=len(batches),
        num_tokens=num_tokens,
        num_padding=num_tokens - num_real,
        num_weights=num_weights,
        flops=counter.get_total_flops() / share,
        bytes_moved=BYTES_PER_WEIGHT[number_format] * num_weights * len(batches),
    )
