"""Tests which way imports point: `serve` is light and knows no other, `train` and `export` neither.

The syntax trees are walked, so an import inside a function counts too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "serve": {"train", "export", "benchmarks", "torch", "transformers", "optimum", "onnx"},
    "train": {"export", "benchmarks"},
    "export": {"train", "benchmarks"},
}


def imports(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield file and top-level package of every import below a folder."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                yield str(path), name.partition(".")[0]


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_no_import_points_the_wrong_way(package: str) -> None:
    wrong = [row for row in imports(ROOT / package) if row[1] in FORBIDDEN[package]]
    assert wrong == []


def test_an_import_inside_a_function_is_seen(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(
        "def f():\n    from torch.nn import Linear\n    import onnx as o\n"
    )
    assert {name for _, name in imports(tmp_path)} == {"torch", "onnx"}
