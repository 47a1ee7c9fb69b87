"""Owns the note a started server leaves for those who come after: `state.json` in its folder.

Under a supervisor each replica has such a folder, `replica-0` and so on, in the supervisor's.

A server runs on when the release that started it is replaced. What is needed to take it down is
therefore read of any release's note: those keys must keep their names and meanings.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from serve.errors import ServerError
from serve.files import write_durably
from serve.records import read_record
from serve.triton.processes import is_alive

STATE = "state.json"
ADMIN_KEY = "admin.key"
REPLICA = "replica-"
PREFIX_PATTERN = r"linetag-[0-9a-z-]{8,}-"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProcess:
    """What every release notes of a server.

    Attributes:
        pid: Its process, which leads a process group of its own.
        start_ticks: When that process started, in clock ticks since boot.
        prefix: On the command line of all its processes and in the name of its shared memory; also
            the server's `--id`.
    """

    pid: int
    start_ticks: int
    prefix: str

    def is_running(self) -> bool:
        """Return whether the very process still runs."""
        return is_alive(self.pid, self.start_ticks)


_Note = TypeVar("_Note", bound=ServerProcess)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState(ServerProcess):
    """Which server runs, and how to tell it from any other.

    Attributes:
        url: Address of gRPC, `host:port`.
        http_url: Address of HTTP, or None where it is off.
        metrics_url: Address of its metrics.
        repository: The model repository it serves.
        log: Its log file, in the folder of this note.
        started: Time of its start, ISO 8601 in UTC.
        tls: Files of mutual TLS to reach it with: authority, certificate, key; none without TLS.
    """

    url: str
    http_url: str | None
    metrics_url: str
    repository: str
    log: str
    started: str
    tls: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where this note, the log and the administrator's key lie."""
        return Path(self.log).parent


def read_state(folder: Path) -> ServerState | None:
    """Return the note in a folder, or None if there is none.

    Raises:
        ServerError: If it cannot be read as one of this release.
    """
    return _read(folder, ServerState, "end it with python -m serve stop, then start anew")


def read_process(folder: Path) -> ServerProcess | None:
    """Return what any release's note in a folder says, or None if there is none.

    Raises:
        ServerError: If it cannot be read as one.
    """
    return _read(folder, ServerProcess, "remove the file", is_open=True)


def _read(folder: Path, kind: type[_Note], remedy: str, *, is_open: bool = False) -> _Note | None:
    path = folder / STATE
    try:
        note = read_record(kind, json.loads(path.read_text()), is_open=is_open)
        if not re.fullmatch(PREFIX_PATTERN, note.prefix):  # stopping kills whatever carries it
            raise ValueError(f"the prefix {note.prefix!r}")
        return note
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ServerError(
            f"{path}: expected the state of a server, got {error}; {remedy}"
        ) from error


def read_states(folder: Path) -> list[ServerState]:
    """Return the notes of all servers of a folder: the one in it, or a supervisor's replicas.

    Raises:
        ServerError: If one cannot be read.
    """
    states = [read_state(path) for path in (folder, *replica_folders(folder))]
    return [state for state in states if state]


def replica_folders(folder: Path) -> list[Path]:
    """Return the folders of a supervisor's replicas, by their number."""
    found = [path for path in folder.glob(f"{REPLICA}*") if path.name[len(REPLICA) :].isdecimal()]
    return sorted(found, key=lambda path: int(path.name[len(REPLICA) :]))


def write_state(folder: Path, state: ServerState) -> None:
    """Write the note, whole or not at all."""
    write_durably(folder / STATE, (json.dumps(asdict(state), indent=2) + "\n").encode())


def remove_state(folder: Path) -> None:
    """Remove the note, and the key of the server that is no more."""
    (folder / STATE).unlink(missing_ok=True)
    (folder / ADMIN_KEY).unlink(missing_ok=True)
