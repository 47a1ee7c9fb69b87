"""Owns what a supervisor is asked to run, and makes its replicas of that."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from serve.errors import ServerError
from serve.server import ENVIRONMENT, prepare
from serve.supervisor.patience import Patience
from serve.triton.launch import Order
from serve.triton.listening import LOOPBACK, Exposure, Ports, choose_ports

FOLDER = Path("build/triton")
MAX_REPLICAS = 64


@dataclass(frozen=True)
class SupervisorConfig:
    """What to run, and where to keep the notes.

    Attributes:
        repository: Triton's model repository.
        triton: Virtual environment with nvidia-pytriton.
        folder: For logs, notes and the status.
        num_replicas: How many servers.
        grpc_port: Port of the first one's gRPC, the others' follow; 0 for free ones.
        http: Whether they listen for HTTP too, on loopback.
        exposure: Who can reach their gRPC.
        metrics_port: Port of the supervisor's metrics on loopback, 0 for a free one; None for none.
        patience: When to act.
    """

    repository: Path = Path("model_repository")
    triton: Path = ENVIRONMENT
    folder: Path = FOLDER
    num_replicas: int = 1
    grpc_port: int = 0
    http: bool = False
    exposure: Exposure = LOOPBACK
    metrics_port: int | None = None
    patience: Patience = field(default_factory=Patience)


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


def make_folder(folder: Path) -> None:
    """Make the folder of a supervisor.

    Raises:
        ServerError: If that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServerError(
            f"{folder}: expected a writable folder, got {error.strerror}; remove what is there"
        ) from error
