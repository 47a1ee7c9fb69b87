"""Tests that what a benchmark took minutes to find is not lost to a place that takes nothing."""

from __future__ import annotations

import errno
import json
import os
import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import delivery

FIGURES = {"latency_ms": 1.5}
ARGUMENTS = {"training": ["--data", "d"]}


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out.json")


@pytest.mark.parametrize(
    "name",
    [
        "export", "grid.__main__", "latency", "load.__main__", "memory.__main__",
        "path.__main__", "training.__main__",
    ],
)  # fmt: skip
def test_a_full_disk_costs_no_figures(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = import_module(f"benchmarks.{name}")
    found = SimpleNamespace(summary=lambda: FIGURES, write=full_disk, curves=[])
    fakes = {"run": found, "measure": found, "asdict": FIGURES}
    for function, answer in fakes.items():
        if hasattr(module, function):
            monkeypatch.setattr(module, function, lambda *_, answer=answer: answer)
    for function in {"table", "tables", "format_speed"} & vars(module).keys():
        monkeypatch.setattr(module, function, lambda _: "a table")
    monkeypatch.setattr(delivery, "write_durably", full_disk)
    output = tmp_path / "out.json"
    assert module.main([*ARGUMENTS.get(name.partition(".")[0], []), "--output", str(output)]) == 1
    printed, told = capsys.readouterr()
    assert printed.startswith("a table\n")
    assert json.loads(printed.splitlines()[-1]) == FIGURES
    assert "out.json: No space left on device; make room there" in told


@pytest.mark.parametrize(
    "name", ["export", "grid", "latency", "load", "memory", "path", "training", "year"]
)
def test_a_place_for_no_file_is_told_before_the_measuring(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"file/out.json": "file", "folder.json": "folder.json"}
    (tmp_path / "file").touch()
    (tmp_path / "folder.json").mkdir()
    module = import_module(f"benchmarks.{name}")
    if not hasattr(module, "parse_args"):
        module = import_module(f"benchmarks.{name}.__main__")
    for output, got in places.items():
        with pytest.raises(SystemExit, match="2"):
            module.parse_args([*ARGUMENTS.get(name, []), "--output", str(tmp_path / output)])
        message = f"argument --output: expected a place for a file, got {tmp_path / got}, which is"
        assert re.search(re.escape(message), capsys.readouterr().err)
