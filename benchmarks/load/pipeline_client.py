"""Owns the server that a user would build without us: starting it, asking it, halting it.

Its client is the leanest that Python comes with: connections that stay open, and JSON.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.facts import Facts
from benchmarks.halting import end, halt, running
from benchmarks.load.pipeline_server import HOST
from serve.entities import Entity
from serve.errors import ServerError
from serve.triton.listening import choose_ports
from serve.triton.processes import wait_until

READY_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 60.0


class PipelineClient:
    """FastAPI and the pipeline on this machine, asked over HTTP. Several threads may call it."""

    def __init__(self, port: int) -> None:
        """Take the port of a server on loopback; nothing is sent yet."""
        self._port = port
        self._idle: deque[http.client.HTTPConnection] = deque()  # taken and given back by threads

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text.

        Raises:
            ServerError: If the server answers with an error.
            OSError: If it does not answer.
        """
        rows = self._ask("POST", "/tag", json.dumps({"texts": list(texts)}).encode())
        return [[Entity(**entity) for entity in row] for row in rows]

    def facts(self) -> Facts:
        """Return what the server is, as it says.

        Raises:
            ServerError, OSError: As `tag`.
        """
        return Facts(**self._ask("GET", "/facts", None))

    def close(self) -> None:
        """Close the connections; none may be in use."""
        while self._idle:
            self._idle.pop().close()

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:  # noqa: ANN401  JSON
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = http.client.HTTPConnection(HOST, self._port, timeout=ANSWER_TIMEOUT_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        if response.status != http.client.OK:
            raise ServerError(
                f"{path}: expected status 200, got {response.status}: {content!r:.80}"
            )
        return json.loads(content)


class ServedPipeline:
    """A server of the pipeline that is halted but for its turn.

    Attributes:
        facts: What it is.
    """

    def __init__(self, client: PipelineClient, process_group: int) -> None:
        """Take a client of a server that is ready, and the server's processes, which are halted."""
        self.tag = client.tag
        self.facts = client.facts()
        self._process_group = process_group
        halt(process_group)

    def alone(self) -> AbstractContextManager[None]:
        """Let the server run inside the block only."""
        return running(self._process_group)


@contextmanager
def open_pipeline(checkpoint: Path) -> Iterator[ServedPipeline]:
    """Start a server of the pipeline and halt it; leaving the block stops it.

    Raises:
        ServerError: If it does not come up; the message has the end of its log.
    """
    port = choose_ports(0, http=False).grpc
    command = [sys.executable, "-m", "benchmarks.load.pipeline_server", str(checkpoint)]
    with tempfile.TemporaryFile("w+") as log:
        # In a group of its own, to be halted.
        server = subprocess.Popen([*command, "--port", str(port)], stderr=log, process_group=0)
        client = PipelineClient(port)
        try:
            if (
                not wait_until(
                    lambda: server.poll() is not None or _answers(client), timeout_s=READY_TIMEOUT_S
                )
                or server.poll() is not None
            ):
                log.seek(0)
                last = (log.read().strip().splitlines() or ["nothing"])[-1]
                raise ServerError(f"{checkpoint}: expected the pipeline's server, got {last}")
            yield ServedPipeline(client, server.pid)
        finally:
            client.close()
            end(server)


def _answers(client: PipelineClient) -> bool:
    try:
        client.facts()
    except OSError:
        return False
    return True
