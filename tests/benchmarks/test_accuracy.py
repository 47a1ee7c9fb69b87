import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.accuracy.__main__ import main
from benchmarks.accuracy.corpora import SOURCES, write_corpus
from benchmarks.accuracy.plan import EXPERIMENTS, Experiment, draw_of, teacher_seeds
from benchmarks.accuracy.run import (
    Score,
    append,
    checkpoint_of,
    execute,
    put,
    read_rows,
    with_test_score,
)
from benchmarks.accuracy.table import format_gains, format_machines, format_table, num_looks
from benchmarks.machine import describe_machine
from serve.examples import read_jsonl
from train.config import TrainConfig

MACHINE = describe_machine()
FLAGS = ("--epochs", "4", "--learning-rate", "1e-2", "--batch-size", "20")


@pytest.fixture
def source(tiny_data: Path) -> TrainConfig:
    train, dev, test = (tiny_data / f"{split}.jsonl" for split in ("train", "dev", "test"))
    return TrainConfig(train=train, dev=dev, test=test, label_map=(("Observation", "State"),))


@pytest.fixture
def experiment(tiny_base: Path) -> Experiment:
    return Experiment(name="tiny plain", corpus="tiny", flags=(*FLAGS, "--model", str(tiny_base)))


def test_every_experiment_names_what_there_is() -> None:
    for name, experiment in EXPERIMENTS.items():
        assert experiment.name == name
        assert experiment.corpus in SOURCES
        for other in filter(None, (experiment.teachers, experiment.start)):
            assert other in EXPERIMENTS
        if experiment.teachers:
            assert EXPERIMENTS[experiment.teachers].num_lines == experiment.num_lines


def test_a_students_teachers_saw_the_lines_that_it_sees(experiment: Experiment) -> None:
    few = replace(experiment, num_lines=10)
    assert [teacher_seeds(few, seed) for seed in (2, 102)] == [[2, 102, 202]] * 2
    assert {draw_of(seed) for seed in teacher_seeds(few, 2)} == {2}
    assert teacher_seeds(experiment, 2) == [1, 2, 3]


def test_few_lines_are_a_seeded_draw_and_dev_stays_whole(
    source: TrainConfig, tmp_path: Path
) -> None:
    for name, seed in {"a": 1, "b": 1, "c": 2}.items():
        write_corpus(tmp_path / name, source, 10, seed, test=False)
    a, b, c = (read_jsonl(tmp_path / name / "train.jsonl") for name in "abc")
    assert len(a) == 10
    assert a == b != c
    assert len(read_jsonl(tmp_path / "a" / "dev.jsonl")) == 30
    assert {span.label for line in a for span in line.spans} <= {"Activity", "Item", "State"}


def test_test_lines_are_there_only_for_a_run_that_looks_at_them(
    source: TrainConfig, tmp_path: Path
) -> None:
    write_corpus(tmp_path / "a", source, None, 1, test=False)
    assert not (tmp_path / "a" / "test.jsonl").exists()
    write_corpus(tmp_path / "a", source, None, 1, test=True)
    assert len(read_jsonl(tmp_path / "a" / "test.jsonl")) == 30


