"""Tests that what is installed elsewhere is whole: data files, types, what the extras bring."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DATA = PROJECT["tool"]["setuptools"]["package-data"]


def data_files(package: str) -> list[Path]:
    """Return what lies in a package's folders and is no code."""
    files = [path for path in (ROOT / package).rglob("*") if path.is_file()]
    made = ("__pycache__", "results")
    return [f for f in files if f.suffix != ".py" and not set(made) & set(f.parts)]


@pytest.mark.parametrize("package", ["serve", "train", "export"])
def test_a_wheel_holds_all_that_the_code_reads(package: str) -> None:
    files = [path for path in data_files(package) if path != ROOT / package / "README.md"]
    assert ROOT / package / "py.typed" in files  # with which types reach whoever installs it
    for path in files:
        owner = ".".join(path.parent.relative_to(ROOT).parts)
        assert any(fnmatch(path.name, pattern) for pattern in DATA.get(owner, [])), path


def test_the_extra_for_a_gpu_brings_what_make_installs_there() -> None:
    (wanted,) = PROJECT["project"]["optional-dependencies"]["gpu"]
    makefile = (ROOT / "Makefile").read_text().replace("$(comma)", ",")
    (installed,) = set(re.findall(r"onnxruntime-gpu\[[a-z,]+\]", makefile))
    assert wanted.startswith(f"{installed}>=")
