"""Owns taking a Triton down; needs no gRPC.

Nothing here locks the folder; that is for the caller.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from serve.triton.processes import sweep, wait_until
from serve.triton.state import read_process, remove_state

STOP_TIMEOUT_S = 15.0


def take_down(folder: Path, *, patiently: bool = True) -> bool:
    """Stop the server noted in a folder, by whichever release; remove whatever is left of it.

    Args:
        folder: Where its state was written.
        patiently: Whether to let it answer what is in flight.

    Returns:
        Whether one was noted, alive or dead.

    Raises:
        ServerError: If the note cannot be read, or a process does not die.
    """
    state = read_process(folder)
    if state is None:
        return False
    if patiently and state.is_running():
        with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(state.pid, signal.SIGTERM)
            if not wait_until(lambda: not state.is_running(), timeout_s=STOP_TIMEOUT_S):
                os.killpg(state.pid, signal.SIGKILL)
    sweep(state.prefix)
    if state.pid:
        with contextlib.suppress(ChildProcessError):  # not ours, when another process started it
            os.waitpid(state.pid, 0)
    remove_state(folder)
    return True
