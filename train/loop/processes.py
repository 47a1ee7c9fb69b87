"""Owns the processes that share a run, as `torchrun` or `accelerate launch` started them.

Each process holds the whole model and data and takes its share of every batch; gradients are
averaged. The first one alone scores, logs and writes, and tells the others what they need to know.
Started by itself, a run is one process, and nothing here costs anything.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, reduce
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from serve.errors import TaggingError

Value = TypeVar("Value")


class Processes:
    """This process and those beside it.

    Attributes:
        device: Where this one computes: its CUDA device where there is one, else the CPU.
        num: How many there are.
        index: Which one this is, from 0.
    """

    def __init__(self) -> None:
        """Join the others; waits until all of them are there."""
        self._state = PartialState(cpu=not torch.cuda.is_available())
        self.device: torch.device = self._state.device
        self.num: int = self._state.num_processes
        self.index: int = self._state.process_index

    @property
    def is_first(self) -> bool:
        """Whether this one scores, logs and writes."""
        return self.index == 0

    def shares(self, rows: Sequence[int], num_parts: int) -> list[list[int]]:
        """Return this process's rows of a batch, cut into parts of like size; they may be empty."""
        step = self.num * num_parts
        first = self.index * num_parts
        return [list(rows[part::step]) for part in range(first, first + num_parts)]

    def total(self, number: int) -> int:
        """Return the sum of all processes' numbers."""
        if self.num == 1:
            return number
        return int(self.summed(torch.tensor(number, device=self.device)).item())

    def summed(self, tensor: Tensor) -> Tensor:
        """Return the sum of all processes' tensors."""
        if self.num == 1:
            return tensor
        total: Tensor = reduce(tensor, "sum")
        return total

    def told(self, value: Value) -> Value:
        """Return the first process's value to all of them."""
        if self.num == 1:
            return value
        return broadcast_object_list([value])[0]  # type: ignore[no-any-return]

    def wait(self) -> None:
        """Return when all processes have come here."""
        self._state.wait_for_everyone()

    def joined(self, module: nn.Module) -> nn.Module:
        """Return a module whose gradients are averaged over the processes."""
        return module if self.num == 1 else DistributedDataParallel(module)


def check_one_process(why: str) -> None:
    """Refuse to be one of several processes, before there is any work.

    Their number is told from what started them: to join them would wait for those that ended.

    Args:
        why: What several would be too many for.

    Raises:
        TaggingError: If there are several.
    """
    num = os.environ.get("WORLD_SIZE", "1")
    if num.isdigit() and int(num) > 1:
        raise TaggingError(
            f"expected one process, got {num}; {why}, start it without torchrun or accelerate"
        )


def without_sync(module: nn.Module) -> AbstractContextManager[object]:
    """Return a context in which gradients only add up, as before a step's last part."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()
