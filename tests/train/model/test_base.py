import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from serve.errors import CheckpointError
from serve.labels import Tags
from tests.families import write_base
from train.config import DEFAULT_MODEL
from train.model.base import find_base
from train.model.source import check_digests

TAGS = Tags.from_labels(["A"])
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_default_model_is_found_checked_and_loaded() -> None:
    base = find_base(DEFAULT_MODEL)
    assert (base.max_tokens, base.pad_id) == (512, 0)
    assert base.tokenizer.truncation is None
    (text,) = base.encoder().encode(["change hydraulic hose"])
    assert text.offsets == [(0, 6), (7, 16), (17, 21)]


def test_a_folder_is_loaded_with_a_new_head_in_float32(base: Path) -> None:
    model = find_base(str(base)).load_model(TAGS)
    assert model.config.id2label == {0: "O", 1: "B-A", 2: "I-A"}
    assert model.classifier.out_features == 3
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    saved = load_file(base / "model.safetensors")
    loaded = model.bert.embeddings.word_embeddings.weight
    assert torch.equal(loaded, saved["embeddings.word_embeddings.weight"])


def test_a_tagger_of_other_labels_is_taken_without_its_head(tiny_checkpoint: Path) -> None:
    model = find_base(str(tiny_checkpoint)).load_model(TAGS)
    assert model.classifier.out_features == 3


def test_a_taggers_head_is_new_even_for_as_many_tags(tiny_checkpoint: Path) -> None:
    tags = Tags.from_labels(["X", "Y", "Z"])
    base = find_base(str(tiny_checkpoint))
    old = load_file(tiny_checkpoint / "model.safetensors")["classifier.weight"]
    heads = []
    for seed in (1, 1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = base.load_model(tags)
        assert model.classifier.weight.shape == old.shape
        assert model.classifier.weight.std().item() == pytest.approx(0.02, rel=0.3)
        assert model.classifier.bias.count_nonzero() == 0
        heads.append(model.classifier.weight)
    assert heads[0].equal(heads[1])
    assert not heads[0].equal(heads[2])
    assert not heads[0].equal(old)


@pytest.mark.parametrize(
    ("capitals", "settings", "lowered"),
    [
        (False, None, True),
        (True, None, False),
        (True, {"do_lower_case": True}, True),
        (False, {"do_lower_case": False}, False),
        (True, {"model_max_length": 64}, False),
    ],
)
def test_a_vocabulary_with_capitals_keeps_them_unless_told_otherwise(
    base: Path, capitals: bool, settings: dict[str, object] | None, lowered: bool
) -> None:
    (base / "tokenizer.json").unlink()
    path = base / "tokenizer_config.json"
    path.unlink() if settings is None else path.write_text(json.dumps(settings))
    words = [*SPECIAL_TOKENS, "[unused1]", "pump", "##s", *(["Pump"] if capitals else [])]
    (base / "vocab.txt").write_text("\n".join(words) + "\n")
    tokens = find_base(str(base)).tokenizer.encode("Pump pumps").tokens[1:-1]
    first = "pump" if lowered else "Pump" if capitals else "[UNK]"
    assert tokens == [first, "pump", "##s"]


def test_a_tokenizer_is_made_from_a_vocabulary_file(base: Path) -> None:
    expected = find_base(str(base)).tokenizer
    words = sorted(expected.get_vocab().items(), key=lambda item: item[1])
    (base / "tokenizer.json").unlink()
    (base / "vocab.txt").write_text("\n".join(word for word, _ in words) + "\n")
    text = "Please REWELDING the air-con unit #12"
    assert find_base(str(base)).tokenizer.encode(text).ids == expected.encode(text).ids


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "deberta-v2"},
            "expected a model_type of bert, distilbert, electra, roberta, xlm-roberta, "
            "got 'deberta-v2'",
        ),
        (
            {"auto_map": {"AutoModel": "x.Y"}},
            "expected no 'auto_map', which runs code from outside; choose",
        ),
        (
            {"_attn_implementation_internal": "x/y"},
            "expected no '_attn_implementation_internal', which",
        ),
        ({"trust_remote_code": True}, "expected no 'trust_remote_code', which runs code"),
        (
            {"position_embedding_type": "relative_key"},
            "expected position_embedding_type 'absolute', got 'relative_key'; choose a model",
        ),
        ({"is_decoder": True}, "expected is_decoder False, got True; choose a model without it"),
        ({"vocab_size": None}, "expected a number 'vocab_size', got None"),
        ({"vocab_size": 50}, "expected ids of tokens below 50, as many as the model has, got 100"),
        ({"pad_token_id": -1}, "expected pad_token_id from 0 to 100, got -1; set the tokenizer's"),
        ({"pad_token_id": "x"}, "expected pad_token_id from 0 to 100, got 'x'"),
        ({"pad_token_id": [0]}, r"expected pad_token_id from 0 to 100, got \[0\]"),
    ],
)
def test_a_configuration_that_does_not_do_is_refused(
    base: Path, changes: dict[str, object], message: str
) -> None:
    edit_config(base, **changes)
    with pytest.raises(CheckpointError, match=message):
        find_base(str(base))


