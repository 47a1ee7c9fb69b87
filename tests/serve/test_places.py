"""Tests what no folder can take the place of, as all who write folders ask before they work."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from export.bundle import check_replaceable
from serve.errors import TaggingError
from train.flags.new_folder import check_new
from train.model.checkpoint import check_output

Check = Callable[[Path], None]


@pytest.fixture(params=[check_new, check_output, check_replaceable])
def check(request: pytest.FixtureRequest) -> Check:
    found: Check = request.param
    return found


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def refused(check: Check, folder: Path, message: str) -> None:
    with pytest.raises(TaggingError, match=f"^{re.escape(f'{folder}: expected {message}')}"):
        check(folder)


def test_nothing_and_an_empty_folder_are_fine(check: Check, out: Path) -> None:
    check(out)
    check(out / "new" / "folder")


def test_the_current_folder_is_refused(
    check: Check, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell that stands in it would stand in nothing."""
    monkeypatch.chdir(out)
    for folder in (Path(), out, Path("../out")):
        refused(check, folder, "another folder than the current one; choose another")
    check(Path("below"))


def test_links_are_refused(check: Check, out: Path, tmp_path: Path) -> None:
    """They would be lost, and what is written lie on another disk than the user chose."""
    for name, leads_to in [("link", out), ("dangling", tmp_path / "none")]:
        (tmp_path / name).symlink_to(leads_to)
        refused(check, tmp_path / name, "a folder or nothing, got a file or a link; choose another")


def test_a_folder_where_a_disk_is_mounted_is_refused(
    check: Check, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda path: path == out)
    refused(check, out, "a folder that can be replaced, got one where a disk is mounted; choose")
    check(out / "below")


def test_a_folder_of_somebody_elses_is_refused(
    check: Check, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes its parent is written to: its entry `..`."""
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != out)
    refused(check, out, "a folder that can be replaced, got one that you may not move; choose")


def test_where_only_owners_move_things_others_are_refused(
    check: Check, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out.parent.chmod(0o1777)
    check(out)
    monkeypatch.setattr(os, "geteuid", lambda: out.stat().st_uid + 1)
    refused(check, out, "a folder that can be replaced, got one that you may not move; choose")
    check(out.parent / "new")
    out.parent.chmod(0o777)
    check(out)


def test_the_root_is_refused(check: Check) -> None:
    with pytest.raises(TaggingError, match=r"^/: expected "):
        check(Path("/"))
