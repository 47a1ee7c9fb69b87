"""Owns the administration of a Triton: its key, and the calls that need it.

Loading and unloading models, shared memory, tracing and logging are refused to whoever does not
send the key, and so are settings and statistics, but where a benchmark's server tells them. The key
is drawn anew for each server and lies in a file only the server's user may read;
`serve.triton.launch` takes it off the server's command line, where `ps` would show it. Tagging,
health and metadata need no key.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb

from serve.errors import ServerError
from serve.files import staged_file
from serve.triton.channels import method
from serve.triton.names import ModelVersion
from serve.triton.state import ADMIN_KEY

HEADER = "linetag-admin"
CHANGING = ("shared-memory", "model-repository", "trace", "logging")
TELLING = ("model-config", "statistics")
_PREFIX = "triton-grpc-protocol-"


def write_admin_key(folder: Path) -> str:
    """Draw a key, keep it in a folder for its owner only, and return it."""
    key = secrets.token_hex(32)
    with staged_file(folder / ADMIN_KEY) as staging:
        staging.unlink(missing_ok=True)
        descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key)
    return key


def read_admin_key(folder: Path) -> str:
    """Return the key of the server whose state lies in a folder.

    Raises:
        ServerError: If it cannot be read.
    """
    try:
        return (folder / ADMIN_KEY).read_text()
    except OSError as error:
        raise ServerError(
            f"{folder / ADMIN_KEY}: expected the key of a server that runs, got {error.strerror}; "
            "administer it as the user who started it"
        ) from error


def admin_metadata(key: str) -> list[tuple[str, str]]:
    """Return the gRPC metadata that lets a call through."""
    return [(f"{_PREFIX}{HEADER}", key)]


class Admin:
    """The administrator's calls to one Triton, over a channel of the caller's."""

    def __init__(self, channel: Any, key: str, *, timeout_s: float) -> None:  # noqa: ANN401  grpc has no types
        """Take an open channel; closing it is for its owner."""
        self._channel = channel
        self._metadata = admin_metadata(key)
        self._timeout_s = timeout_s

    def model_versions(self) -> list[ModelVersion]:
        """Return every version the server knows of.

        Raises:
            ServerError: If there is no answer in time, or the key is another.
        """
        request = pb.RepositoryIndexRequest()
        models = self.call("RepositoryIndex", request, pb.RepositoryIndexResponse).models
        # A model that was never loaded is listed too, without a version.
        return [ModelVersion(m.name, m.version, m.state, m.reason) for m in models if m.version]

    def call(self, name: str, request: Any, response: Any) -> Any:  # noqa: ANN401
        """Return the answer of a method of the service, with the key sent along.

        Raises:
            ServerError: If the server refuses, or does not answer in time.
        """
        call = method(self._channel, name, response)
        try:
            return call(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            details = str(error.details()).split("\n")[0]
            raise ServerError(
                f"expected Triton to answer {name}, got {error.code().name}: {details}"
            ) from error


def restrictions(key: str, *, http: bool, is_telling: bool = False) -> list[str]:
    """Return the command line arguments that restrict a server's administration.

    Args:
        key: The key that lets a call through.
        http: Whether it listens for HTTP too.
        is_telling: Whether anybody may read settings and statistics.
    """
    restricted = CHANGING if is_telling else CHANGING + TELLING
    rule = f"{','.join(restricted)}:{HEADER}={key}"
    grpc_only = [f"--grpc-restricted-protocol={rule}"]
    return [*grpc_only, f"--http-restricted-api={rule}"] if http else grpc_only
