"""Tests that a folder which cannot be made is told with what helps."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from serve.errors import ServerError
from serve.supervisor.config import make_folder


def test_what_is_in_the_way_is_to_be_removed(tmp_path: Path) -> None:
    (tmp_path / "build").write_text("no folder")
    for folder, reason in (("build", "File exists"), ("build/triton", "Not a directory")):
        with pytest.raises(ServerError, match=f"{folder}: .*, got {reason}; remove what is there"):
            make_folder(tmp_path / folder)


@pytest.mark.parametrize("reason", [errno.EROFS, errno.EACCES])
def test_where_nothing_can_be_made_another_place_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "mkdir", refused)
    message = f"got {os.strerror(reason)}; start it in a folder you can write to"
    with pytest.raises(ServerError, match=message):
        make_folder(tmp_path / "build")
