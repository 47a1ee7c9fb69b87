"""Owns what a model must answer to the canary, so that a wrong answer is told from a right one.

The embedded tagger answers the same lines once per version, from the same files, in a process of
its own with the server's Python: the same libraries choose the same graph there, so the answers are
equal, and the supervisor itself needs no ONNX Runtime. A model that is wrong from its first answer
on is found out too, which comparing it with its own first answer would not.

Where that process fails, a version's first answer is what later ones are held against, and the log
says so.

A repository that was made anew begins with version 1 again, and another release of this package, or
of ONNX Runtime, may answer otherwise. So an answer that is wrong by what lay on the disk before is
held against what lies there now.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import serve
from serve.entities import EntityJson
from serve.triton.names import MODEL
from serve.versions.folders import pinned_key
from serve.versions.probes import LINES

_NUM_ASKED = 3
_CODE = Path(serve.__file__).parent
_SCORE_TOLERANCE = 0.01  # a GPU's kernels differ in rounding from run to run; labels do not move

logger = logging.getLogger(__name__)
Answers = Mapping[str, Sequence[EntityJson]]
_Stamp = frozenset[tuple[str, int, int]]


@dataclass(frozen=True, slots=True)
class Known:
    """What a version must answer.

    Attributes:
        answers: The entities of each of `LINES`.
        former: What it had to answer before its files, or those that run it, were replaced; a
            server may not have loaded the new ones yet, and others have.
    """

    answers: Answers
    former: Known | None = None

    def asked(self) -> tuple[str, ...]:
        """Return a few lines to ask each second: those with the most entities."""
        lines = sorted(self.answers, key=lambda line: -len(self.answers[line]))
        return tuple(lines[:_NUM_ASKED])

    def differences(self, answers: Answers) -> str:
        """Return the first wrong answer in words; empty if all are right."""
        if self.former and not self.former.differences(answers):
            return ""
        for line, got in answers.items():
            expected = self.answers[line]
            try:
                is_same = _is_same(expected, got)
            except (TypeError, LookupError):  # no entities at all
                is_same = False
            if not is_same:
                return f"expected {list(expected)} for {line!r}, got {got!r:.500}"
        return ""


class KnownAnswers:
    """The known answers of a repository's versions, worked out when they are first asked for.

    Attributes:
        was_right: The versions that have answered rightly on some server, and were not missed
            since: one that fails from a start on then is worth another start.
    """

    def __init__(self, repository: Path, python: Path, *, timeout_s: float = 60.0) -> None:
        """Take the repository, the server's Python, and how long a tagger may take."""
        self.was_right: set[str] = set()
        self._model = repository / MODEL
        self._python = python
        self._timeout_s = timeout_s
        self._known: dict[str, Known] = {}
        self._running: dict[str, _Child] = {}
        self._former: dict[str, Known] = {}
        self._stamps: dict[str, _Stamp | None] = {}

    def of(self, version: str, first: Answers, now: float) -> Known | None:
        """Return a version's known answers; None while they are worked out.

        Args:
            version: The version, as the server says.
            first: What the server itself answered, for want of better if it is to all `LINES`.
            now: The time, to bound the wait.
        """
        self._end_forgotten(now)
        if version in self._known:
            return self._known[version]
        if version not in self._running:
            self._stamps[version] = self._stamp(version)
            self._running[version] = _Child(self._python, self._model, version, now)
        child = self._running[version]
        child.asked = now
        is_waited_for = child.is_running() and now - child.started < self._timeout_s
        if is_waited_for or first.keys() != set(LINES):
            return None
        del self._running[version]
        answers = child.answers()
        if answers is None:
            logger.warning("version %s: no embedded tagger to hold it against", version)
        self._known[version] = Known(
            answers or dict(first),
            former=self._former.pop(version, None),
        )
        return self._known[version]

    def forget_replaced(self, version: str) -> bool:
        """Return whether the version on the disk, or what runs it, is another by now.

        Its answers are forgotten then.
        """
        stamp = self._stamp(version)
        if version not in self._known or stamp in (None, self._stamps.get(version)):
            return False
        self._former[version] = replace(self._known.pop(version), former=None)
        logger.warning("version %s: it or what runs it is another on the disk than before", version)
        return True

    def _stamp(self, version: str) -> _Stamp | None:
        """Return what tells a version and what runs it from later ones; None without the version.

        What is installed gets a folder of its own name; what is edited in place is our own code.
        """
        folder = self._model / version
        packages = self._python.parent.parent.glob("lib/python*/site-packages")
        paths = (folder, *packages, *_CODE.rglob("*.py"))
        return frozenset(map(_mark, paths)) if folder.exists() else None

    def _end_forgotten(self, now: float) -> None:
        """End those whose version nobody asks for any more: it served for a moment only."""
        for version, child in list(self._running.items()):
            if now - child.asked > self._timeout_s:
                child.answers()
                del self._running[version]

    def close(self) -> None:
        """End what still runs."""
        for child in self._running.values():
            child.answers()


class _Child:
    """An embedded tagger that answers `LINES`."""

    def __init__(self, python: Path, model: Path, version: str, now: float) -> None:
        self.started = self.asked = now
        self._process: subprocess.Popen[bytes] | None = None
        key = pinned_key(model)
        signed = ["--public-key", str(key)] if key else []
        command = [str(python), "-m", "serve", "tag", "--json", "--bundle", str(model / version)]
        try:
            self._start([*command, *signed])
        except OSError as error:  # no memory, no descriptors, no Python, or it ended at once
            logger.warning("version %s: the embedded tagger failed: %s", version, error)

    def _start(self, command: list[str]) -> None:
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        # The answers are few enough for a pipe that nobody reads until the end.
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=null, start_new_session=True
        )
        os.setpriority(os.PRIO_PROCESS, self._process.pid, 10)  # callers first
        if self._process.stdin:
            self._process.stdin.write("\n".join([*LINES, ""]).encode())
            self._process.stdin.close()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def answers(self) -> dict[str, list[EntityJson]] | None:
        """End the process; return its answers, or None if it did not give them all."""
        if self._process is None:
            return None
        self._process.kill()
        output = self._process.stdout.read() if self._process.stdout else b""
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        try:
            rows = [json.loads(line) for line in output.splitlines()]
            answers = {row["text"]: row["entities"] for row in rows}
        except (ValueError, TypeError, LookupError):
            return None
        return answers if answers.keys() == set(LINES) else None


def _mark(path: Path) -> tuple[str, int, int]:
    """Return what tells a file or folder from a later one of the same name; zeros without one."""
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), status.st_ino, status.st_mtime_ns


def _is_same(expected: Sequence[EntityJson], got: Sequence[EntityJson]) -> bool:
    return [_span(entity) for entity in expected] == [_span(entity) for entity in got] and all(
        abs(one["score"] - other["score"]) <= _SCORE_TOLERANCE
        for one, other in zip(expected, got, strict=True)
    )


def _span(entity: EntityJson) -> tuple[str, int, int]:
    return entity["label"], entity["start"], entity["end"]
