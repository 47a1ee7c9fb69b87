"""Attacks by way of a checkpoint: training and export refuse each, and nothing outside is read.

A base model and a checkpoint come as a folder in Hugging Face form, from anywhere. The attacker
wants bytes of this machine to end up in a model or a message, or code to run.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from export.config import ExportConfig
from export.pipeline import export
from serve.artefacts.pretrained import MAX_LAYERS
from serve.errors import CheckpointError
from serve.labels import Tags
from tests.outside import nothing_read_of
from train.model.base import find_base
from train.trained.model import load_trained

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
Attack = Callable[[Path, Path], Path | None]
ATTACKS: dict[str, tuple[Attack, str]] = {}
"""What to do to a sound checkpoint, given a folder outside, and why both refuse it. Where the
checkpoint lies elsewhere then, the attack returns its folder."""
BASE_ATTACKS: dict[str, tuple[Attack, str]] = {}
"""Those on what training alone reads: weights in parts, and a vocabulary without a tokenizer."""
EXPORT_ATTACKS: dict[str, tuple[Attack, str]] = {}
"""Those on what export alone reads."""
TRAINED_ATTACKS: dict[str, tuple[Attack, str]] = {}
"""Those on what is read of a trained tagger only, by either; a base model has none of it."""


def attacks(
    name: str,
    *parts: str,
    reason: str,
    book: dict[str, tuple[Attack, str]] = ATTACKS,
) -> Callable[[Callable[[Path, Path, str], Path | None]], None]:
    """Register an attack for each of several files, settings or names."""

    def register(function: Callable[[Path, Path, str], Path | None]) -> None:
        for part in parts:
            book[f"{name} {part}"] = lambda c, o, part=part: function(c, o, part), reason

    return register


def edit(path: Path, **changes: object) -> None:
    """Change a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def link(checkpoint: Path, outside: Path, name: str) -> None:
    """Leave a link where a file was."""
    shutil.move(checkpoint / name, outside / name)
    (checkpoint / name).symlink_to(outside / name)


def second_name(checkpoint: Path, outside: Path, name: str) -> None:
    """Let a file outside be the same file."""
    os.link(checkpoint / name, outside / name)


SOFT, HARD = "got a symbolic link", "got a file with 2 names, a hard link"
READ_BY_BOTH = ("config.json", "tokenizer.json", WEIGHTS)
READ_BY_EXPORT = ("tokenizer_config.json", "dev.jsonl", "calibration.jsonl")
attacks("symbolic link", *READ_BY_BOTH, reason=SOFT)(link)
attacks("hard link", *READ_BY_BOTH, reason=HARD)(second_name)
attacks("symbolic link", *READ_BY_EXPORT, reason=SOFT, book=EXPORT_ATTACKS)(link)
attacks("hard link", *READ_BY_EXPORT, reason=HARD, book=EXPORT_ATTACKS)(second_name)


@attacks("link into the system", "/proc/self/environ", "/dev/zero", reason=SOFT)
def _(checkpoint: Path, outside: Path, target: str) -> None:
    (checkpoint / "tokenizer.json").unlink()
    (checkpoint / "tokenizer.json").symlink_to(target)


@attacks("pipe", "config.json", "tokenizer.json", reason="got a folder, device or pipe")
def _(checkpoint: Path, outside: Path, name: str) -> None:
    (checkpoint / name).unlink()
    os.mkfifo(checkpoint / name)


@attacks(
    "decoding that is",
    *("a link", "a pipe", "/dev/zero", "a terabyte"),
    reason="decoding.json: expected a readable file, got",
    book=TRAINED_ATTACKS,
)
def _(checkpoint: Path, outside: Path, part: str) -> None:
    decoding = checkpoint / "decoding.json"
    if part == "a pipe":
        os.mkfifo(decoding)
    elif part == "a terabyte":
        decoding.touch()
        os.truncate(decoding, 2**40)
    else:
        (outside / "other.json").write_text('{"a password": 1}')
        decoding.symlink_to(part if part == "/dev/zero" else outside / "other.json")


