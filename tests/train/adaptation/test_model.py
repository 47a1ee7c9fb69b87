from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from serve.artefacts.families import first_position
from tests.conftest import tiny_encoder, tiny_tokenizer
from train.adaptation.masking import MaskedBatch, Masker
from train.adaptation.model import Guesser, head_logits, loss_of
from train.model.base import find_base

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
VOCABULARY = tiny_tokenizer().get_vocab_size()
COMMON = {"vocab_size": VOCABULARY, "max_position_embeddings": 40, "intermediate_size": 16, **SIZES}
LINES = ["replace hydraulic hose on engine", "pump leaking", "clean oil pump # 12"]
MODELS = {
    "bert": lambda: BertForMaskedLM(BertConfig(**COMMON)),
    "roberta": lambda: RobertaForMaskedLM(RobertaConfig(**COMMON)),
    "xlm-roberta": lambda: XLMRobertaForMaskedLM(XLMRobertaConfig(**COMMON)),
    "electra": lambda: ElectraForMaskedLM(ElectraConfig(embedding_size=8, **COMMON)),
    "distilbert": lambda: DistilBertForMaskedLM(
        DistilBertConfig(
            vocab_size=VOCABULARY,
            max_position_embeddings=40,
            dim=16,
            n_layers=2,
            n_heads=2,
            hidden_dim=16,
        )
    ),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    return MODELS[request.param]().eval()


def batch_of(lines: list[str], *, packed: bool) -> MaskedBatch:
    windows = [text.windows[0] for text in tiny_encoder().encode(lines)]
    blocks = [windows] if packed else [[window] for window in windows]
    # Every word is drawn, so that packed and alone the same ones are.
    masker = Masker(tiny_tokenizer(), pad_id=0, share=0.999)
    return masker.collate(blocks, torch.Generator().manual_seed(0))


def test_the_head_is_the_familys_own(model: PreTrainedModel) -> None:
    tokens = torch.arange(5, 21).reshape(2, 8)
    hidden = model.base_model(input_ids=tokens).last_hidden_state
    expected = model(input_ids=tokens).logits
    torch.testing.assert_close(head_logits(model, hidden.flatten(0, 1)), expected.flatten(0, 1))


def test_a_packed_line_is_guessed_as_if_it_were_alone(model: PreTrainedModel) -> None:
    guesser = Guesser(model, first_position=first_position(model.config.to_dict()))
    packed, alone = (batch_of(LINES, packed=packed) for packed in (True, False))
    assert packed.target_ids.tolist() == alone.target_ids.tolist()
    packed_ids = packed.input_ids.view(-1)
    packed_ids[packed.targets] = alone.input_ids.view(-1)[alone.targets]
    assert guesser(packed).item() == pytest.approx(guesser(alone).item(), rel=1e-5)


def test_the_loss_is_that_of_the_whole_model_on_what_is_hidden(model: PreTrainedModel) -> None:
    guesser = Guesser(model, first_position=first_position(model.config.to_dict()))
    batch = batch_of(LINES[:1], packed=False)
    logits = model(input_ids=batch.input_ids).logits.flatten(0, 1)[batch.targets]
    expected = torch.nn.functional.cross_entropy(logits, batch.target_ids)
    assert loss_of(guesser, [batch, batch], torch.device("cpu")) == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_a_base_without_a_head_gets_a_new_one_tied_to_its_word_embeddings(
    tiny_base: Path, tmp_path: Path
) -> None:
    model, is_new = find_base(str(tiny_base)).load_masked()
    assert is_new
    words = model.base_model.get_submodule("embeddings").get_submodule("word_embeddings")
    assert model.get_output_embeddings().weight is words.weight
    model.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny_base / name).read_bytes())
    again, is_new = find_base(str(tmp_path)).load_masked()
    assert not is_new
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
