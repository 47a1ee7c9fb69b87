"""Owns PyTorch's model in FP16, as a GPU runs it, on a CPU.

A GPU multiplies FP16 numbers, adds up in FP32 and rounds the sum; so do the products here.
PyTorch's own for CPUs round alike but take three times as long as FP32's.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from transformers import PreTrainedModel


class _Linear(nn.Module):
    """A linear layer of FP16 numbers whose products are added up in FP32."""

    def __init__(self, linear: nn.Linear) -> None:
        """Take the layer, whose weights are rounded."""
        super().__init__()
        self.weight = linear.weight.half().float()
        self.bias = None if linear.bias is None else linear.bias.half().float()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sums. Shape: (..., inputs) to (..., outputs), FP16."""
        return nn.functional.linear(values.float(), self.weight, self.bias).half()


def in_fp16(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy of a model whose numbers are FP16."""
    half: PreTrainedModel = copy.deepcopy(model).half()  # type: ignore[no-untyped-call]
    _replace_linear(half)
    return half


def _replace_linear(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, _Linear(child))
        else:
            _replace_linear(child)
