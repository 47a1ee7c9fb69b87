import json
from pathlib import Path

import pytest

from train.__main__ import main
from train.commands.curve import parse_args
from train.config import TrainConfig
from train.curve.config import CurveConfig, Pick, Strategy


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
        (["--strategy", "plain"], "argument --strategy: expected NAME=FLAGS, got 'plain'"),
        (["--strategy", "a='"], "argument --strategy: expected flags, got"),
        (["--strategy", "a=--data x"], "argument --data: expected outside of --strategy, got insi"),
        (["--strategy", "a=--nothing"], "--strategy a: error: unrecognized arguments: --nothing"),
        (["--seed", "3"], "argument --seed: expected no such flag for a curve"),
        (["--output", "x"], "argument --output: expected no such flag for a curve"),
    ],
)
def test_a_usage_error_leaves_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["curve", *arguments])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err


def test_a_curve_is_drawn_and_goes_on_with_the_runs_that_are_missing(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    assert main([*arguments, "--sizes", "5,40", "--json"]) == 0
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