@pytest.mark.parametrize("content", ["[]", "no json", "{}"])
def test_a_configuration_that_is_none_is_refused(base: Path, content: str) -> None:
    (base / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json: expected"):
        find_base(str(base))


def test_ids_of_tokens_with_holes_are_held_against_the_embeddings(base: Path) -> None:
    """The number of tokens says nothing of the largest: a line with it would fail an epoch."""
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    word = max(vocabulary, key=vocabulary.__getitem__)
    vocabulary[word] += 40
    (base / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(CheckpointError, match=r"expected ids of tokens below 101, .* got 140;"):
        find_base(str(base))


@pytest.mark.parametrize(
    "setting", [{"return_dict": False}, {"chunk_size_feed_forward": 4}, {"output_attentions": True}]
)
def test_a_setting_of_how_not_what_is_computed_changes_nothing(
    base: Path, tiny_base: Path, setting: dict[str, object]
) -> None:
    edit_config(base, **setting)
    ids = torch.tensor([[2, 7, 8, 9, 3]])
    hidden = []
    for folder in (base, tiny_base):
        encoder = find_base(str(folder)).load_model(TAGS).eval().base_model
        with torch.no_grad():
            hidden.append(encoder(input_ids=ids).last_hidden_state)
    assert torch.equal(*hidden)


def test_padding_that_is_not_stated_is_the_familys_own(tmp_path: Path) -> None:
    base = find_base(str(write_base(tmp_path / "base", "roberta", ["replace oil pump"])))
    edit_config(base.folder, pad_token_id=None)
    model, _ = base.load_masked()
    assert model.config.pad_token_id == base.load_model(TAGS).config.pad_token_id == 1
    with torch.no_grad():
        model(input_ids=torch.tensor([[0, 5, 2]]))


@pytest.mark.parametrize("name", ["bert.embeddings.LayerNorm.weight", "classifier.bias"])
def test_weights_that_are_not_finite_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, name: str
) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "base")
    weights = load_file(folder / "model.safetensors")
    weights[name][0] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    base = find_base(str(folder))
    known = Tags.from_labels(["Activity", "Item"])
    with pytest.raises(CheckpointError, match=rf"expected finite weights, got 1 of .* in {name};"):
        base.load_model(known)
    if name.startswith("classifier"):
        assert base.load_model(TAGS).classifier.bias.count_nonzero() == 0
    else:
        with pytest.raises(CheckpointError, match="expected finite weights"):
            base.load_masked()


