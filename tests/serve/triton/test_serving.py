"""Tests which servers of a machine are found to serve a repository."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from serve.errors import ServerError
from serve.triton.processes import wait_until
from serve.triton.serving import serving
from serve.triton.state import STATE
from tests.serve.stand_in import PREFIX, stand_in


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


def test_servers_are_found_wherever_their_notes_lie(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert serving(repository) == []
    other = f"{PREFIX[:-2]}c-"
    with (
        stand_in(tmp_path / "b", repository) as second,
        stand_in(tmp_path / "a" / "replica-0", repository, prefix=other) as first,
    ):
        assert serving(repository) == [first, second]
        assert serving(Path("../repository")) == [first, second]


def test_a_repository_is_the_same_by_whatever_path_it_is_named(
    tmp_path: Path, repository: Path
) -> None:
    (tmp_path / "link").symlink_to(repository)
    (tmp_path / "another").mkdir()
    with stand_in(tmp_path / "folder", tmp_path / "link") as state:
        assert serving(repository) == serving(tmp_path / "link") == [state]
        assert serving(tmp_path / "another") == serving(tmp_path / "missing") == []


def test_one_that_ended_is_not_found(tmp_path: Path, repository: Path) -> None:
    with stand_in(tmp_path / "folder", repository) as state:
        os.kill(state.pid, signal.SIGKILL)
        assert wait_until(lambda: serving(repository) == [], timeout_s=5)


@pytest.mark.parametrize("has_another", [False, True])
def test_one_whose_note_is_gone_is_an_error(
    tmp_path: Path, repository: Path, has_another: bool
) -> None:
    """It would never be told of a version, and nobody would see why callers get no answer."""
    with stand_in(tmp_path / "folder", repository) as state:
        note = tmp_path / "folder" / STATE
        if has_another:
            note.write_text(note.read_text().replace(PREFIX, f"{PREFIX[:-2]}c-"))
        else:
            note.unlink()
        expected = re.escape(f"{tmp_path / 'folder'}: expected the note of process {state.pid}, ")
        with pytest.raises(ServerError, match=f"^{expected}.*if process {os.getpid()} is that"):
            serving(repository)


def test_one_of_another_user_is_an_error(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says of itself is not believed: its note may lead to another's key."""
    owner = os.geteuid()
    with stand_in(tmp_path / "folder", repository) as state:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        expected = f"of this user, got process {state.pid} of user {owner}; take the step as"
        with pytest.raises(ServerError, match=expected):
            serving(repository)


def test_one_in_a_container_within_is_none_of_ours(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its note lies at another path there, and the supervisor there has it load what it lacks."""
    read = Path.read_text
    with stand_in(tmp_path / "folder", repository) as state:
        own = f"NSpid:\t{state.pid}"
        assert own in read(Path(f"/proc/{state.pid}/status"))

        def nested(path: Path) -> str:
            return read(path).replace(own, f"{own}\t7")

        monkeypatch.setattr(Path, "read_text", nested)
        assert serving(repository) == []
