import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from serve.bundle import sha256
from serve.examples import Example, Span, read_jsonl, write_jsonl
from train.__main__ import main, parse_args
from train.config import (
    MAX_SEED,
    Arithmetic,
    Decoder,
    Method,
    OptimizerName,
    Schedule,
    TrainConfig,
)
from train.formats.flat import Overlaps
from train.loop.state import Epoch
from train.pipeline import _warn_of_nothing_found

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def arguments(tiny_base: Path, tiny_data: Path, tmp_path: Path) -> list[str]:
    output = str(tmp_path / "out" / "checkpoint")
    return ["--data", str(tiny_data), "--model", str(tiny_base), "--output", output]


def test_the_parser_has_the_defaults_of_the_settings() -> None:
    assert parse_args([]) == TrainConfig()


@pytest.mark.parametrize(
    ("quota", "given", "expected"), [(1, None, "1"), (2, None, None), (1, "2", "2")]
)
def test_pytorch_takes_no_more_threads_than_a_quota_allows(
    monkeypatch: pytest.MonkeyPatch, quota: int, given: str | None, expected: str | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("train.__main__.num_cores", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert main(["--data", "none"]) == 1
    assert os.environ.get("OMP_NUM_THREADS") == expected


def test_every_setting_can_be_given() -> None:
    text = (
        "--data d --train a --dev b --test c --label-map X=Y,Z= --model m --output o --epochs 2 "
        "--patience 3 --batch-size 4 --learning-rate 5e-5 --freeze-layers 0 --label-all-tokens "
        "--method head --lora-rank 3 --layer-decay 0.9 --optimizer sgd --schedule cosine "
        "--warmup 0.2 --weight-decay 0.1 --dropout 0.3 --label-smoothing 0.15 --class-weights 0.5 "
        "--decoder constrained --arithmetic fp32 --accumulate 7 --checkpoint-gradients "
        "--save-every-s 8 --seed 6 --resume --tensorboard e --json "
        "--format brat --label-level 2 --overlaps longest"
    )
    assert parse_args(text.split()) == TrainConfig(
        data=Path("d"), train=Path("a"), dev=Path("b"), test=Path("c"),
        label_map=(("X", "Y"), ("Z", "")), model="m", output=Path("o"), epochs=2, patience=3,
        batch_size=4, learning_rate=5e-5, freeze_layers=0, label_all_tokens=True,
        method=Method.HEAD, lora_rank=3, layer_decay=0.9, optimizer=OptimizerName.SGD,
        schedule=Schedule.COSINE, warmup=0.2, weight_decay=0.1, dropout=0.3, label_smoothing=0.15,
        class_weights=0.5, decoder=Decoder.CONSTRAINED, arithmetic=Arithmetic.FP32, accumulate=7,
        checkpoint_gradients=True, save_every_s=8, seed=6, resume=True, tensorboard=Path("e"),
        json=True, format="brat", label_level=2, overlaps=Overlaps.LONGEST,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "argument --epochs: expected a number of at least 1, got 0"),
        (["--batch-size", "x"], "argument --batch-size: expected a number of at least 1, got x"),
        (["--learning-rate", "0"], "argument --learning-rate: expected a number above 0, got 0"),
        (
            ["--learning-rate", "nan"],
            "argument --learning-rate: expected a number above 0, got nan",
        ),
        (["--seed", "-1"], "argument --seed: expected a number of at least 0, got -1"),
        (
            ["--seed", "4294967296"],
            "argument --seed: expected a number of at most 4294967295, got 4294967296",
        ),
        (["--dropout", "1"], "argument --dropout: expected a number from 0 to 0.9, got 1"),
        (["--warmup", "x"], "argument --warmup: expected a number from 0 to 1, got x"),
        (["--method", "some"], "argument --method: invalid Method value: 'some'"),
        (["--label-all-tokens", "--decoder", "crf"], "--label-all-tokens: expected another"),
        (["--class-weights", "1", "--decoder", "crf"], "--class-weights: expected another --dec"),
        (["--freeze-layers", "1", "--method", "lora"], "--freeze-layers: expected another --meth"),
        (["--label-map", "X"], "argument --label-map: expected Old=New or Old=, apart by commas"),
        (["--epoch-count", "3"], "unrecognized arguments: --epoch-count"),
    ],
)
def test_a_usage_error_leaves_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err


def test_help_is_the_modules_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["--help"])
    assert leaving.value.code == 0
    assert "Fine-tune a BERT into a tagger" in capsys.readouterr().out