@attacks("hub's cache that leads out of its blobs", "config.json", WEIGHTS, reason=SOFT)
def _(checkpoint: Path, outside: Path, name: str) -> Path:
    link(checkpoint, outside, name)
    (checkpoint.parent / "snapshots").mkdir()
    (checkpoint.parent / "blobs").mkdir()
    return checkpoint.rename(checkpoint.parent / "snapshots" / "1")


@attacks("hub's cache whose blobs are", "a link", reason=SOFT)
def _(checkpoint: Path, outside: Path, part: str) -> Path:
    shutil.move(checkpoint / "config.json", outside / "config.json")
    (checkpoint / "config.json").symlink_to("../../blobs/config.json")
    (checkpoint.parent / "snapshots").mkdir()
    (checkpoint.parent / "blobs").symlink_to(outside)
    return checkpoint.rename(checkpoint.parent / "snapshots" / "1")


@attacks("adapter to a model", "outside", reason="expected a whole model, got an adapter")
def _(checkpoint: Path, outside: Path, part: str) -> None:
    shutil.copytree(checkpoint, outside / "model")
    adapter = {"peft_type": "LORA", "base_model_name_or_path": str(outside / "model")}
    (checkpoint / "adapter_config.json").write_text(json.dumps(adapter))


CODE = {
    "auto_map": {"AutoModelForTokenClassification": "own.Model", "AutoConfig": "own.Config"},
    "trust_remote_code": True,
    "_attn_implementation_internal": "somebody/kernel",
    "use_kernels": True,
    "fusion_config": {"x": "y"},
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "transformers_weights": "../outside/model.safetensors",
}


@attacks("setting", *CODE, reason="which runs code from outside")
def _(checkpoint: Path, outside: Path, key: str) -> None:
    shutil.copy(checkpoint / WEIGHTS, outside / WEIGHTS)
    (checkpoint / "own.py").write_text(f"import os; os.mkdir({str(outside / 'ran')!r})")
    edit(checkpoint / "config.json", **{key: CODE[key]})


@attacks("kernel", "attn_implementation", "_attn_implementation", reason="expected .* eager or")
def _(checkpoint: Path, outside: Path, key: str) -> None:
    edit(checkpoint / "config.json", **{key: "somebody/kernel:attention"})


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@attacks("pickle in place of the", "weights", reason="(weights|model that loads), got")
def _(checkpoint: Path, outside: Path, part: str) -> None:
    torch.save({"x": Payload(outside / "ran"), "y": torch.zeros(9999)}, checkpoint / WEIGHTS)


@attacks("pickle beside no", "weights", reason=f"expected {WEIGHTS}|expected a file of the")
def _(checkpoint: Path, outside: Path, part: str) -> None:
    (checkpoint / WEIGHTS).unlink()
    (checkpoint / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(outside / "ran")))


@attacks("header without end in the", "weights", reason="(weights|model that loads), got")
def _(checkpoint: Path, outside: Path, part: str) -> None:
    content = (checkpoint / WEIGHTS).read_bytes()
    (checkpoint / WEIGHTS).write_bytes((2**60).to_bytes(8, "little") + content[8:])


@attacks("table of characters", "AAAA", "/////w==", reason="expected .*tokenizer, got .*charsmap")
def _(checkpoint: Path, outside: Path, table: str) -> None:
    normalizer = {"type": "Precompiled", "precompiled_charsmap": table}
    edit(checkpoint / "tokenizer.json", normalizer=normalizer)


@attacks("terabyte of", "config.json", "tokenizer.json", WEIGHTS, reason="bytes, more than")
def _(checkpoint: Path, outside: Path, name: str) -> None:
    os.truncate(checkpoint / name, 2**40)


