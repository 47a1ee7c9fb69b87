"""Owns which servers of this machine serve a repository, wherever their notes lie.

Their processes tell: the repository is on a server's command line, and its log, beside which its
note lies, is its standard output. A list kept anywhere else could be that of another folder, and a
server that was not told of a version answers none of those who ask for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from serve.errors import ServerError
from serve.triton.processes import command_lines, is_outside, parent_of
from serve.triton.state import PREFIX_PATTERN, ServerState, read_state

IDENTITY, REPOSITORY = "--id=", "--model-repository="
"""Arguments of a server's command line."""


def serving(repository: Path) -> list[ServerState]:
    """Return the notes of the servers that serve a repository, as far as they run by now.

    Servers in another container or on another machine, which share its disk, are left out. What
    another user's process says of itself is not believed, by root either.

    Raises:
        ServerError: If one runs as another user, its note is gone, or cannot be read.
    """
    found = {}
    for pid, prefix in _processes(repository):
        state = _state(pid, prefix, repository)
        if state and state.is_running():  # one that is just launched reads what is there by now
            found[state.prefix] = state
    return sorted(found.values(), key=lambda state: state.log)


def _processes(repository: Path) -> Iterator[tuple[int, str]]:
    """Yield the processes of servers of a repository, and each one's prefix."""
    for pid, arguments in command_lines():
        values = {
            flag: next((a.removeprefix(flag) for a in arguments if a.startswith(flag)), "")
            for flag in (IDENTITY, REPOSITORY)
        }
        is_server = re.fullmatch(PREFIX_PATTERN, values[IDENTITY]) and values[REPOSITORY]
        if is_server and is_outside(pid) and _is_same(pid, values[REPOSITORY], repository):
            yield pid, values[IDENTITY]


def _is_same(pid: int, served: str, repository: Path) -> bool:
    """Return whether what a process calls by a name, perhaps in a container, is our folder."""
    try:
        return os.path.samefile(f"/proc/{pid}/root{served}", repository)
    except PermissionError:  # another user's
        return os.path.realpath(served) == os.path.realpath(repository)
    except OSError:  # it ended, or its repository is gone
        return False


def _state(pid: int, prefix: str, repository: Path) -> ServerState | None:
    try:
        owner = os.stat(f"/proc/{pid}").st_uid
        if owner != os.geteuid():
            raise ServerError(
                f"{repository}: expected servers of this user, got process {pid} of user {owner}; "
                "take the step as the user who started it"
            )
        folder = Path(os.readlink(f"/proc/{pid}/fd/1")).parent
    except FileNotFoundError:  # it ended
        return None
    state = read_state(folder)
    if (state is None or state.prefix != prefix) and os.path.exists(f"/proc/{pid}/fd/1"):
        raise ServerError(
            f"{folder}: expected the note of process {pid}, which serves {repository}, got none; "
            f"end its supervisor if process {parent_of(pid)} is that, else {pid} itself, and start "
            "anew with python -m serve start"
        )
    return state
