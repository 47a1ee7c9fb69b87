"""PyTorch in FP16 on a CPU: near PyTorch's own, and it overflows where a GPU does."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from export.checkpoint import load_checkpoint
from export.torch_fp16 import in_fp16


def test_logits_are_those_of_pytorchs_own_fp16_and_the_model_is_left_as_it_is(
    tiny_checkpoint: Path,
) -> None:
    model = load_checkpoint(tiny_checkpoint).model
    ids = torch.arange(5, 25).reshape(2, 10)
    with torch.inference_mode():
        wide, own = in_fp16(model)(ids).logits, copy.deepcopy(model).half()(ids).logits
        exact = model(ids).logits
    assert wide.dtype == torch.float16
    assert exact.dtype == torch.float32
    step = 2**-10 * exact.abs().max()  # of FP16 at the largest logit
    assert 0 < (wide - exact).abs().max() < 4 * step
    assert (wide - own).abs().max() < 4 * step


def test_a_sum_beyond_fp16_is_infinite(tiny_checkpoint: Path) -> None:
    model = load_checkpoint(tiny_checkpoint).model
    with torch.no_grad():
        model.classifier.bias[0] = 1e5
    with torch.inference_mode():
        logits = in_fp16(model)(torch.tensor([[5, 6]])).logits
    assert logits[..., 0].isinf().all()
    assert logits[..., 1:].isfinite().all()