@attacks("vocabulary of", "a billion", reason="expected a model of .* bytes, as its weights have")
def _(checkpoint: Path, outside: Path, part: str) -> None:
    edit(checkpoint / "config.json", vocab_size=10**9)


@attacks(
    "rows in the millions of",
    *("intermediate_size", "max_position_embeddings", "hidden_size"),
    *("type_vocab_size", "num_labels"),
    reason="expected a model of .* bytes, as its weights have, got",
)
def _(checkpoint: Path, outside: Path, key: str) -> None:
    edit(checkpoint / "config.json", **{key: 20_000_000, "embedding_size": 1})


@attacks(
    "layers wider than its", "embeddings", reason="expected a model of .*, got intermediate_si"
)
def _(checkpoint: Path, outside: Path, part: str) -> None:
    narrow = {"model_type": "electra", "embedding_size": 1}
    edit(checkpoint / "config.json", intermediate_size=20_000_000, **narrow)


@attacks("layers:", "a billion", reason=f"expected 1 to {MAX_LAYERS} layers, got 1000000000")
def _(checkpoint: Path, outside: Path, part: str) -> None:
    edit(checkpoint / "config.json", num_hidden_layers=10**9)


@attacks("brackets", "config.json", reason="expected a JSON object, got maximum recursion depth")
def _(checkpoint: Path, outside: Path, name: str) -> None:
    (checkpoint / name).write_text("[" * 200_000)


def in_parts(checkpoint: Path, name: str) -> None:
    """Let an index name the file of the weights."""
    weights = load_file(checkpoint / WEIGHTS)
    (checkpoint / WEIGHTS).unlink()
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, name)}
    (checkpoint / INDEX).write_text(json.dumps(index))
    save_file(weights, checkpoint / "part.safetensors", metadata={"format": "pt"})


@attacks(
    "part named",
    *("../outside/part.safetensors", "/etc/passwd", "..", "a b.safetensors"),
    reason="expected a weight_map of file names",
    book=BASE_ATTACKS,
)
def _(checkpoint: Path, outside: Path, name: str) -> None:
    in_parts(checkpoint, name)
    shutil.move(checkpoint / "part.safetensors", outside / "part.safetensors")


@attacks("part that is", "a link", reason=SOFT, book=BASE_ATTACKS)
def _(checkpoint: Path, outside: Path, part: str) -> None:
    in_parts(checkpoint, "part.safetensors")
    link(checkpoint, outside, "part.safetensors")


@attacks("part that is", "a pickle", reason="expected safetensors, got", book=BASE_ATTACKS)
def _(checkpoint: Path, outside: Path, part: str) -> None:
    in_parts(checkpoint, "part.bin")
    (checkpoint / "part.bin").write_bytes(pickle.dumps(Payload(outside / "ran")))


@attacks("vocabulary that is", "a link", reason=SOFT, book=BASE_ATTACKS)
def _(checkpoint: Path, outside: Path, part: str) -> None:
    vocabulary_only(checkpoint)
    link(checkpoint, outside, "vocab.txt")


@attacks("vocabulary whose settings are", "a link", reason=SOFT, book=BASE_ATTACKS)
def _(checkpoint: Path, outside: Path, part: str) -> None:
    vocabulary_only(checkpoint)
    link(checkpoint, outside, "tokenizer_config.json")


