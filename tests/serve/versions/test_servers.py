"""Tests which servers a step tells of a new version."""

from __future__ import annotations

import os
from pathlib import Path

from serve.triton.processes import start_ticks
from serve.triton.state import ADMIN_KEY, ServerState, write_state
from serve.versions.servers import RunningServers


def test_a_server_that_starts_while_a_step_is_under_way_is_told_too(tmp_path: Path) -> None:
    """It may have read the repository before the new version was there."""
    folder, repository = tmp_path / "triton", tmp_path / "repository"
    folder.mkdir()
    servers = RunningServers(folder, repository)
    assert (len(servers), list(servers)) == (0, [])
    pid = os.getpid()
    state = ServerState(
        pid=pid,
        start_ticks=start_ticks(pid) or 0,
        prefix="linetag-0123456789ab-",
        url="127.0.0.1:1",
        http_url=None,
        repository=str(repository),
        log=str(folder / "triton.log"),
        started="2026-01-01T00:00:00+00:00",
    )
    write_state(folder, state)
    (folder / ADMIN_KEY).write_text("k" * 43)
    assert len(servers) == 1
    assert [server.state for server in servers] == [state]
