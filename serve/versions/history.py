"""Owns the history of a repository: a file that only grows, whose last line is what holds now.

Each line says what was done, and which versions serve from then on. A line is there or not: the
moment its last byte, the line feed, is on the disk is the moment at which a step is done. What a
crash left of a line is cut off before the next is written.

Another release may have written it, and a release that cannot read it would let the newest version
serve, on trial or not. So keys and steps that this one does not know are passed over.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from serve.errors import ServerError
from serve.records import read_record
from serve.rows import append_line
from serve.versions.traffic import Traffic

HISTORY = "history.jsonl"
"""Beside the models: in a model's folder it would count as a change of all its versions."""
_TAIL_BYTES = 65_536  # of which the last line takes well under a thousand


class Step(StrEnum):
    """What was done."""

    PUBLISH = "publish"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A step, and what serves since.

    Attributes:
        time: When, ISO 8601 in UTC.
        who: User and machine.
        step: What was done, a `Step` unless another release wrote it.
        version: With which version.
        bundle: SHA-256 of that version's manifest, or empty if it could not be read.
        note: What else there is to say, such as why a version was refused.
        traffic: Which versions callers ask for since.
    """

    time: str
    who: str
    step: str
    version: int
    bundle: str
    note: str
    traffic: Traffic


def read_events(repository: Path) -> list[Event]:
    """Return what was done, oldest first.

    Raises:
        ServerError: If the history is damaged.
    """
    return list(_parsed(repository, _lines(repository, from_start=True)))


def read_traffic(repository: Path) -> Traffic | None:
    """Return which versions callers ask for; None where there is no history.

    Raises:
        ServerError: If the history is damaged, or not for us to read.
    """
    last = _lines(repository, from_start=False)[-1:]
    return next((event.traffic for event in _parsed(repository, last)), None)


def record(
    repository: Path, step: Step, version: int, traffic: Traffic, *, bundle: str, note: str = ""
) -> None:
    """Add an event; when this returns it is on the disk.

    Raises:
        OSError: If it cannot be written; it is not there then.
    """
    event = Event(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        who=f"{_user()}@{socket.gethostname()}",
        step=step,
        version=version,
        bundle=bundle,
        note=note,
        traffic=traffic,
    )
    append_line(repository / HISTORY, json.dumps(asdict(event)))


def _lines(repository: Path, *, from_start: bool) -> list[bytes]:
    try:
        with (repository / HISTORY).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0 if from_start else max(0, size - _TAIL_BYTES))
            content = file.read()
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise ServerError(
            f"{repository / HISTORY}: expected a readable file, got {error.strerror}; "
            "have its owner let you"
        ) from error
    return content[: content.rfind(b"\n") + 1].splitlines()


def _parsed(repository: Path, lines: list[bytes]) -> Iterator[Event]:
    for number, line in enumerate(lines, 1):
        try:
            yield read_record(Event, json.loads(line), is_open=True)
        except (ValueError, RecursionError) as error:
            raise ServerError(
                f"{repository / HISTORY}: expected an event in each line, got {error} in line "
                f"{number} of {len(lines)}; put back a copy of the file, or remove it to serve the "
                "newest version"
            ) from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as containers have
        return str(os.getuid())
