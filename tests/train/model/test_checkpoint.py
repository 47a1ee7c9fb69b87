import json
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertConfig,
    BertForTokenClassification,
)

from serve.errors import CheckpointError
from serve.examples import read_jsonl
from serve.labels import Tags
from train.model.base import find_base
from train.model.checkpoint import (
    FILES,
    Checkpoint,
    check_events,
    check_output,
    write_checkpoint,
    write_json,
)

TAGS = Tags.from_labels(["B", "A"])


@pytest.fixture
def checkpoint(tiny_base: Path, tiny_data: Path) -> Checkpoint:
    base = find_base(str(tiny_base))
    dev = read_jsonl(tiny_data / "dev.jsonl")
    return Checkpoint(base.load_model(TAGS), base, dev, dev, {"dev": {}}, {"epochs": []})


def test_a_checkpoint_loads_into_transformers_as_it_was(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    output = tmp_path / "new" / "checkpoint"
    write_checkpoint(output, checkpoint)
    assert {path.name for path in output.iterdir()} == FILES - {
        "test.jsonl",
        "decoding.json",
        "README.md",
        "curves.png",
    }
    assert read_jsonl(output / "dev.jsonl") == checkpoint.dev
    assert json.loads((output / "evaluation.json").read_text()) == {"dev": {}}
    model = AutoModelForTokenClassification.from_pretrained(output)
    assert tuple(model.config.id2label[i] for i in range(5)) == TAGS.names
    assert model.classifier.weight.equal(checkpoint.model.classifier.weight)
    assert [path.name for path in output.parent.iterdir()] == ["checkpoint"]


def test_test_lines_are_kept_where_there_are_any(checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c", replace(checkpoint, test=checkpoint.dev[:3]))
    assert read_jsonl(tmp_path / "c" / "test.jsonl") == checkpoint.dev[:3]
    write_checkpoint(tmp_path / "c", checkpoint)
    assert not (tmp_path / "c" / "test.jsonl").exists()


@pytest.mark.parametrize("lowercase", [True, False])
def test_transformers_reads_the_tokenizer_that_serving_reads(
    checkpoint: Checkpoint, tmp_path: Path, lowercase: bool
) -> None:
    tokenizer = json.loads(checkpoint.base.tokenizer.to_str())
    tokenizer["normalizer"]["lowercase"] = lowercase
    path = tmp_path / "cased" / "tokenizer.json"
    path.parent.mkdir()
    path.write_text(json.dumps(tokenizer))
    cased = Tokenizer.from_file(str(path))
    base = checkpoint.base
    other = type(base)(base.name, base.folder, cased, base.max_tokens, base.pad_id)
    write_checkpoint(
        tmp_path / "c", Checkpoint(checkpoint.model, other, checkpoint.dev, checkpoint.dev, {}, {})
    )
    text = "Replace OIL pump, [SEP] air-con #12"
    loaded = AutoTokenizer.from_pretrained(tmp_path / "c")
    assert loaded(text)["input_ids"] == cased.encode(text).ids
    assert loaded.model_max_length == 64
    assert loaded.pad_token_id == 0


def test_special_tokens_of_other_names_are_the_tokenizers_own(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    text = checkpoint.base.tokenizer.to_str()
    for ours, theirs in [("CLS", "<s>"), ("SEP", "</s>"), ("PAD", "<pad>"), ("UNK", "<unk>")]:
        text = text.replace(f"[{ours}]", theirs)
    base = replace(checkpoint.base, tokenizer=Tokenizer.from_str(text))
    write_checkpoint(tmp_path / "c", replace(checkpoint, base=base))
    loaded = AutoTokenizer.from_pretrained(tmp_path / "c")
    assert (loaded.cls_token, loaded.sep_token, loaded.mask_token) == ("<s>", "</s>", "[MASK]")
    assert (loaded.pad_token, loaded.unk_token) == ("<pad>", "<unk>")
    assert len(loaded) == base.tokenizer.get_vocab_size()
    line = "<s> replace [CLS] pump"
    assert loaded(line)["input_ids"] == base.tokenizer.encode(line).ids


def test_a_word_is_never_named_a_special_token(checkpoint: Checkpoint, tmp_path: Path) -> None:
    pad_id = checkpoint.base.tokenizer.token_to_id("pump")
    base = replace(checkpoint.base, pad_id=pad_id)
    write_checkpoint(tmp_path / "c", replace(checkpoint, base=base))
    settings = json.loads((tmp_path / "c" / "tokenizer_config.json").read_text())
    assert "pad_token" not in settings
    assert settings["unk_token"] == "[UNK]"


def test_an_older_checkpoint_is_replaced_whole(checkpoint: Checkpoint, tmp_path: Path) -> None:
    output = tmp_path / "checkpoint"
    for epochs in ([1], [2]):
        new = Checkpoint(checkpoint.model, checkpoint.base, [], [], {}, {"epochs": epochs})
        write_checkpoint(output, new)
    assert json.loads((output / "train.json").read_text()) == {"epochs": [2]}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_an_empty_folder_may_be_filled(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_checkpoint(tmp_path / "empty", checkpoint)
    assert (tmp_path / "empty" / "config.json").is_file()


def test_a_failure_leaves_the_older_checkpoint_and_nothing_else(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    output = tmp_path / "checkpoint"
    write_checkpoint(output, checkpoint)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    broken = Checkpoint(checkpoint.model, checkpoint.base, [], [], {}, {"no JSON": object()})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_checkpoint(output, broken)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("weights_fit", [False, True])
def test_a_full_disk_is_told_and_leaves_nothing(
    checkpoint: Checkpoint,
    tmp_path: Path,
    full_disk: Callable[[], AbstractContextManager[None]],
    weights_fit: bool,
) -> None:
    if weights_fit:
        checkpoint = replace(checkpoint, model=BertForTokenClassification(smallest_config()))
    message = r"c: expected to write a checkpoint, got .*File too large.*; make room there and run "
    with pytest.raises(CheckpointError, match=message), full_disk():
        write_checkpoint(tmp_path / "c", checkpoint)
    assert list(tmp_path.iterdir()) == []


def smallest_config() -> BertConfig:
    sizes = dict.fromkeys(
        ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size"), 1
    )
    return BertConfig(**sizes, num_hidden_layers=0, max_position_embeddings=8, type_vocab_size=1)


def test_a_name_that_is_no_text_is_written_as_json(tmp_path: Path) -> None:
    name = b"Auftr\xe4ge.txt".decode("utf-8", "surrogateescape")
    write_json(tmp_path / "train.json", {"file": name})
    assert json.loads((tmp_path / "train.json").read_text(encoding="utf-8")) == {"file": name}


@pytest.mark.parametrize("names", [["notes.txt"], ["config.json"], [*FILES, "notes.txt"]])
def test_a_folder_with_other_things_is_left_alone(
    checkpoint: Checkpoint, tmp_path: Path, names: list[str]
) -> None:
    output = tmp_path / "mine"
    output.mkdir()
    for name in names:
        (output / name).touch()
    with pytest.raises(CheckpointError, match=r"mine: expected a checkpoint or nothing there, got"):
        write_checkpoint(output, checkpoint)
    assert sorted(path.name for path in output.iterdir()) == sorted(names)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_file_or_a_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(CheckpointError, match="expected a folder or nothing, got a file or"):
            check_output(tmp_path / name)


@pytest.mark.parametrize("events", ["out", "out/events", "out/../out/a/b"])
def test_events_inside_the_output_are_refused(tmp_path: Path, events: str) -> None:
    with pytest.raises(CheckpointError, match=r"--tensorboard .*: expected a folder outside of "):
        check_events(tmp_path / "out", tmp_path / events)


def test_events_beside_the_output_are_fine(tmp_path: Path) -> None:
    check_events(tmp_path / "out", tmp_path / "output")
    check_events(tmp_path / "out", None)


def test_a_place_that_cannot_be_written_is_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_output(tmp_path / "new" / "folder" / "c")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    message = f"new/c: expected a place that can be written, got {tmp_path}; choose another"
    with pytest.raises(CheckpointError, match=re.escape(message)):
        check_output(tmp_path / "new" / "c")
