"""Tests what is fit to be started: a repository with a version, and paths that Triton takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from serve.errors import ServerError
from serve.supervisor.orders import prepare


def test_nothing_published_is_told(tmp_path: Path, environment: Path) -> None:
    with pytest.raises(ServerError, match=r"tagger: expected a published version, got none; pub"):
        prepare(environment, tmp_path)


@pytest.mark.parametrize(
    ("name", "odd"), [("my lines", "' '"), ("a;b$(c)", r"'\$\(\);'"), ("Aufträge", "'ä'")]
)
def test_a_path_that_triton_would_give_to_a_shell_is_refused_at_once(
    tmp_path: Path, environment: Path, name: str, odd: str
) -> None:
    (tmp_path / name).symlink_to(environment)
    with pytest.raises(ServerError, match=rf"{re.escape(name)}: expected a path .*, got {odd}; "):
        prepare(environment, tmp_path / name)
    with pytest.raises(ServerError, match=rf"{re.escape(name)}: expected a path .*, got {odd}; "):
        prepare(tmp_path / name, tmp_path)