@attacks("vocabulary whose settings are", "code", reason="which runs code", book=BASE_ATTACKS)
def _(checkpoint: Path, outside: Path, part: str) -> None:
    vocabulary_only(checkpoint)
    edit(checkpoint / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.T", None]})


def vocabulary_only(checkpoint: Path) -> None:
    """Leave the vocabulary where the tokenizer was."""
    vocabulary = json.loads((checkpoint / "tokenizer.json").read_text())["model"]["vocab"]
    (checkpoint / "tokenizer.json").unlink()
    (checkpoint / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    shutil.copy(folder / "dev.jsonl", folder / "calibration.jsonl")
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("a password")
    return tmp_path / "outside"


def refused_by_training(checkpoint: Path, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        find_base(str(checkpoint)).load_model(Tags.from_labels(["A"]))


def refused_by_export(checkpoint: Path, reason: str, output: Path) -> None:
    with pytest.raises(CheckpointError, match=reason):
        export(ExportConfig(model=checkpoint, output=output, int8=True))
    assert not output.exists()


def refused_as_trained(checkpoint: Path, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        load_trained(checkpoint)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_checkpoint_that_leads_outside_is_refused_and_nothing_outside_is_read(
    checkpoint: Path, outside: Path, name: str
) -> None:
    act, reason = ATTACKS[name]
    checkpoint = act(checkpoint, outside) or checkpoint
    with nothing_read_of(outside):
        refused_by_training(checkpoint, reason)
        refused_as_trained(checkpoint, reason)
        refused_by_export(checkpoint, reason, checkpoint.parent / "bundle")
    assert not (outside / "ran").exists()


@pytest.mark.parametrize("name", BASE_ATTACKS)
def test_a_base_model_that_leads_outside_is_refused_and_nothing_outside_is_read(
    checkpoint: Path, outside: Path, name: str
) -> None:
    act, reason = BASE_ATTACKS[name]
    act(checkpoint, outside)
    with nothing_read_of(outside):
        refused_by_training(checkpoint, reason)
    assert not (outside / "ran").exists()


@pytest.mark.parametrize("name", TRAINED_ATTACKS)
def test_a_trained_tagger_that_leads_outside_is_refused_and_nothing_outside_is_read(
    checkpoint: Path, outside: Path, name: str
) -> None:
    act, reason = TRAINED_ATTACKS[name]
    act(checkpoint, outside)
    with nothing_read_of(outside):
        refused_as_trained(checkpoint, reason)
        refused_by_export(checkpoint, reason, checkpoint.parent / "bundle")


@pytest.mark.parametrize("name", EXPORT_ATTACKS)
def test_a_file_that_export_reads_and_that_leads_outside_is_refused(
    checkpoint: Path, outside: Path, name: str
) -> None:
    act, reason = EXPORT_ATTACKS[name]
    act(checkpoint, outside)
    with nothing_read_of(outside):
        refused_by_export(checkpoint, reason, checkpoint.parent / "bundle")


def test_files_that_the_settings_of_a_tokenizer_name_are_not_read(
    checkpoint: Path, outside: Path
) -> None:
    """Many published configurations name files of the machine they were made on."""
    vocabulary_only(checkpoint)
    words = (checkpoint / "vocab.txt").read_text().splitlines()
    (outside / "vocab.txt").write_text("[UNK]\nstolen")
    edit(
        checkpoint / "tokenizer_config.json",
        vocab_file=str(outside / "vocab.txt"),
        tokenizer_file=str(outside / "vocab.txt"),
        special_tokens_map_file=str(outside / "secret"),
    )
    with nothing_read_of(outside):
        tokenizer = find_base(str(checkpoint)).tokenizer
    assert [tokenizer.id_to_token(number) for number in range(len(words))] == words


def test_weights_in_parts_and_the_hubs_cache_are_loaded(checkpoint: Path, tmp_path: Path) -> None:
    """The good neighbours of the attacks."""
    expected = load_file(checkpoint / WEIGHTS)["bert.embeddings.word_embeddings.weight"]
    in_parts(checkpoint, "part.safetensors")
    blobs, snapshot = tmp_path / "models--x" / "blobs", tmp_path / "models--x" / "snapshots" / "1"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in checkpoint.iterdir():
        path.rename(blobs / path.name.replace(".", ""))
        (snapshot / path.name).symlink_to(f"../../blobs/{path.name.replace('.', '')}")
    model = find_base(str(snapshot)).load_model(Tags.from_labels(["A"]))
    assert model.bert.embeddings.word_embeddings.weight.equal(expected)