def test_a_run_is_scored_and_kept_and_teaches_the_next(
    experiment: Experiment, source: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = execute(experiment, source, 2, MACHINE, test=True)
    for seed in (1, 3):  # the other teachers
        shutil.copytree(checkpoint_of("tiny plain", 2), checkpoint_of("tiny plain", seed))
    evaluation = json.loads((checkpoint_of("tiny plain", 2) / "evaluation.json").read_text())
    assert row.test is not None
    for score, split in ((row.dev, "dev"), (row.test, "test")):
        assert score.f1 == pytest.approx(evaluation[split]["entities"]["micro"]["f1"])
        assert score.interval[0] < score.f1 < score.interval[1]
    assert row.settings["seed"] == 2
    assert len(row.epochs) == 4
    student = replace(experiment, name="tiny student", teachers="tiny plain")
    taught = execute(student, source, 2, MACHINE, test=False)
    assert taught.test is None
    folders = " ".join(str(checkpoint_of("tiny plain", seed)) for seed in (1, 2, 3))
    assert f"distil --teachers {folders} --data" in taught.command
    append(Path("runs.jsonl"), row)
    append(Path("runs.jsonl"), taught)
    assert read_rows(Path("runs.jsonl")) == json.loads(json.dumps([asdict(row), asdict(taught)]))
    assert format_machines([{"commit": "of an older row"}, *read_rows(Path("runs.jsonl"))]) == (
        f"1 runs on machines that they do not name\n2 runs on {MACHINE.cores}"
    )
    assert 0 < row.training_s < row.wall_s
    assert row.peak_memory_bytes > 1e8


def test_a_row_that_a_crash_cut_off_stops_no_later_run(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text('{"name": "a", "seed": 1}\n{"name": "a", "se')
    assert read_rows(path) == [{"name": "a", "seed": 1}]


def test_a_run_of_before_looks_at_test_without_being_trained_again(
    experiment: Experiment, source: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    looked = execute(experiment, source, 1, MACHINE, test=True)
    row = replace(looked, test=None)
    other = replace(row, seed=2)
    for each in (row, other):
        append(Path("runs.jsonl"), each)
    weights = checkpoint_of("tiny plain", 1) / "model.safetensors"
    trained_at = weights.stat().st_mtime_ns
    put(Path("runs.jsonl"), with_test_score(read_rows(Path("runs.jsonl"))[0], source))
    first, second = read_rows(Path("runs.jsonl"))
    assert first["test"]["num_lines"] == 30
    assert first | {"test": None} == json.loads(json.dumps(asdict(row)))
    assert second == json.loads(json.dumps(asdict(other)))
    assert weights.stat().st_mtime_ns == trained_at
    assert looked.test == Score(**first["test"] | {"interval": tuple(first["test"]["interval"])})


@pytest.mark.parametrize("test", [[], ["--test"]])
def test_a_run_that_has_looked_at_test_is_not_made_again(
    test: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # without a checkpoint
    (row,) = runs("mwo2kg plain", None, {1: 0.5})
    score = {"f1": 0.5, "interval": [0.4, 0.6], "num_lines": 9}
    text = json.dumps(row | {"test": score}) + "\n"
    Path("runs.jsonl").write_text(text)
    assert main(["mwo2kg plain", "--seeds", "1", "--output", "runs.jsonl", *test]) == 0
    assert Path("runs.jsonl").read_text() == text


@pytest.mark.parametrize("looked", [False, True])
def test_test_is_looked_at_only_when_asked_for(
    looked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = runs("mwo2kg plain", None, {1: 0.5})
    score = {"f1": 0.5, "interval": [0.4, 0.6], "num_lines": 9}
    output = tmp_path / "runs.jsonl"
    output.write_text(json.dumps(row) + "\n")
    monkeypatch.setattr(
        "benchmarks.accuracy.__main__.with_test_score", lambda known, _: known | {"test": score}
    )
    arguments = ["mwo2kg plain", "--seeds", "1", "--output", str(output)]
    assert main([*arguments, *(["--test"] if looked else [])]) == 0
    assert read_rows(output) == [row | {"test": score if looked else None}]


def test_the_table_tells_means_spread_and_looks_at_test(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    score = {"f1": 0.8, "interval": [0.75, 0.85], "num_lines": 9}
    better = score | {"f1": 0.9}
    rows = [
        {"name": "a", "seed": 1, "dev": score, "test": None, "cpu_s": 10.0},
        {"name": "a", "seed": 1, "dev": score, "test": score, "cpu_s": 10.0}
        | {"training_s": 8.0, "peak_memory_bytes": 5e8},
        {"name": "b", "seed": 1, "dev": score, "test": None, "cpu_s": 7.0},
        {"name": "a", "seed": 2, "dev": better, "test": None, "cpu_s": 20.0},
    ]
    rows = [{"corpus": "a", "num_lines": None} | row for row in rows]
    assert format_table(rows).splitlines()[2:] == [
        "| a | 2 | 2 | 0.8500 ± 0.0707 | 0.8000 | 0.750 to 0.850 | 15 | 8 | 500 |",
        "| b | 1 | 1 | 0.8000 |  |  | 7 |  |  |",
    ]
    assert num_looks(rows) == 1
    output = tmp_path / "runs.jsonl"
    output.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["--output", str(output)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "runs that looked at test: 1"
    assert json.loads(lines[-1]) == rows


def runs(name: str, num_lines: int | None, f1s: dict[int, float]) -> list[dict[str, object]]:
    return [
        {"name": name, "corpus": "a", "num_lines": num_lines, "seed": seed, "dev": {"f1": f1}}
        | {"test": None, "cpu_s": 1.0}
        for seed, f1 in f1s.items()
    ]


def test_runs_on_one_draw_of_few_lines_count_as_one() -> None:
    few = runs("a 9 plain", 9, {1: 0.5, 101: 0.6, 201: 0.7, 2: 0.8})
    assert "| a 9 plain | 4 | 2 | 0.7000 ± 0.1414 |" in format_table(few)
    all_lines = runs("a plain", None, {1: 0.5, 101: 0.6, 201: 0.7, 2: 0.8})
    assert "| a plain | 4 | 4 | 0.6500 ± 0.1291 |" in format_table(all_lines)


def test_gains_are_over_the_draws_that_both_have() -> None:
    rows = [
        *runs("a 9 plain", 9, {1: 0.5, 101: 0.7, 2: 0.8, 3: 0.1}),
        *runs("a 9 other", 9, {1: 0.64, 2: 0.85, 202: 0.87, 4: 0.99}),
        *runs("a 9 elsewhere", 9, {7: 0.9}),
        *runs("a other", None, {1: 0.9}),  # of which there is no plain one
    ]
    assert format_gains(rows).splitlines()[2:] == [
        "| a 9 other | 2 | 0.7000 ± 0.1414 | 0.7500 ± 0.1556 | 5.0 ± 1.4 |"
    ]
    assert format_gains(rows[:4]) == ""


def test_lines_that_are_not_there_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["mwo2kg plain", "--seeds", "1", "--output", "runs.jsonl"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ../shared/data/mwo2kg/train.txt: expected ")
    assert err.count("\n") == 1
    assert not Path("runs.jsonl").exists()