def test_a_model_too_large_to_be_exported_is_told_before_it_is_trained(
    base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    find_base(str(base)).load_model(TAGS)
    assert "what export takes" not in caplog.text
    monkeypatch.setattr("train.model.base.MAX_WEIGHT_BYTES", 1000)
    find_base(str(base)).load_model(TAGS)
    assert "expected at most 0.00 GB of weights in FP32, what export takes" in caplog.text


def test_a_bundle_is_not_taken_for_a_checkpoint_with_pickles(base: Path) -> None:
    (base / "model.safetensors").unlink()
    (base / "manifest.json").touch()
    message = r"expected model\.safetensors, got none; name the checkpoint that this bundle was"
    with pytest.raises(CheckpointError, match=message):
        find_base(str(base))


def test_pickled_weights_are_refused_unopened(base: Path) -> None:
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    message = r"expected model\.safetensors, got pytorch_model\.bin; pickled weights are not opened"
    with pytest.raises(CheckpointError, match=message):
        find_base(str(base))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("config.json", r"config\.json: expected a readable file, got No such file"),
        ("model.safetensors", r"expected model\.safetensors, got none"),
        ("tokenizer.json", r"expected tokenizer\.json or vocab\.txt, got none; choose"),
    ],
)
def test_a_missing_file_is_named(base: Path, file: str, message: str) -> None:
    (base / file).unlink()
    with pytest.raises(CheckpointError, match=message):
        find_base(str(base))


def test_a_vocabulary_alone_makes_no_tokenizer_of_robertas_kind(tmp_path: Path) -> None:
    """transformers makes one of five tokens of it, and no line has a word then."""
    base = write_base(tmp_path / "base", "roberta", ["replace oil pump"])
    (base / "tokenizer.json").rename(base / "vocab.txt")
    message = r"base: expected tokenizer\.json, got none; choose a model that has it"
    with pytest.raises(CheckpointError, match=message):
        find_base(str(base))


def test_a_vocabulary_that_makes_no_tokenizer_is_named(base: Path) -> None:
    (base / "tokenizer.json").unlink()
    (base / "vocab.txt").write_bytes(b"\xff")
    with pytest.raises(CheckpointError, match=r"vocab\.txt: expected a tokenizer, got .*; choose"):
        find_base(str(base))


def test_a_model_in_a_folder_of_the_folder_is_pointed_to(base: Path, tmp_path: Path) -> None:
    base.rename(tmp_path / "0_Transformer")
    message = r"expected config\.json, got one in 0_Transformer; name that folder"
    with pytest.raises(CheckpointError, match=message):
        find_base(str(tmp_path))


def test_settings_that_contradict_the_tokenizer_are_told(
    base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    find_base(str(base))
    assert not caplog.text
    path = base / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_lower_case": False}))
    tokens = find_base(str(base)).tokenizer.encode("PUMP").tokens
    assert tokens[1:-1] == ["pump"]
    assert "tokenizer_config.json: expected do_lower_case true, as tokenizer.json" in caplog.text


def test_a_damaged_tokenizer_is_refused(base: Path) -> None:
    (base / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: expected a tokenizer, got"):
        find_base(str(base))


def test_a_tokenizer_without_special_tokens_is_refused(base: Path) -> None:
    path = base / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"post_processor": None}))
    with pytest.raises(
        CheckpointError, match=r"expected a tokenizer adding 2 .* choose another model"
    ):
        find_base(str(base)).encoder()


def test_damaged_weights_are_refused(base: Path) -> None:
    path = base / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="expected the model's weights, got"):
        find_base(str(base)).load_model(TAGS)


def test_an_encoder_with_a_hole_is_refused_not_filled_at_random(base: Path) -> None:
    path = base / "model.safetensors"
    weights = load_file(path)
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    message = r"expected weights for bert\.encoder\.layer\.1\.output\.dense\.weight"
    with pytest.raises(CheckpointError, match=message):
        find_base(str(base)).load_model(TAGS)


def test_weights_of_another_width_are_refused(base: Path) -> None:
    edit_config(base, intermediate_size=128)
    with pytest.raises(CheckpointError, match=r"expected weights for bert\.encoder\.layer\.0\."):
        find_base(str(base)).load_model(TAGS)


def test_a_name_that_is_neither_folder_nor_model_is_refused() -> None:
    with pytest.raises(CheckpointError, match="--model no/such/name: expected a folder or a model"):
        find_base("no/such/name")
    with pytest.raises(CheckpointError, match="hub, got no such folder; check"):
        find_base("/no/such")


def test_a_packaged_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"a: expected SHA-256 00, got 2d711642b.*again"):
        check_digests(tmp_path, {"a": "00"})
    with pytest.raises(CheckpointError, match=r"b: expected SHA-256 00, got no file"):
        check_digests(tmp_path, {"b": "00"})
