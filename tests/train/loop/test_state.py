"""A state in the making: what a kill leaves of it is gone with the next, and with the run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from serve.errors import CheckpointError
from train.config import state_path
from train.loop import state
from train.loop.state import Epoch, TrainingState, clear, holding, load_state, save_state

STATE = TrainingState("this run", (Epoch(1, 0.5, 0.5),), {"a": torch.ones(2)}, {}, {})


class Killed(BaseException):
    """Stands for a kill: nothing is done after it."""


def kill(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin to save as safetensors does, under a name of its own, and be killed."""

    def half_saved(_: object, target: Path, **__: object) -> None:
        Path(target).with_name(".tmp1x2y3z").write_bytes(b"half of it")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(state, "save_file", half_saved)
        with pytest.raises(Killed):
            save_state(path, STATE)


def test_kills_leave_one_state_in_the_making_at_most_and_the_next_save_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.resume.safetensors"
    for _ in range(3):
        kill(path, monkeypatch)
    left = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(left) == 1
    save_state(path, STATE)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]
    assert load_state(path, "this run") is not None


def test_a_run_that_is_done_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = state_path(tmp_path / "a")
    save_state(path, STATE)
    kill(path, monkeypatch)
    assert load_state(path, "this run") is not None, "the last one is whole"
    with holding(tmp_path / "a"):
        clear(path)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_with_one_output_do_not_meet(tmp_path: Path) -> None:
    output = tmp_path / "new" / "a"
    message = "new/a: expected no other run there, got one at work; wait for its end, or choose an"
    with holding(output):
        for _ in range(2):
            with pytest.raises(CheckpointError, match=message), holding(output):
                pass
            save_state(state_path(output), STATE)
        with holding(tmp_path / "new" / "b"):
            save_state(state_path(tmp_path / "new" / "b"), STATE)
    states = [state_path(tmp_path / "new" / name) for name in "ab"]
    assert sorted((tmp_path / "new").iterdir()) == states, "what was saved stays"
    with holding(output):
        clear(states[0])
    assert list((tmp_path / "new").iterdir()) == states[1:]


def test_a_run_that_fails_at_once_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no lines"), holding(tmp_path / "new" / "folder" / "a"):
        raise ValueError("no lines")
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_several_processes_keeps_others_away_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holding(tmp_path / "a"):
        monkeypatch.setenv("RANK", "1")
        with holding(tmp_path / "a"):
            pass
        monkeypatch.setenv("RANK", "0")
        with pytest.raises(CheckpointError), holding(tmp_path / "a"):
            pass
