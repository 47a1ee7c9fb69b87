"""Owns whether servers that run could be started again: what they were started with may be gone.

A restart on purpose ends a server first. Whoever asks for one looks here before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from serve.triton.installation import Installation
from serve.triton.processes import command_lines
from serve.triton.state import ServerState
from serve.triton.tls import TlsFiles


def check_startable(servers: Iterable[ServerState]) -> None:
    """Check the files that servers would be started with.

    Raises:
        TaggingError: Naming the first that would not do: a file of TLS, a version that serves, or
            the environment with Triton.
    """
    found = list(servers)
    for names in {server.tls for server in found if server.tls}:
        TlsFiles(*map(Path, names)).check_server()
    for repository in {server.repository for server in found}:
        _check_versions(Path(repository))
    _check_environments({server.pid for server in found})


def _check_environments(pids: Collection[int]) -> None:
    """Look each server's environment over; the server's command line says where it is."""
    for program in {Path(arguments[0]) for pid, arguments in command_lines() if pid in pids}:
        if program.name == "tritonserver":  # in ENVIRONMENT/lib/python/site-packages/pytriton/…/bin
            Installation.find(program.parents[6]).make_ready()


def _check_versions(repository: Path) -> None:
    try:  # late: a machine whose Triton has packages of its own may lack the tokenizer's
        from serve.versions.content import agreed_key
        from serve.versions.damage import check_again
        from serve.versions.folders import version_folder
        from serve.versions.settling import traffic_of
    except ImportError:
        return
    traffic, key = traffic_of(repository), agreed_key(repository, None)
    for version in traffic.served:
        remedy = (
            "python -m serve rollback takes it from all callers"
            if version == traffic.canary
            else "put its files back, or replace it with python -m serve publish --promote"
        )
        check_again(version_folder(repository, version), key, remedy)
