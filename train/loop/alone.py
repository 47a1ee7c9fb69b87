"""Owns a run's claim to a folder: what several wrote at once would be nobody's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from serve.errors import CheckpointError
from serve.files import locked


@contextmanager
def alone_in(folder: Path, flag: str, *, named: Path | None = None) -> Iterator[None]:
    """Keep other runs out of a folder, as far as its disk knows locks.

    Args:
        folder: The folder; made if need be.
        flag: Where another can be chosen.
        named: What the user named; None for the folder.

    Raises:
        CheckpointError: At once, if another run is in there, or it cannot be written.
        OSError: If it cannot be made.
    """
    place = named or folder
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CheckpointError(
            f"{place}: expected a folder that can be written, got one that cannot; "
            f"choose another {flag}"
        )
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder, wait=False))
        except BlockingIOError as error:
            raise CheckpointError(
                f"{place}: expected no other run there, got one at work; wait for its end, or "
                f"choose another {flag}"
            ) from error
        except OSError:  # its disk knows no locks
            pass
        yield


def is_first_process() -> bool:
    """Tell whether this is a run's only process, or the first that torchrun or accelerate began."""
    return os.environ.get("RANK", "0") == "0"
