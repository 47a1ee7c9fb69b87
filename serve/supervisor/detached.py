"""Owns a supervisor that outlives the command that starts it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from serve.errors import ServerError, in_words
from serve.files import write_durably
from serve.signals import interrupting
from serve.supervisor.config import make_folder
from serve.supervisor.control import OUTPUT
from serve.supervisor.status import SupervisorStatus, status_if_whole

_POLL_S = 0.05
_ERROR = "error: "


def start_detached(
    arguments: Sequence[str], folder: Path, announce: Callable[[SupervisorStatus], None]
) -> None:
    """Run `python -m serve start` in a session of its own; return when it is ready.

    Args:
        arguments: Its arguments.
        folder: The supervisor's folder; what it writes goes to `start.out` there.
        announce: Called when it is ready.

    Raises:
        ServerError: If it ends instead: with what it said.
        KeyboardInterrupt: If a signal ended the waiting; then it was ended, too.
        OSError: If the folder cannot be written. Whatever `announce` raises: it was ended then.
    """
    make_folder(folder)
    # Whatever ends a program ends this one as Ctrl-C does: not before what it started has ended.
    with interrupting():
        process = _spawn([sys.executable, "-m", "serve", "start", *arguments], folder / OUTPUT)
        try:
            announce(_await(process, folder))
        except BaseException:
            process.terminate()
            process.wait()
            raise
        process.returncode = 0  # it outlives us: nobody waits for it


def _spawn(command: list[str], output: Path) -> subprocess.Popen[bytes]:
    output.unlink(missing_ok=True)  # another supervisor may write to that one still
    with output.open("ab") as written:  # appended to, it can be cut while it is open
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _await(process: subprocess.Popen[bytes], folder: Path) -> SupervisorStatus:
    """Wait for the supervisor to be ready, or to end; its own patience bounds that."""
    while process.poll() is None:
        status = status_if_whole(folder)  # the last supervisor's, until ours has written its own
        if (
            status
            and status.pid == process.pid
            and status.triton
            and status.num_ready == len(status.replicas)
        ):
            return status
        time.sleep(_POLL_S)
    said = (folder / OUTPUT).read_text(errors="replace").strip().splitlines()
    raise ServerError(said[-1].removeprefix(_ERROR) if said else _why_silent(process, folder))


def _why_silent(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Return why a supervisor ended without a word: on a full disk, what it said is lost."""
    try:
        write_durably(folder / OUTPUT, b"\n")
    except OSError as error:
        return in_words(error)
    return f"expected a supervisor to get ready, got one that ended with {process.returncode}"