def test_training_leaves_a_checkpoint_and_prints_its_figures(
    arguments: list[str], tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--epochs", "20", "--learning-rate", "3e-3", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    output = tmp_path / "out" / "checkpoint"
    assert printed == json.loads((output / "evaluation.json").read_text())
    assert printed["dev"]["num_lines"] == printed["test"]["num_lines"] == 30
    assert printed["dev"]["entities"]["micro"]["f1"] > 0.8
    record = json.loads((output / "train.json").read_text())
    assert record["settings"]["learning_rate"] == 3e-3
    assert record["data"]["train"]["num_lines"] == 200
    train_file = (tiny_data / "train.jsonl").read_bytes()
    assert record["data"]["train"]["sha256"] == sha256(train_file)
    assert len(record["epochs"]) <= 20
    assert read_jsonl(output / "dev.jsonl") == read_jsonl(tiny_data / "dev.jsonl")
    assert read_jsonl(output / "train.jsonl") == read_jsonl(tiny_data / "train.jsonl")
    assert json.loads((output / "decoding.json").read_text())["temperature"] != 1.0
    assert [path.name for path in output.parent.iterdir()] == ["checkpoint"], "the state is gone"


def test_a_crf_goes_on_with_the_transitions_of_the_tagger_it_starts_from(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crf = [*arguments, "--decoder", "crf", "--epochs", "1"]
    assert main([*crf, "--learning-rate", "3e-2"]) == 0
    first = tmp_path / "out" / "checkpoint"
    again = ["--model", str(first), "--output", str(tmp_path / "again"), "--learning-rate", "1e-9"]
    assert main([*crf, *again]) == 0
    old, new = (
        np.array(json.loads((folder / "decoding.json").read_text())["transitions"])
        for folder in (first, tmp_path / "again")
    )
    assert np.abs(old).max() > 0.01
    np.testing.assert_allclose(new, old, atol=1e-5)


def test_a_run_from_other_transitions_is_another_run(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or --resume would go on with what came of the others."""
    arguments = [*arguments, "--decoder", "crf", "--epochs", "1"]
    assert main([*arguments, "--learning-rate", "3e-2"]) == 0
    first, run_ids = tmp_path / "out" / "checkpoint", []

    def note(_config: object, _num_windows: int, run_id: str) -> None:
        run_ids.append(run_id)
        raise KeyboardInterrupt

    monkeypatch.setattr("train.pipeline.tagging_plan", note)
    again = [*arguments, "--model", str(first), "--output", str(tmp_path / "again")]
    assert [main(again), main(again)] == [1, 1]
    decoding = json.loads((first / "decoding.json").read_text())
    decoding["transitions"][0][0] += 1.0
    (first / "decoding.json").write_text(json.dumps(decoding))
    assert main(again) == 1
    assert run_ids[0] == run_ids[1] != run_ids[2]


def test_the_tables_are_printed_for_dev_and_test(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--epochs", "1", "--freeze-layers", "1"]) == 0
    out = capsys.readouterr().out
    assert "dev: 30 lines\n\nentities (strict: label, start and end all equal gold's)\n" in out
    assert "test: 30 lines\n" in out
    for row in ("Observation", "micro avg", "macro avg", "I-Item", "O ", "weighted avg"):
        assert row in out


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--data", "no/such"], "error: no/such: expected a folder with train, dev and test"),
        (["--model", "no/such/name"], "error: --model no/such/name: expected a folder or a model"),
        (["--label-map", "Typo=X"], "error: --label-map: expected a label of the data (Activity,"),
        (["--freeze-layers", "3"], "error: --freeze-layers: expected at most 2, the model's"),
        (["--output", str(ROOT / "tests")], "expected a checkpoint or nothing there, got"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    extra: list[str],
    message: str,
) -> None:
    assert main([*arguments, *extra]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output", [".", "../here"])
def test_the_current_folder_is_not_replaced(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    output: str,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main([*arguments, "--epochs", "1", "--output", output]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {output}: expected another folder than the current one;")


def test_a_file_whose_name_is_no_text_trains_and_is_on_the_card(
    arguments: list[str], tiny_data: Path, tmp_path: Path
) -> None:
    path = tmp_path / os.fsdecode(b"\xff.jsonl")
    path.write_bytes((tiny_data / "dev.jsonl").read_bytes())
    assert main([*arguments, "--epochs", "1", "--train", str(path)]) == 0
    assert "| train | \\udcff.jsonl |" in (tmp_path / "out/checkpoint/README.md").read_text()


def test_labels_are_printed_as_utf8_whatever_the_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_jsonl(tmp_path / "train.jsonl", [Example("\u6cf5", (Span(0, 1, "\u96f6\u4ef6"),))])
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["check", str(tmp_path)]) == 0
    assert "\u96f6\u4ef6" in out.buffer.getvalue().decode()


def test_the_largest_seed_trains(arguments: list[str]) -> None:
    assert main([*arguments, "--epochs", "1", "--seed", str(MAX_SEED)]) == 0


def test_labels_and_their_counts_are_said(
    arguments: list[str], caplog: pytest.LogCaptureFixture, tiny_data: Path
) -> None:
    assert main([*arguments, "--epochs", "1"]) == 0
    num = Counter(s.label for e in read_jsonl(tiny_data / "train.jsonl") for s in e.spans)
    expected = f"Activity ({num['Activity']}), Item ({num['Item']}), Observation ("
    assert f"labels and their spans in train: {expected}" in caplog.text


def test_spans_that_words_cannot_express_are_said_for_each_split(
    arguments: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split in ("train", "dev", "test"):
        path = tmp_path / f"{split}.jsonl"
        spans = (Span(0, 4, "Item"), Span(5, 6, "Item"))
        write_jsonl(path, [Example("pump", spans[:1]), Example("pump belt", spans)])
        arguments += [f"--{split}", str(path)]
    assert main([*arguments, "--epochs", "1"]) == 0
    for split in ("train", "dev", "test"):
        assert f"{split}.jsonl:2: expected spans that begin and end with a word" in caplog.text


def test_a_full_accelerator_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has\na")

    with register_module_forward_pre_hook(no_room):
        assert main([*arguments, "--epochs", "1"]) == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert last == (
        "error: expected room in the device's memory, got: CUDA out of memory. "
        "Tried to allocate 2 GiB; raise --accumulate, or lower --batch-size"
    )


def run_with_torch(source: str, folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the command where `import torch` finds this source; return its status and stderr."""
    (folder / "torch.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "train", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", [(), ("distil", "--teachers", "a")])
def test_a_missing_package_is_one_line_with_the_remedy(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    source = "raise ModuleNotFoundError('No module named torch', name='torch')"
    assert run_with_torch(source, tmp_path, *command) == (
        1,
        "error: expected the package torch, got none installed; "
        "pip install '.[train]' in linetag's folder\n",
    )


def test_an_interruption_while_pytorch_is_loaded_is_one_line(tmp_path: Path) -> None:
    assert run_with_torch("raise KeyboardInterrupt", tmp_path) == (
        1,
        "error: interrupted; nothing was saved yet, so start anew\n",
    )


def test_an_interruption_before_anything_is_saved_promises_no_other_runs_state(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("train.pipeline.read_corpus", interrupt)
    state = tmp_path / "out" / "checkpoint.resume.safetensors"
    state.parent.mkdir()
    state.write_bytes(b"another run's")
    assert main(arguments) == 1
    assert capsys.readouterr().err == "error: interrupted; nothing was saved yet, so start anew\n"
    assert main([*arguments, "--resume"]) == 1
    assert capsys.readouterr().err == "error: interrupted; go on with --resume\n"


@pytest.mark.slow
def test_an_interrupted_command_goes_on_to_the_same_checkpoint(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments += ["--epochs", "20", "--patience", "20", "--learning-rate", "1e-3"]
    output = tmp_path / "out" / "checkpoint"
    with subprocess.Popen(
        [sys.executable, "-m", "train", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # as here: sums depend on the split of work
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        next(line for line in process.stderr if line.startswith("epoch 2:"))
        process.send_signal(signal.SIGINT)
        *_, last = process.stderr
    assert process.returncode == 1
    assert last == "error: interrupted; go on with --resume\n"
    assert [path.name for path in output.parent.iterdir()] == ["checkpoint.resume.safetensors"]

    assert main([*arguments, "--resume", "--seed", "2"]) == 1
    assert "expected the state of a run with the same settings" in capsys.readouterr().err
    assert main([*arguments, "--resume"]) == 0
    resumed = (output / "model.safetensors").read_bytes()
    assert main(arguments) == 0
    assert (output / "model.safetensors").read_bytes() == resumed


@pytest.mark.slow
def test_the_command_runs_by_itself_and_fails_without_a_traceback(
    tiny_base: Path, tmp_path: Path
) -> None:
    (tmp_path / "train.txt").write_text("change B-Act\nfilter Item\n")
    command = [sys.executable, "-m", "train", "--data", str(tmp_path), "--model", str(tiny_base)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    said, line = result.stderr.splitlines()
    assert said == f"{tmp_path}/train.txt: format conll"
    assert line.startswith(f"error: {tmp_path}/train.txt:2: expected a tag O or B-")


@pytest.mark.slow
@pytest.mark.parametrize(("end", "status"), [(12, 0), (99, 1)])
def test_no_name_of_a_file_steers_the_terminal(tmp_path: Path, end: int, status: int) -> None:
    folder = tmp_path / "a\x1b[2J\u202e"
    folder.mkdir()
    (folder / "b\x1b[1m.txt").write_text("replace pump\n")
    (folder / "b\x1b[1m.ann").write_text(f"T1\tItem 8 {end}\tpump\n")
    for verb, *rest in (["check"], ["convert", str(tmp_path / "out.jsonl")]):
        command = [sys.executable, "-m", "train", verb, str(folder), *rest]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert result.returncode == status
        assert "a\ufffd[2J\ufffd" in result.stderr
        assert not {"\x1b", "\u202e"} & {*result.stdout, *result.stderr}


@pytest.mark.parametrize(
    ("are_all_lost", "remedy"),
    [(False, "give more lines, or raise --epochs"), (True, "their spans are none of words")],
)
def test_a_model_that_finds_nothing_is_told_with_what_may_help(
    caplog: pytest.LogCaptureFixture, are_all_lost: bool, remedy: str
) -> None:
    _warn_of_nothing_found((Epoch(1, 0.5, 0.0),), are_all_lost)
    assert f"no entity of the dev lines (F1 0); {remedy}" in caplog.text
