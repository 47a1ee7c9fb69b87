import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForTokenClassification,
    DistilBertConfig,
    DistilBertForTokenClassification,
    ElectraConfig,
    ElectraForTokenClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForTokenClassification,
)

from serve.errors import TaggingError
from train.config import Method, TrainConfig
from train.model.method import freeze, inner, layers_of, merged, prepare


def bert() -> PreTrainedModel:
    return BertForTokenClassification(
        BertConfig(
            vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=8,
        )
    )  # fmt: skip


def distilbert() -> PreTrainedModel:
    config = DistilBertConfig(vocab_size=20, dim=8, n_layers=2, n_heads=2, hidden_dim=8)
    return DistilBertForTokenClassification(config)


def electra() -> PreTrainedModel:
    return ElectraForTokenClassification(
        ElectraConfig(
            vocab_size=20, embedding_size=4, hidden_size=8, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=8,
        )
    )  # fmt: skip


def roberta() -> PreTrainedModel:
    return RobertaForTokenClassification(
        RobertaConfig(
            vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=8,
        )
    )  # fmt: skip


FAMILIES = [bert, distilbert, electra, roberta]


@pytest.fixture(params=FAMILIES, ids=lambda make: make.__name__)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return request.param()


def trained(module: nn.Module) -> set[str]:
    return {name for name, p in module.named_parameters() if p.requires_grad}


def test_word_embeddings_are_never_trained(model: PreTrainedModel) -> None:
    prepare(model, TrainConfig())
    frozen = {name for name, _ in model.named_parameters()} - trained(model)
    assert frozen == {f"{model.base_model_prefix}.embeddings.word_embeddings.weight"}


def test_frozen_layers_are_not_trained(model: PreTrainedModel) -> None:
    prepare(model, TrainConfig(freeze_layers=1))
    last = layers_of(model)[1]
    expected = sum(p.numel() for p in (*last.parameters(), *model.classifier.parameters()))
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == expected


def test_only_the_head_is_trained_if_asked_for(model: PreTrainedModel) -> None:
    prepare(model, TrainConfig(method=Method.HEAD))
    assert trained(model) == {"classifier.weight", "classifier.bias"}


def test_more_layers_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(TaggingError, match=r"--freeze-layers: expected at most 2, .* got 3"):
        freeze(bert(), 3)


def test_dropout_is_set_everywhere(model: PreTrainedModel) -> None:
    prepare(model, TrainConfig(dropout=0.25))
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.25}
    model.train()
    tokens = torch.arange(12).reshape(2, 6)
    assert not torch.equal(model(input_ids=tokens).logits, model(input_ids=tokens).logits)
    prepare(model, TrainConfig(dropout=0.0))
    assert torch.equal(model(input_ids=tokens).logits, model(input_ids=tokens).logits)


def test_lora_trains_its_additions_and_the_head_only(model: PreTrainedModel) -> None:
    wrapped = prepare(model, TrainConfig(method=Method.LORA, lora_rank=2))
    assert inner(wrapped) is model
    names = trained(wrapped)
    assert all("lora_" in name or "classifier" in name for name in names)
    num_matrices = sum(isinstance(m, nn.Linear) for m in layers_of(bert())[0].modules())
    assert sum("lora_A" in name for name in names) >= 2 * num_matrices


def test_lora_merged_answers_like_lora(model: PreTrainedModel) -> None:
    names = set(model.state_dict())
    wrapped = prepare(model, TrainConfig(method=Method.LORA, lora_rank=2)).eval()
    tokens = torch.arange(12).reshape(2, 6)
    before = wrapped(input_ids=tokens).logits
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if name in trained(wrapped):
                parameter.normal_(std=0.3)
    expected = wrapped(input_ids=tokens).logits
    assert not torch.allclose(before, expected, atol=0.1), "the additions do something"
    result = merged(wrapped)
    assert set(result.state_dict()) == names
    torch.testing.assert_close(result(input_ids=tokens).logits, expected)


def test_a_model_without_lora_is_merged_already() -> None:
    model = bert()
    assert merged(prepare(model, TrainConfig())) is inner(model) is model
