"""Owns dropout on a CPU: random bits by the word instead of a random number for each element.

PyTorch draws each element's number by itself there, one after the other on one thread: an eighth of
a MiniLM's training time. Here four elements share a draw of 64 bits, on a GPU all is as it was.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

_LEVELS = 1 << 16
_PER_DRAW = 4
"""Numbers of 16 bits in one of 64."""


class Dropout(nn.Dropout):
    """Dropout that is cheap on a CPU, too."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the elements with a share `p` of them 0 and the others raised in turn."""
        return drop(hidden, self.p) if self.training else hidden


def drop(values: Tensor, share: float) -> Tensor:
    """Return values with a share of them, by chance, 0 and the others raised to the same mean.

    Args:
        values: Of any shape.
        share: In [0, 1); on a CPU rounded to a 65536th.
    """
    dropped = round(share * _LEVELS)
    if values.device.type != "cpu" or not 0 < dropped < _LEVELS:
        return dropout(values, share)
    draws = torch.empty(-(-values.numel() // _PER_DRAW), dtype=torch.int64)
    draws.random_(torch.iinfo(torch.int64).min, None)  # None: all 64 bits
    numbers = draws.view(torch.int16)[: values.numel()].view(values.shape)
    least = dropped - _LEVELS // 2  # of the numbers that are kept
    # 1 to keep, else 0. A comparison's booleans would cost three times as much.
    keeps = numbers.clamp_(least - 1, least).sub_(least - 1).to(values.dtype)
    return values * keeps.mul_(_LEVELS / (_LEVELS - dropped))


def replace_dropout(model: nn.Module) -> None:
    """Give a model this dropout in place of PyTorch's, with the same shares."""
    for name, module in list(model.named_modules()):
        if type(module) is nn.Dropout:
            model.set_submodule(name, Dropout(module.p))
