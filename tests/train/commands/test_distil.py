import json
import os
import re
import shutil
import threading
from pathlib import Path

import pytest
from transformers import AutoModelForTokenClassification

from serve.artefacts.pretrained import WEIGHTS
from serve.bundle import sha256
from serve.examples import read_jsonl
from train.__main__ import main
from train.commands.distil import parse_args
from train.config import TrainConfig
from train.distillation.lesson import Lesson

FAST = ["--epochs", "6", "--learning-rate", "1e-2", "--batch-size", "20"]


@pytest.fixture
def arguments(tiny_base: Path, tiny_data: Path, tiny_checkpoint: Path, tmp_path: Path) -> list[str]:
    unlabelled = tmp_path / "raw.txt"
    held = read_jsonl(tiny_data / "test.jsonl")[0].text
    unlabelled.write_text(f"replace the pump on hose\n{held.upper()}!\n")
    return [
        *("--teachers", str(tiny_checkpoint), str(tiny_checkpoint)),
        *("--data", str(tiny_data), "--model", str(tiny_base)),
        *("--unlabelled", str(unlabelled), "--output", str(tmp_path / "out" / "student"), *FAST),
    ]


def test_the_parser_has_the_defaults_of_the_settings() -> None:
    config = parse_args(["--teachers", "a", "b"])
    assert config.lesson == Lesson(teachers=(Path("a"), Path("b")))
    assert config.training == TrainConfig()


def test_a_student_is_an_ordinary_checkpoint_that_says_how_it_was_taught(
    arguments: list[str], tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["distil", *arguments, "--json"]) == 0
    weights = sha256((tiny_checkpoint / WEIGHTS).read_bytes())
    figures = json.loads(capsys.readouterr().out)
    output = tmp_path / "out" / "student"
    assert figures["dev"]["entities"]["micro"]["f1"] > 0.5
    assert json.loads((output / "evaluation.json").read_text()) == figures
    record = json.loads((output / "train.json").read_text())
    assert record["distillation"] == {
        "teachers": [{"name": "checkpoint", "weights_sha256": {WEIGHTS: weights}}] * 2,
        "gold_share": Lesson.gold_share,
        "unlabelled": ["raw.txt"],
        "unlabelled_sha256": sha256(b"replace the pump on hose"),
        "num_unlabelled": 1,
        "num_held": 1,
    }
    card = (output / "README.md").read_text()
    assert ", taught by `checkpoint`, `checkpoint` (gold's labels count 50%); every setting" in card
    digest = sha256(b"replace the pump on hose")
    assert f"| unlabelled | raw.txt | 1 |  | `{digest}` (of the lines used) |" in card
    assert card.count(f"| SHA-256 of checkpoint's {WEIGHTS} | `{weights}` |") == 2
    assert AutoModelForTokenClassification.from_pretrained(output).config.num_labels == 7
    assert [path.name for path in output.parent.iterdir()] == ["student"]


def test_unlabelled_lines_come_from_a_pipe_too(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It can be read once only."""
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    raw = tmp_path / "raw.txt"
    writer = threading.Thread(target=lambda: pipe.write_bytes(raw.read_bytes()))
    writer.start()
    swapped = [str(pipe) if argument == str(raw) else argument for argument in arguments]
    assert main(["distil", *swapped, "--json"]) == 0
    writer.join()
    assert capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "student" / "train.json").read_text())
    assert record["distillation"]["num_unlabelled"] == 1


def test_the_teachers_count_and_gold_too(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = []
    for share in ("0", "1"):
        output = str(tmp_path / share)
        assert main(["distil", *arguments, "--output", output, "--gold-share", share]) == 0
        record = json.loads((tmp_path / share / "train.json").read_text())
        losses.append([epoch["loss"] for epoch in record["epochs"]])
    capsys.readouterr()
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "the following arguments are required: --teachers"),
        (["--teachers", "a", "--gold-share", "2"], "--gold-share: expected a number from 0 to 1"),
        (["--teachers", "a", "--decoder", "crf"], "--decoder: expected plain or constrained"),
        (["--teachers", "a", "--label-smoothing", "0.1"], "--label-smoothing, .* expected none"),
        (["--teachers", "a", "--label-all-tokens"], "--label-all-tokens, .* expected none"),
    ],
)
def test_a_usage_error_leaves_with_2(
    capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["distil", *flags])
    assert leaving.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_teacher_that_is_none_is_told_in_one_line_and_nothing_is_written(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments[2] = str(tmp_path / "none")
    assert main(["distil", *arguments]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {tmp_path}/none: expected a checkpoint, got no config.json")
    assert not (tmp_path / "out" / "student").exists()


def test_a_lesson_that_is_interrupted_says_how_it_goes_on(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("train.pipeline.run", interrupt)
    assert main(["distil", *arguments]) == 1
    assert capsys.readouterr().err == "error: interrupted; nothing was saved yet, so start anew\n"


def test_a_student_does_not_take_the_place_of_a_teacher(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(arguments[1], teacher)
    before = {path.name: path.read_bytes() for path in teacher.iterdir()}
    arguments[1] = str(teacher)
    arguments[arguments.index("--output") + 1] = f"{tmp_path}/other/../teacher"
    assert main(["distil", *arguments]) == 1
    assert "expected a folder outside of its teachers, got one in " in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in teacher.iterdir()} == before
