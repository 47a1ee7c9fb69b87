"""A process that looks like a server from outside: its command line, its log, its note."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from serve.triton.processes import start_ticks
from serve.triton.state import ADMIN_KEY, ServerState, write_state

PREFIX = "linetag-0123456789ab-"


def note_of(log: Path, repository: Path) -> ServerState:
    """Return the note of a server that never was."""
    return ServerState(
        pid=1,
        start_ticks=1,
        prefix=PREFIX,
        url="127.0.0.1:1",
        http_url=None,
        metrics_url="127.0.0.1:1",
        repository=str(repository),
        log=str(log),
        started="2026-01-01T00:00:00+00:00",
    )


@contextmanager
def stand_in(
    folder: Path, repository: Path, *, url: str = "127.0.0.1:1", prefix: str = PREFIX
) -> Iterator[ServerState]:
    """Run it, with its note and key in a folder; it ends after the block, if it has not."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "triton.log"
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    command += [f"--id={prefix}", f"--model-repository={repository}"]
    with log.open("ab") as output, subprocess.Popen(command, stdout=output) as process:
        ticks = start_ticks(process.pid) or 0
        noted = note_of(log, repository)
        state = replace(noted, pid=process.pid, start_ticks=ticks, prefix=prefix, url=url)
        write_state(folder, state)
        (folder / ADMIN_KEY).write_text("k" * 43)
        try:
            yield state
        finally:
            process.kill()
