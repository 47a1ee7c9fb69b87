"""The whole of `python -m train adapt`: what it writes, what it refuses, and going on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from serve.examples import read_jsonl
from tests.conftest import tiny_lines
from train.__main__ import main
from train.adaptation.config import AdaptConfig
from train.adaptation.masking import MaskedBatch, Masker
from train.commands.adapt import parse_args
from train.config import Arithmetic, Schedule

ROOT = Path(__file__).resolve().parents[3]
FILES = {
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "adapt.json",
}  # fmt: skip


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "raw.txt"
    path.write_text("\n".join(line.text for line in tiny_lines(seed=7, num_lines=300)))
    return path


@pytest.fixture
def arguments(raw: Path, tiny_base: Path, tmp_path: Path) -> list[str]:
    output = str(tmp_path / "out" / "base")
    settings = [
        "--epochs",
        "3",
        "--block-tokens",
        "32",
        "--learning-rate",
        "5e-3",
        "--batch-size",
        "8",
    ]
    return ["adapt", str(raw), "--model", str(tiny_base), "--output", output, *settings]


def test_every_setting_can_be_given() -> None:
    text = (
        "a b --leave-out c d --model m --output o --epochs 2 --patience 1 --batch-size 4 "
        "--block-tokens 16 --mask-share 0.2 --held-out-share 0.1 --learning-rate 1e-5 "
        "--schedule constant --warmup 0 --weight-decay 0 --seed 5 --arithmetic bf16 "
        "--accumulate 2 --checkpoint-gradients --save-every-s 9 --resume --tensorboard t --json"
    )
    assert parse_args(text.split()) == AdaptConfig(
        texts=(Path("a"), Path("b")), leave_out=(Path("c"), Path("d")), model="m",
        output=Path("o"), epochs=2, patience=1, batch_size=4, block_tokens=16, mask_share=0.2,
        held_out_share=0.1, learning_rate=1e-5, schedule=Schedule.CONSTANT, warmup=0.0,
        weight_decay=0.0, seed=5, arithmetic=Arithmetic.BF16, accumulate=2,
        checkpoint_gradients=True, save_every_s=9.0, resume=True, tensorboard=Path("t"), json=True,
    )  # fmt: skip
    assert parse_args(["a"]) == AdaptConfig(texts=(Path("a"),))


def test_held_out_perplexity_falls_and_train_takes_the_result(
    arguments: list[str], tmp_path: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "out" / "base"
    left = tmp_path / "out" / ".base.resume.safetensors.making" / ".tmp1x2y3z"  # of a kill
    left.parent.mkdir(parents=True)
    left.touch()
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((base / "adapt.json").read_text())
    assert {path.name for path in base.iterdir()} == FILES
    assert [path.name for path in base.parent.iterdir()] == ["base"], "the state is gone"
    assert len(record["epochs"]) == 4, "one for the new head, three for the model"
    assert record["perplexity_before"] == record["epochs"][0]["perplexity"]
    assert record["perplexity_after"] < 0.8 * record["perplexity_before"]

    checkpoint = tmp_path / "checkpoint"
    trained = ["--data", str(tiny_data), "--model", str(base), "--epochs", "1"]
    assert main([*trained, "--output", str(checkpoint)]) == 0
    words = "embeddings.word_embeddings.weight"  # frozen in fine-tuning
    weights = load_file(base / "model.safetensors")
    adapted = next(tensor for name, tensor in weights.items() if name.endswith(words))
    tagger = load_file(checkpoint / "model.safetensors")[f"bert.{words}"]
    assert torch.equal(tagger, adapted)


def test_the_encoder_rests_while_a_new_head_learns(
    arguments: list[str], tmp_path: Path, tiny_base: Path
) -> None:
    # Patience 1 and a rate that ruins the encoder: the first epoch, the head's, is the best.
    ruinous = ["--learning-rate", "3", "--patience", "1", "--schedule", "constant"]
    assert main([*arguments, *ruinous]) == 0
    adapted = load_file(tmp_path / "out" / "base" / "model.safetensors")
    for name, tensor in load_file(tiny_base / "model.safetensors").items():
        assert torch.equal(adapted[f"bert.{name}"], tensor), name


def test_a_model_with_a_head_is_measured_before_and_trained_at_once(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    again = [*arguments, "--json", "--epochs", "1"]
    again[again.index("--model") + 1] = str(tmp_path / "out" / "base")
    again[again.index("--output") + 1] = str(tmp_path / "second")
    assert main(again) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["perplexity_before"] == pytest.approx(first["perplexity_after"], rel=1e-2)
    assert len(second["epochs"]) == 1


def test_an_interrupted_adaptation_goes_on_to_the_same_model(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out" / "base"
    assert main(arguments) == 0
    whole = (output / "model.safetensors").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Masker, "collate", interrupted_after(9, Masker.collate))
        assert main(arguments) == 1
    assert capsys.readouterr().err.endswith("error: interrupted; go on with --resume\n")
    assert (tmp_path / "out" / "base.resume.safetensors").is_file()
    assert main([*arguments, "--resume"]) == 0
    assert (output / "model.safetensors").read_bytes() == whole


def interrupted_after(num_batches: int, collate: Callable[..., MaskedBatch]) -> object:
    """Return what makes batches until somebody presses Ctrl-C."""
    calls = iter(range(num_batches))

    def collate_or_end(*arguments: Any) -> MaskedBatch:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return collate(*arguments)

    return collate_or_end


def test_dev_lines_are_left_out_and_the_record_says_how_many(
    arguments: list[str], tiny_data: Path, raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = tiny_data / "dev.jsonl"
    texts = {example.text.lower() for example in read_jsonl(dev)}
    raw.write_text(raw.read_text() + "\n" + "\n".join(texts))
    assert main([*arguments, "--json", "--epochs", "1", "--leave-out", str(dev)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["num_lines_left_out"] >= len(texts)
    assert [row["file"] for row in record["left_out"]] == ["dev.jsonl"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["no/such.txt"], "error: no/such.txt: expected a readable file, got No such file"),
        (["--model", "no/such/name"], "error: --model no/such/name: expected a folder or a model"),
        (["--leave-out", "no/such.txt"], "error: no/such.txt: expected a readable file"),
        (["--output", str(ROOT / "tests")], "expected an adapted base model or nothing there, got"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    extra: list[str],
    message: str,
) -> None:
    command = (
        ["adapt", *extra, *arguments[1:]] if extra[0] == "no/such.txt" else [*arguments, *extra]
    )
    assert main(command) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["a", "--mask-share", "1"], ["a", "--block-tokens", "4"]]
)
def test_wrong_usage_leaves_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["adapt", *arguments])
    assert leaving.value.code == 2


def test_lines_in_a_folder_of_brat_can_be_left_out(arguments: list[str], tmp_path: Path) -> None:
    brat = tmp_path / "brat"
    brat.mkdir()
    (brat / "one.txt").write_text("fix pump\n")
    (brat / "one.ann").write_text("T1\tItem 4 8\tpump\n")
    assert main([*arguments, "--epochs", "1", "--leave-out", str(brat)]) == 0
    (left_out,) = json.loads((tmp_path / "out" / "base" / "adapt.json").read_text())["left_out"]
    assert (left_out["file"], len(left_out["sha256"])) == ("brat", 64)


def test_events_inside_the_output_are_refused_before_any_work(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = tmp_path / "out" / "base" / "events"
    assert main([*arguments, "--tensorboard", str(events)]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: --tensorboard {events}: expected a folder outside of ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
