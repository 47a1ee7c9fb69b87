"""Owns which servers are launched, of what is asked for; all of it is fit to be started."""

from __future__ import annotations

import re
from pathlib import Path

from serve.errors import ServerError
from serve.repository import settle, versions
from serve.supervisor.config import SupervisorConfig
from serve.triton.installation import Installation
from serve.triton.launch import Order
from serve.triton.listening import Ports, choose_ports
from serve.triton.names import MODEL

_NOT_TAKEN = re.compile(r"[^A-Za-z0-9@%+=:,./_~#^-]")
"""Triton gives paths to a shell, unquoted, to start its stub, and the stub reads them as ASCII."""


def orders(config: SupervisorConfig) -> list[Order]:
    """Return a server for each replica, on ports that are free now and kept from then on.

    Raises:
        ServerError: If there is nothing to serve, no Triton, or a port is taken.
    """
    installation, repository = prepare(config.triton, config.repository)
    chosen: list[Ports] = []
    for number in range(config.num_replicas):
        port = config.grpc_port and config.grpc_port + number
        host = config.exposure.host
        chosen.append(choose_ports(port, http=config.http, host=host, others=chosen))
    return [Order(installation, repository, ports, config.exposure) for ports in chosen]


def prepare(environment: Path, repository: Path) -> tuple[Installation, Path]:
    """Return the Triton of an environment and the absolute repository, both fit to be started.

    Raises:
        ServerError: If there is no Triton, or nothing to serve; or if a path is none that Triton
            takes.
    """
    for path in (environment.absolute(), repository.absolute()):
        _check_path(path)
    installation = Installation.find(environment)
    installation.place_stub()
    repository = repository.absolute()
    settle(repository)
    if not versions(repository):
        raise ServerError(
            f"{repository / MODEL}: expected a published version, got none; "
            "publish a bundle with python -m serve publish"
        )
    return installation, repository


def _check_path(path: Path) -> None:
    if odd := sorted(set(_NOT_TAKEN.findall(str(path)))):
        raise ServerError(
            f"{path}: expected a path of ASCII letters, digits and @%+=:,./_~#^-, which are all "
            f"that Triton takes, got {''.join(odd)!r}; name it by a link whose path has none of "
            "these"
        )
