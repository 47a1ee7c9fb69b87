import json
import shutil
from pathlib import Path

import pytest
from matplotlib.image import imread

from serve.examples import Example, write_jsonl
from tests.train.conftest import readapted
from train.__main__ import main
from train.commands.search import parse_args
from train.config import TrainConfig
from train.search.config import SearchConfig
from train.search.run import PICTURE, TABLE
from train.search.study import STUDY

SPACE = """
learning_rate = { low = 1e-4, high = 1e-2, log = true }
batch_size = [20, 40]
"""


@pytest.fixture
def arguments(tiny_base: Path, tiny_data: Path, tmp_path: Path) -> list[str]:
    space = tmp_path / "space.toml"
    space.write_text(SPACE)
    return [
        *("--data", str(tiny_data), "--model", str(tiny_base), "--epochs", "1"),
        *("--space", str(space), "--search", str(tmp_path / "search"), "--trials", "4"),
    ]


def test_the_parser_has_the_defaults_of_the_settings() -> None:
    assert parse_args([]) == SearchConfig(training=TrainConfig())


def test_a_search_leaves_study_table_and_picture_and_goes_on_from_them(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    folder = tmp_path / "search"
    assert {path.name for path in folder.iterdir()} == {STUDY, TABLE, PICTURE}
    assert json.loads((folder / TABLE).read_text()) == found
    assert len(found["trials"]) == 4
    assert all(len(trial["dev_f1"]) == 1 for trial in found["trials"])
    assert set(found["importance"]) == {"learning_rate", "batch_size"}
    assert imread(folder / PICTURE).shape[1] > 800
    assert main(["search", *arguments[:-1], "5"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(json.loads((folder / TABLE).read_text())["trials"]) == 5
    assert table[0].split()[:3] == ["trial", "dev", "F1"]


def test_who_interrupts_a_search_hears_how_to_go_on(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("train.search.run.run_search", interrupt)
    assert main(["search", *arguments]) == 1
    assert capsys.readouterr().err == "error: interrupted; the same command goes on\n"


def test_test_lines_are_not_looked_at(
    arguments: list[str], tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Empty lines cannot change a figure, nor what identifies the study."""
    assert main(["search", *arguments[:-1], "1"]) == 0
    write_jsonl(tmp_path / "test.jsonl", [Example("other lines", ())])
    assert main(["search", *arguments[:-1], "2", "--test", str(tmp_path / "test.jsonl")]) == 0
    assert "got another's" not in capsys.readouterr().err


def test_another_data_sets_study_is_refused(
    arguments: list[str], tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", *arguments[:-1], "1"]) == 0
    changed = ["--train", str(tiny_data / "dev.jsonl")]
    assert main(["search", *arguments, *changed]) == 1
    assert "study.db: expected a study of the same data" in capsys.readouterr().err


def test_a_search_whose_trials_all_fail_says_why(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "space.toml").write_text("learning_rate = [1e30]\n")
    assert main(["search", *arguments[:-1], "2"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: expected a trial that ends, got none of 2: epoch 1: expected a")


def test_a_base_model_that_was_adapted_again_is_another_study(
    arguments: list[str], tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    arguments += ["--trials", "1", "--model", str(base)]
    assert main(["search", *arguments]) == 0
    readapted(tiny_base, base)
    assert main(["search", *arguments]) == 1
    assert "study.db: expected a study of the same data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            'decoder = ["crf"]\nlabel_smoothing = [0.1]',
            "--label-smoothing, --class-weights: expect",
        ),
        ("freeze_layers = [6]", "--freeze-layers: expected at most 2, the model's layers, got 6;"),
    ],
)
def test_settings_that_training_refuses_fail_their_trials_and_no_more(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    space: str,
    message: str,
) -> None:
    (tmp_path / "space.toml").write_text(space)
    for num_trials in ("2", "3"):  # the second call is not stuck at the first one's trial
        assert main(["search", *arguments[:-1], num_trials]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: expected a trial that ends, got none of " + num_trials)
        assert message in error
        assert "choose another --space" in error


@pytest.mark.parametrize(
    "space", ['decoder = ["plain", "crf"]\nlabel_smoothing = [0.1]', "freeze_layers = [1, 6]"]
)
def test_a_study_goes_on_after_settings_that_training_refuses_and_recommends_others(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], space: str
) -> None:
    (tmp_path / "space.toml").write_text(space)
    assert main(["search", *arguments[:-1], "6"]) == 0
    best = capsys.readouterr().out.splitlines()[-1].removeprefix("best: ")
    trials = json.loads((tmp_path / "search" / TABLE).read_text())["trials"]
    assert {trial["outcome"] for trial in trials} == {"ended", "failed"}
    assert all(trial["error"] for trial in trials if trial["outcome"] == "failed")
    assert main([*arguments[:6], *best.split(), "--output", str(tmp_path / "best")]) == 0


def test_several_processes_are_refused_before_they_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["search", *arguments]) == 1
    assert capsys.readouterr().err == (
        "error: expected one process, got 2; a search's trials are small, "
        "start it without torchrun or accelerate\n"
    )


def test_a_wrong_space_is_told_before_anything_is_made(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "space.toml").write_text("seed = [1]\n")
    assert main(["search", *arguments]) == 1
    assert "space.toml: seed: expected one of the settings" in capsys.readouterr().err
    assert not (tmp_path / "search").exists()
