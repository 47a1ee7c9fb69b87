import json
from dataclasses import asdict
from pathlib import Path

import pytest

from serve.errors import DataError
from train.curve.runs import Point, Run, RunsFile


def run(draw: int = 1, made_of: str = "x", f1: float = 0.5) -> Run:
    return Run(
        strategy="a", pick="random", num_lines=10, draw=draw, num_words=9, num_spans=3, dev_f1=f1,
        test_f1=None, num_epochs=2, training_s=1.0, next_rows=[], made_of=made_of,
        trained_on="rows", tested_on=None,
    )  # fmt: skip


def test_runs_are_kept_and_a_later_one_of_a_point_counts(tmp_path: Path) -> None:
    path = tmp_path / "below" / "runs.jsonl"
    file = RunsFile(path, {"a": "x"})
    for added in (run(1), run(2), run(1, f1=0.7)):
        file.add(added)
    again = RunsFile(path, {"a": "x"}).runs
    assert again == file.runs
    assert list(again) == [Point("a", "random", 10, 1), Point("a", "random", 10, 2)]
    assert [(r.draw, r.dev_f1) for r in again.values()] == [(1, 0.7), (2, 0.5)]


def test_a_row_that_a_crash_cut_off_is_passed_over_and_gone_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    RunsFile(path, {}).add(run(1))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"strategy": "a", "pi')
    file = RunsFile(path, {"a": "x"})
    assert len(file.runs) == 1
    file.add(run(2))
    assert path.read_bytes().startswith(whole)
    assert len(RunsFile(path, {"a": "x"}).runs) == 2


def test_a_row_that_another_is_writing_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    line = json.dumps(asdict(run(1))) + "\n"
    with path.open("a") as another:
        another.write(line[:50])
        another.flush()
        assert RunsFile(path, {"a": "x"}).runs == {}
        another.write(line[50:])
    assert len(RunsFile(path, {"a": "x"}).runs) == 1


def test_runs_of_other_lines_settings_or_bases_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    RunsFile(path, {}).add(run(1, made_of="x"))
    message = (
        r"runs\.jsonl:1: expected runs of 'a' with the same lines, settings and base model, got o"
    )
    with pytest.raises(DataError, match=message):
        RunsFile(path, {"a": "y"})
    assert RunsFile(path, {"b": "y"}).runs, "another strategy's may stand beside"


@pytest.mark.parametrize("line", ["no json", "{}", json.dumps({"strategy": "a"}), "[]"])
def test_a_row_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DataError, match=r"runs\.jsonl:1: expected a run of a curve, got"):
        RunsFile(path, {})
