"""What the verbs about versions have in common: a repository, and the servers that serve it."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from serve.commands import importing, number
from serve.errors import needing
from serve.repository import traffic_of

if TYPE_CHECKING:
    from serve.versions.servers import Running

_MAX_TIMEOUT_S = 86_400.0
"""A day: whoever waits for longer has mistyped."""


def add_arguments(parser: argparse.ArgumentParser, repository: Path, timeout: float) -> None:
    """Let a parser take which repository, and how long a server may take to load."""
    add_repository(parser, repository)
    parser.add_argument(
        "--timeout",
        type=number(
            f"seconds above 0, at most {_MAX_TIMEOUT_S:g}",
            lambda value: 0 < value <= _MAX_TIMEOUT_S,
        ),
        default=timeout,
        metavar="SECONDS",
        help=f"for a server to load it, at most {_MAX_TIMEOUT_S:g} ({timeout:g})",
    )


def add_repository(parser: argparse.ArgumentParser, repository: Path) -> None:
    """Let a parser take which repository."""
    text = f"what Triton mounts ({repository})"
    parser.add_argument("--repository", type=Path, default=repository, metavar="FOLDER", help=text)


def check_share(parser: argparse.ArgumentParser, share: float) -> None:
    """Refuse a share that is none."""
    if not 0 <= share <= 1:
        parser.error(f"--share: expected 0 to 1, got {share:g}")


def servers_of(repository: Path, timeout_s: float) -> Collection[Running]:
    """Return the servers of this machine that serve a repository, whichever they are by then.

    Raises:
        ServerError: If tritonclient is not installed.
    """
    with needing("the package tritonclient", "triton"), importing():
        from serve.versions.servers import RunningServers
    return RunningServers(repository, timeout_s=timeout_s)


def told(repository: Path) -> str:
    """Return in words who serves."""
    traffic = traffic_of(repository)
    if not traffic.canary:
        return f"version {traffic.stable} serves all callers"
    return (
        f"version {traffic.canary} serves {traffic.share:.0%} of callers, version "
        f"{traffic.stable} the others"
    )
