"""Owns what a training loop has to be told, whatever it trains, and the tasks it can be given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import nn
from torch.optim import Optimizer

from train.config import Arithmetic, Schedule


class Batch(Protocol):
    """What a step, or a part of one, is computed on."""

    @property
    def num_trained(self) -> int:
        """Number of tokens that train."""
        ...

    def to(self, device: torch.device) -> Self:
        """Return the batch on a device."""
        ...


AnyBatch = TypeVar("AnyBatch", bound=Batch)


@dataclass(frozen=True, slots=True, eq=False)
class Task(Generic[AnyBatch]):
    """What is trained, on what, and how good it is.

    Attributes:
        learner: Returns the summed loss of a batch; its parameters are trained.
        optimizer: Over those of them that need gradients; see `train.optimizer`.
        batches: Rows of each batch of an epoch, whose number, from 1, is given; always as many.
        collate: Makes rows a batch; masks drawn here are drawn anew each time.
        score: What the best epoch is chosen by; the higher the better.
        floor: The score of a model that has learnt nothing yet, from which patience does not count.
    """

    learner: nn.Module
    optimizer: Optimizer
    batches: Callable[[int], list[list[int]]]
    collate: Callable[[Sequence[int]], AnyBatch]
    score: Callable[[], float]
    floor: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and in which steps a loop trains.

    Attributes:
        num_epochs: Largest number of epochs; the schedule's length.
        patience: Epochs without a better score after which it stops.
        learning_rate: Peak of the schedule.
        schedule: How the learning rate goes on after its warm-up.
        warmup: Share of the steps over which it rises.
        seed: Of all chance.
        arithmetic: Number format of matrix products.
        accumulate: Parts each process computes its share of a step in.
        save_every_s: Seconds from one saved state to the next.
        resume: Whether to go on from a saved state.
        state: The state's file.
        run: Identifies settings, data and base model in it.
    """

    num_epochs: int
    patience: int
    learning_rate: float
    schedule: Schedule
    warmup: float
    seed: int
    arithmetic: Arithmetic
    accumulate: int
    save_every_s: float
    resume: bool
    state: Path
    run: str
