"""Owns what all pictures share: matplotlib, which may be missing, and PNG files."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from serve.errors import DataError, needing
from serve.files import staged_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def needing_matplotlib() -> AbstractContextManager[None]:
    """Tell in a line that matplotlib is missing, to what is imported inside.

    Raises:
        DataError: If it is.
    """
    return needing("the package matplotlib", "bench", DataError)


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staging:
        figure.savefig(staging, format="png", dpi=130)
