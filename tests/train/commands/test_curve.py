import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from serve.examples import Example, Span, write_jsonl
from tests.conftest import tiny_lines
from tests.train.conftest import readapted
from train.__main__ import main
from train.commands.curve import parse_args
from train.config import TrainConfig
from train.curve.config import CurveConfig, Pick, Strategy
from train.loop.alone import alone_in


@pytest.fixture
def arguments(tiny_base: Path, tiny_data: Path, tmp_path: Path) -> list[str]:
    flags = f"--data {tiny_data} --model {tiny_base} --epochs 2 --learning-rate 3e-3 --draws 2"
    return ["curve", *flags.split(), "--curve", str(tmp_path / "curve")]


def test_the_parser_has_the_defaults_of_the_settings() -> None:
    assert parse_args([]) == CurveConfig(strategies=(Strategy("default", TrainConfig()),))


def test_strategies_stand_on_the_flags_beside_them() -> None:
    text = ["--epochs", "3", "--strategy", "a=--dropout 0.2 --epochs 5", "--strategy", "b="]
    config = parse_args([*text, "--sizes", "all,50,10", "--pick", "select", "random"])
    first, second = config.strategies
    assert (first.name, first.training) == ("a", TrainConfig(epochs=5, dropout=0.2))
    assert (second.name, second.training) == ("b", TrainConfig(epochs=3))
    assert config.sizes == (10, 50, None)
    assert config.picks == (Pick.SELECT, Pick.RANDOM)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "0"], "argument --sizes: expected a number of at least 1, got 0"),
        (
            ["--strategy", "a=", "--strategy", " a =--epochs 3"],
            "--strategy: expected each name once",
        ),
        (["--strategy", "plain"], "argument --strategy: expected NAME=FLAGS, got 'plain'"),
        (["--strategy", "a='"], "argument --strategy: expected flags, got"),
        (["--strategy", "a=--data x"], "argument --data: expected outside of --strategy, got insi"),
        (["--strategy", "a=--nothing"], "--strategy a: error: unrecognized arguments: --nothing"),
        (["--seed", "3"], "argument --seed: expected no such flag for a curve"),
        (
            ["--output", "x"],
            "--output: expected no such flag for a curve; it seeds its runs itself",
        ),
    ],
)
def test_a_usage_error_leaves_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["curve", *arguments])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err


def test_a_second_curve_in_a_folder_is_refused_before_a_run(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone_in(tmp_path / "curve", "--curve"):
        assert main([*arguments, "--sizes", "5"]) == 1
    message = f"{tmp_path / 'curve'}: expected no other run there, got one at work; wait for its"
    assert message in capsys.readouterr().err
    assert list((tmp_path / "curve").iterdir()) == []


def test_a_curve_is_drawn_and_goes_on_with_the_runs_that_are_missing(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "curve"
    assert main([*arguments, "--sizes", "5,40"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].startswith("| strategy | lines by | lines | words | spans | draws | dev F1 |")
    assert [row.split(" | ")[2] for row in table[2:]] == ["5", "40"]
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    first = (folder / "runs.jsonl").read_text()
    assert first.count("\n") == 4

    lines = first.splitlines(keepends=True)
    (folder / "runs.jsonl").write_text("".join(lines[:2]))  # as after a crash
    assert main([*arguments, "--sizes", "5,40,9999", "--json"]) == 0
    assert "warning: sizes left out, train has 200 lines: 9999" in caplog.messages
    steps = json.loads(capsys.readouterr().out)
    assert [(step["num_lines"], step["num_draws"]) for step in steps] == [(5, 2), (40, 2)]
    again = (folder / "runs.jsonl").read_text().splitlines(keepends=True)
    assert again[:2] == lines[:2]
    kept = [json.loads(line)["dev_f1"] for line in again]
    assert kept == [json.loads(line)["dev_f1"] for line in lines], "the same seed, the same run"


def test_picked_lines_are_new_ones_and_the_first_size_is_drawn(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments += ["--sizes", "5,20", "--draws", "1", "--pick", "random", "select"]
    assert main([*arguments, "--score-test"]) == 0
    assert "test F1" in capsys.readouterr().out
    text = (tmp_path / "curve" / "runs.jsonl").read_text()
    runs = [json.loads(line) for line in text.splitlines()]
    random, select = runs[:2], runs[2:]
    assert [run["pick"] for run in runs] == ["random", "random", "select", "select"]
    assert random[0]["dev_f1"] == select[0]["dev_f1"]
    assert random[0]["next_rows"] == []
    assert len(set(select[0]["next_rows"])) == 15
    assert all(run["test_f1"] is not None for run in runs)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]


def test_a_test_f1_is_of_the_test_lines_that_are_named(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments += ["--sizes", "40", "--draws", "1", "--json"]
    hopeless = [
        Example(line.text, (Span(0, 1, "Item"),)) for line in tiny_lines(seed=5, num_lines=9)
    ]
    write_jsonl(tmp_path / "hopeless.jsonl", hopeless)
    other = ["--test", str(tmp_path / "hopeless.jsonl")]
    shown = []
    for flags in (["--score-test"], other, [*other, "--score-test"], [*other, "--score-test"]):
        assert main([*arguments, *flags]) == 0
        (step,) = json.loads(capsys.readouterr().out)
        shown.append(step["test_f1"] and step["test_f1"]["mean"])
    assert shown[0] > 0
    assert shown[1:] == [None, 0, 0]
    assert len(rows_of(tmp_path / "curve")) == 2, "asked anew once"


def test_a_size_that_picks_lead_to_otherwise_is_run_anew(
    arguments: list[str], tmp_path: Path
) -> None:
    arguments += ["--draws", "1", "--pick", "select", "--epochs", "1"]
    assert main([*arguments, "--sizes", "4,8"]) == 0
    for folder in ("curve", "fresh"):
        flags = ["--sizes", "2,4,8", "--curve", str(tmp_path / folder)]
        assert main([*arguments, *flags]) == 0
    mixed, fresh = rows_of(tmp_path / "curve"), rows_of(tmp_path / "fresh")
    for row in (*mixed, *fresh):
        del row["training_s"]
    assert len(fresh) == 3
    assert mixed[2:] == fresh


def test_runs_from_a_base_model_that_was_adapted_again_are_not_mixed(
    arguments: list[str], tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    arguments += ["--model", str(base), "--draws", "1", "--epochs", "1"]
    assert main([*arguments, "--sizes", "5"]) == 0
    readapted(tiny_base, base)
    assert main([*arguments, "--sizes", "5,10"]) == 1
    assert "with the same lines, settings and base model, got others" in capsys.readouterr().err


def test_several_processes_are_refused_before_any_run(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(arguments) == 1
    assert capsys.readouterr().err == (
        "error: expected one process, got 2; a curve's runs are small, "
        "start it without torchrun or accelerate\n"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--score-test"], "error: --score-test: expected test lines, got none"),
        (["--label-map", "Typo="], "expected a label of the data"),
        (["--sizes", "9999"], "error: --sizes: expected at least one of up to 200 lines"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    tiny_data: Path,
    capsys: pytest.CaptureFixture[str],
    change: list[str],
    message: str,
) -> None:
    train = ["--train", str(tiny_data / "train.jsonl"), "--dev", str(tiny_data / "dev.jsonl")]
    without_data = [part for part in arguments if part not in ("--data", str(tiny_data))]
    assert main([*without_data, *train, *change]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
