"""Owns a supervisor that outlives the command that starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from serve.errors import ServerError
from serve.supervisor.config import make_folder
from serve.supervisor.status import SupervisorStatus, status_if_whole
from serve.triton.ending import ENDINGS

OUTPUT = "start.out"
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
    with _endings_raised():
        pid = _spawn([sys.executable, "-m", "serve", "start", *arguments], folder / OUTPUT)
        try:
            announce(_await(pid, folder))
        except BaseException:
            _end(pid)
            raise


@contextlib.contextmanager
def _endings_raised() -> Iterator[None]:
    """Let whatever ends a program end it as Ctrl-C does: not before what it started has ended."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    wanted = [number for number in ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _spawn(command: list[str], output: Path) -> int:
    # Opened here: of a file that it cannot open, posix_spawn says that the program is at fault.
    output.unlink(missing_ok=True)  # another supervisor may write to that one still
    with output.open("wb") as written:
        return os.posix_spawn(
            command[0],
            command,
            os.environ,
            setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, written.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            ],
        )


def _await(pid: int, folder: Path) -> SupervisorStatus:
    """Wait for the supervisor to be ready, or to end; its own patience bounds that."""
    while not _has_ended(pid):
        status = status_if_whole(folder)  # the last supervisor's, until ours has written its own
        if (
            status
            and status.pid == pid
            and status.triton
            and status.num_ready == len(status.replicas)
        ):
            return status
        time.sleep(_POLL_S)
    said = (folder / OUTPUT).read_text(errors="replace").strip().splitlines() or ["nothing"]
    raise ServerError(said[-1].removeprefix(_ERROR))


def _has_ended(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):  # it has ended by itself
        pass
