"""The CPU's dropout: PyTorch's rule, by other numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from train.model.dropout import Dropout, drop, replace_dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_drop_zeroes_a_share_and_raises_the_rest(share: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)

    dropped = drop(torch.ones(7, 13, 1009, dtype=dtype), share)

    is_zero = dropped == 0
    kept = torch.ones((), dtype=dtype) / (1 - share)
    assert dropped.dtype == dtype
    assert is_zero.float().mean().item() == pytest.approx(share, abs=0.006)  # 4 deviations at most
    assert torch.allclose(dropped[~is_zero], kept.to(dtype), rtol=0.01)


def test_each_element_is_dropped_by_its_own_chance() -> None:
    torch.manual_seed(0)

    zeros = (drop(torch.ones(2000, 8), 0.5) == 0).double().T

    # Of four numbers out of one draw, and of neighbouring draws, none says anything of another.
    correlation = torch.corrcoef(zeros) - torch.eye(8)
    assert correlation.abs().max().item() < 0.1


def test_gradients_pass_where_values_did() -> None:
    torch.manual_seed(0)
    values = torch.randn(3, 50, requires_grad=True)

    dropped = drop(values, 0.3)
    dropped.sum().backward()

    assert values.grad is not None
    assert torch.allclose(values * values.grad, dropped)


def test_same_seed_same_elements() -> None:
    torch.manual_seed(5)
    first = drop(torch.ones(99), 0.5)
    second = drop(torch.ones(99), 0.5)
    torch.manual_seed(5)

    assert torch.equal(drop(torch.ones(99), 0.5), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("share", [0.0, 1e-9])
def test_nothing_is_dropped_at_no_share(share: float) -> None:
    assert torch.equal(drop(torch.ones(1000), share), torch.ones(1000))


def test_a_model_gets_it_with_its_own_shares_and_drops_in_training_only() -> None:
    model = nn.Sequential(nn.Dropout(0.25), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)))

    replace_dropout(model)

    replaced = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    assert [(type(m), m.p) for m in replaced] == [(Dropout, 0.25), (Dropout, 0.5)]
    ones = torch.ones(1000)
    assert (replaced[1](ones) == 0).any()
    assert torch.equal(replaced[1].eval()(ones), ones)
