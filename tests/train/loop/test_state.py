"""A state in the making: what a kill leaves of it is gone with the next, and with the run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from train.loop import state
from train.loop.state import Epoch, TrainingState, clear, load_state, save_state

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
    assert list(tmp_path.iterdir()) == [path]
    assert load_state(path, "this run") is not None


def test_a_run_that_is_done_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.resume.safetensors"
    save_state(path, STATE)
    kill(path, monkeypatch)
    assert load_state(path, "this run") is not None, "the last one is whole"
    clear(path)
    assert list(tmp_path.iterdir()) == []
