"""Owns what a training loop has to be told, whatever it trains, and the tasks it can be given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from torch import nn
from torch.optim import Optimizer

from train.config import LoopConfig


class Batch(Protocol):
    """What a step, or a part of one, is computed on: a tuple of tensors and numbers."""

    @property
    def num_trained(self) -> int:
        """Number of tokens that train."""
        ...


AnyBatch = TypeVar("AnyBatch", bound=Batch)


@dataclass(frozen=True, slots=True, eq=False)
class Task(Generic[AnyBatch]):
    """What is trained, on what, and how good it is.

    Attributes:
        learner: Returns the summed loss of a batch; its parameters are trained.
        optimizer: Over those of them that need gradients; see `train.loop.optimizer`.
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
    """How a loop trains.

    Attributes:
        config: The settings.
        num_epochs: Largest number of epochs; the schedule's length.
        state: File of what an interrupted run leaves behind.
        run: Identifies settings, data and base model in it.
    """

    config: LoopConfig
    num_epochs: int
    state: Path
    run: str
