import json
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoModelForTokenClassification, AutoTokenizer

from serve.errors import CheckpointError
from serve.examples import read_jsonl
from serve.labels import Tags
from train.base import find_base
from train.checkpoint import FILES, Checkpoint, check_output, write_checkpoint

TAGS = Tags.from_labels(["B", "A"])


@pytest.fixture
def checkpoint(tiny_base: Path, tiny_data: Path) -> Checkpoint:
    base = find_base(str(tiny_base))
    dev = read_jsonl(tiny_data / "dev.jsonl")
    return Checkpoint(base.load_model(TAGS), base, dev, {"dev": {}}, {"epochs": []})


def test_a_checkpoint_loads_into_transformers_as_it_was(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    output = tmp_path / "new" / "checkpoint"
    write_checkpoint(output, checkpoint)
    assert {path.name for path in output.iterdir()} == FILES - {"test.jsonl"}
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
    write_checkpoint(tmp_path / "c", Checkpoint(checkpoint.model, other, checkpoint.dev, {}, {}))
    text = "Replace OIL pump, [SEP] air-con #12"
    loaded = AutoTokenizer.from_pretrained(tmp_path / "c")
    assert loaded(text)["input_ids"] == cased.encode(text).ids
    assert loaded.model_max_length == 64
    assert loaded.pad_token_id == 0


def test_an_older_checkpoint_is_replaced_whole(checkpoint: Checkpoint, tmp_path: Path) -> None:
    output = tmp_path / "checkpoint"
    for epochs in ([1], [2]):
        new = Checkpoint(checkpoint.model, checkpoint.base, [], {}, {"epochs": epochs})
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
    broken = Checkpoint(checkpoint.model, checkpoint.base, [], {}, {"no JSON": object()})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_checkpoint(output, broken)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


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
