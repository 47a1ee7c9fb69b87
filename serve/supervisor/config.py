"""Owns what a supervisor is asked to run, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from serve.errors import ServerError
from serve.supervisor.patience import Patience
from serve.triton.installation import ENVIRONMENT
from serve.triton.listening import HOST, LOOPBACK, Exposure

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
        metrics_port: Port of the supervisor's metrics, 0 for a free one; None for none.
        metrics_host: Address that they listen on.
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
    metrics_host: str = HOST
    patience: Patience = field(default_factory=Patience)


def make_folder(folder: Path) -> None:
    """Make the folder of a supervisor.

    Raises:
        ServerError: If that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
        remedy = "remove what is there" if in_the_way else "start it in a folder you can write to"
        raise ServerError(
            f"{folder}: expected a writable folder, got {error.strerror}; {remedy}"
        ) from error
