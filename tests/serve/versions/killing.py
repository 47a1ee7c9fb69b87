"""Kills a step at each of its marks on the disk, and looks what is left; run by test_crash.py.

    python -m tests.serve.versions.killing FOLDER STEP

A mark is a file opened for writing, a rename, a removal, a new folder: before each the step is
killed once, in a process of its own forked from this one, where nothing else runs. Prints how many
times. The process fails if what is left is neither what was before nor what was to be.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from serve.bundle import Bundle
from serve.repository import promote, publish, rollback, settle, traffic_of, versions
from serve.triton.names import ENCODER, MODEL
from serve.versions.folders import KEPT, versions_in
from serve.versions.history import read_events
from serve.versions.traffic import Traffic
from tests.serve.tiny import write_bundle

_MARKS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
_WRITING = os.O_WRONLY | os.O_RDWR
STEPS: dict[str, Callable[[Path, Path], object]] = {
    "publish": lambda repository, bundle: publish(bundle, repository, share=0.2),
    "publish to all": lambda repository, bundle: publish(bundle, repository),
    "promote": lambda repository, bundle: promote(repository),
    "rollback": lambda repository, bundle: rollback(repository),
    "rollback of a trial": lambda repository, bundle: rollback(repository),
}
ON_TRIAL = ("promote", "rollback of a trial")


def prepare(folder: Path, step: str) -> tuple[Path, Path]:
    """Make a repository with three versions, one on trial or no settings as the step needs it."""
    bundle, repository = write_bundle(folder / "bundle"), folder / "repository"
    for _ in range(3):
        publish(bundle, repository)
    if step in ON_TRIAL:
        publish(bundle, repository, share=0.1)
    if step == "publish":  # which then writes them, too
        for settings in repository.rglob("*.pbtxt"):
            settings.unlink()
    return bundle, repository


def in_child(act: Callable[[], object], *, kill_at: int = -1) -> int:
    """Run something in a child, killed before a mark; return how the child ended."""
    pid = os.fork()
    if pid == 0:
        num_marks = 0

        def audit(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal num_marks
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
            if event in _MARKS or writes:
                if num_marks == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                num_marks += 1

        sys.addaudithook(audit)
        try:
            act()
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def look(repository: Path, agreed: tuple[Traffic, ...]) -> None:
    """Look at what a crash left, and at what is left of it after settling."""
    traffic = traffic_of(repository)
    assert traffic in agreed, f"{traffic} is none of {agreed}"
    for version in traffic.served:
        Bundle.load(repository / MODEL / str(version)).encoder()
    settle(repository)
    assert traffic_of(repository) == traffic, "settling changes nothing that was agreed"
    assert versions(repository) == sorted(traffic.served)
    assert versions_in(repository / MODEL / KEPT) == sorted(traffic.kept)
    assert versions_in(repository / ENCODER) == sorted(traffic.served)
    assert not list(repository.rglob(".*")), "no staging folder, no half a file"
    events = read_events(repository)
    assert events[-1].traffic == traffic


def main(folder: Path, step: str) -> int:
    """Kill the step at each mark; return how many times."""
    bundle, source = prepare(folder, step)
    before = traffic_of(source)
    whole = folder / "whole"
    shutil.copytree(source, whole)
    assert in_child(lambda: STEPS[step](whole, bundle)) == 0
    after = traffic_of(whole)
    assert after != before
    num_kills, repository = 0, folder / "killed"
    while True:
        shutil.copytree(source, repository)
        code = in_child(lambda: STEPS[step](repository, bundle), kill_at=num_kills)
        if code == 0:
            return num_kills
        assert code == -signal.SIGKILL, code
        num_kills += 1
        look(repository, (before, after))
        if traffic_of(repository) == before:  # the next attempt goes through
            assert in_child(lambda: STEPS[step](repository, bundle)) == 0
            assert len(traffic_of(repository).served) == len(after.served)
        shutil.rmtree(repository)


if __name__ == "__main__":
    sys.stdout.write(f"{main(Path(sys.argv[1]), sys.argv[2])}\n")
