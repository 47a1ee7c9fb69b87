from itertools import pairwise

import pytest
import torch
from transformers import BertConfig, BertForTokenClassification

from serve.errors import CheckpointError
from train.optimizer import WEIGHT_DECAY, freeze, learning_rate_at, make_optimizer


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


def test_biases_and_layer_norms_do_not_decay(model: BertForTokenClassification) -> None:
    optimizer = make_optimizer(model)
    decay_of = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert len(decay_of) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        expected = 0.0 if name.endswith("bias") or "LayerNorm" in name else WEIGHT_DECAY
        assert decay_of[id(parameter)] == expected, name


def test_weight_decay_is_decoupled_from_the_gradient() -> None:
    linear = torch.nn.Linear(2, 2)
    before = linear.weight.detach().clone()
    optimizer = make_optimizer(linear)
    optimizer.zero_grad()
    (linear.weight.sum() * 0 + linear.bias.sum() * 0).backward()
    for group in optimizer.param_groups:
        group["lr"] = 0.5
    optimizer.step()
    torch.testing.assert_close(linear.weight.detach(), before * (1 - 0.5 * WEIGHT_DECAY))


def test_the_learning_rate_rises_over_a_tenth_and_falls_to_zero() -> None:
    rates = [learning_rate_at(step, 100, 1.0) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(1 / 90)
    assert rates[100] == 0.0
    assert all(a > b for a, b in pairwise(rates[10:]))


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_the_shortest_runs_learn_too(num_steps: int) -> None:
    assert all(0 < learning_rate_at(step, num_steps, 1.0) <= 1 for step in range(num_steps))


def test_frozen_layers_are_not_trained(model: BertForTokenClassification) -> None:
    freeze(model, 1)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    expected = ("bert.embeddings.", "bert.encoder.layer.0.")
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith(expected)}
    optimizer = make_optimizer(model)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(
        [p for p in model.parameters() if p.requires_grad]
    )


def test_word_embeddings_are_always_frozen(model: BertForTokenClassification) -> None:
    freeze(model, None)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"bert.embeddings.word_embeddings.weight"}


def test_more_layers_than_there_are_cannot_be_frozen(model: BertForTokenClassification) -> None:
    with pytest.raises(CheckpointError, match=r"--freeze-layers: expected at most 2, .* got 3"):
        freeze(model, 3)
