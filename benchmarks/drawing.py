"""Owns what all pictures share: matplotlib, which may be missing, and PNG files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from serve.errors import DataError
from serve.files import staged_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def needing_matplotlib() -> Iterator[None]:
    """Tell in a line that matplotlib is missing, to what is imported inside.

    Raises:
        DataError: If it is.
    """
    try:
        yield
    except ImportError as error:
        raise DataError(
            f"expected the package matplotlib, got {error}; pip install linetag[bench]"
        ) from error


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as staging:
        figure.savefig(staging, format="png", dpi=130)
