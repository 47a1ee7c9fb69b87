"""Training's attention on a CPU: the same as transformers' own, but for the numbers it drops by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from serve.labels import Tags
from train.model import attention as own
from train.model.attention import attention
from train.model.base import find_base
from train.model.dropout import Dropout


@pytest.fixture
def layer() -> nn.Module:
    layer = nn.Module()
    layer.is_causal = False  # type: ignore[assignment]
    return layer


def heads() -> list[Tensor]:
    torch.manual_seed(3)
    return [torch.randn(2, 4, 6, 8, requires_grad=True) for _ in range(3)]


def mask() -> Tensor:
    mask = torch.ones(2, 1, 6, 6, dtype=torch.bool)
    mask[1, :, :, 4:] = False
    return mask


@pytest.mark.parametrize("scaling", [None, 0.5])
@pytest.mark.parametrize("seen", [None, mask()])
def test_answers_and_gradients_are_those_of_sdpa(
    layer: nn.Module, seen: Tensor | None, scaling: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "drop", lambda weights, _: weights)
    ours, theirs = heads(), heads()

    output, _ = attention(layer, *ours, attention_mask=seen, dropout=0.1, scaling=scaling)
    expected, _ = sdpa_attention_forward(
        layer, *theirs, attention_mask=seen, dropout=0.0, scaling=scaling
    )
    for result in (output, expected):
        (result * torch.arange(8)).sum().backward()

    assert torch.allclose(output, expected, atol=1e-6)
    for ours_part, theirs_part in zip(ours, theirs, strict=True):
        assert ours_part.grad is not None
        assert theirs_part.grad is not None
        assert torch.allclose(ours_part.grad, theirs_part.grad, atol=1e-5)


def test_dropout_keeps_the_mean(layer: nn.Module) -> None:
    query, key, value = (part.detach() for part in heads())
    expected, _ = attention(layer, query, key, value, mask())

    drawn = [attention(layer, query, key, value, mask(), dropout=0.2)[0] for _ in range(4000)]

    assert not torch.equal(drawn[0], drawn[1])
    # Within 6 standard errors: of 384 elements none should be beyond 5.
    error = torch.stack(drawn).std(0) / len(drawn) ** 0.5
    assert ((torch.stack(drawn).mean(0) - expected).abs() < 6 * error).all()


def test_base_models_train_with_both_and_say_so_in_no_checkpoint(
    tiny_base: Path, tmp_path: Path
) -> None:
    model = find_base(str(tiny_base)).load_model(Tags.from_labels(["Item"]))

    model.save_pretrained(tmp_path)

    assert model.config._attn_implementation == "linetag"
    assert {type(m) for m in model.modules() if isinstance(m, nn.Dropout)} == {Dropout}
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert not [key for key in config if "attn" in key]
