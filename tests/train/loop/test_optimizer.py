from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from transformers import BertConfig, BertForTokenClassification

from train.config import OptimizerName, TrainConfig
from train.loop.optimizer import SCALE, layer_scales, make_optimizer, parameter_groups
from train.model.method import prepare

DECAY = 0.03


@pytest.fixture
def model() -> BertForTokenClassification:
    return BertForTokenClassification(
        BertConfig(
            vocab_size=20,
            hidden_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=8,
        )
    )


@pytest.fixture
def _no_memory_is_zero() -> Iterator[None]:
    """Have PyTorch fill what it does not initialise with NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def by_parameter(groups: list[dict[str, Any]], key: str) -> dict[int, float]:
    return {id(p): group[key] for group in groups for p in group["params"]}


def test_biases_and_layer_norms_do_not_decay(model: BertForTokenClassification) -> None:
    decay_of = by_parameter(parameter_groups(model, DECAY), "weight_decay")
    assert len(decay_of) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        expected = 0.0 if name.endswith("bias") or "LayerNorm" in name else DECAY
        assert decay_of[id(parameter)] == expected, name


def test_what_is_frozen_is_in_no_group(model: BertForTokenClassification) -> None:
    prepare(model, TrainConfig(freeze_layers=1))
    grouped = by_parameter(parameter_groups(model, DECAY), SCALE)
    assert grouped.keys() == {id(p) for p in model.parameters() if p.requires_grad}


@pytest.mark.parametrize("name", list(OptimizerName))
def test_every_optimizer_follows_the_gradient(name: OptimizerName) -> None:
    linear = nn.Linear(2, 2)
    before = linear.weight.detach().clone()
    optimizer = make_optimizer(name, parameter_groups(linear, 0.0))
    linear.weight.sum().backward()
    for group in optimizer.param_groups:
        group["lr"] = 0.5
    optimizer.step()
    torch.testing.assert_close(linear.weight.detach(), before - 0.5)


@pytest.mark.usefixtures("_no_memory_is_zero")
@pytest.mark.parametrize("name", list(OptimizerName))
def test_a_first_step_that_overflows_leaves_nothing_behind(name: OptimizerName) -> None:
    linear = nn.Linear(2, 2)
    before = linear.weight.detach().clone()
    optimizer = make_optimizer(name, parameter_groups(linear, 0.0))
    scaler = GradScaler("cpu")
    scaler.scale(linear.weight.sum() * torch.inf).backward()
    scaler.step(optimizer)
    torch.testing.assert_close(linear.weight.detach(), before)
    written = [value for row in optimizer.state.values() for value in row.values()]
    assert not any(value.any() for value in written), "momentum of a step that was not taken"


def test_adamws_weight_decay_is_decoupled_from_the_gradient() -> None:
    linear = nn.Linear(2, 2)
    before = linear.weight.detach().clone()
    optimizer = make_optimizer(OptimizerName.ADAMW, parameter_groups(linear, DECAY))
    (linear.weight.sum() * 0 + linear.bias.sum() * 0).backward()
    for group in optimizer.param_groups:
        group["lr"] = 0.5
    optimizer.step()
    torch.testing.assert_close(linear.weight.detach(), before * (1 - 0.5 * DECAY))


def test_each_layer_has_a_share_of_the_rate_of_the_one_above(
    model: BertForTokenClassification,
) -> None:
    groups = parameter_groups(model, DECAY, layer_scales(model, 0.5))
    scale_of = by_parameter(groups, SCALE)
    expected = {
        "bert.embeddings": 0.125, "bert.encoder.layer.0": 0.25, "bert.encoder.layer.1": 0.5,
        "classifier": 1.0,
    }  # fmt: skip
    for name, parameter in model.named_parameters():
        (scale,) = (s for prefix, s in expected.items() if name.startswith(prefix))
        assert scale_of[id(parameter)] == scale, name
