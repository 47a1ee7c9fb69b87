"""Owns what the supervisor exports to Prometheus: its own figures, and its replicas' with a label.

One address to scrape, the same for as long as the supervisor runs: the servers' own metrics, and
their models', are passed on from the last sample as they are, but for the label `replica`.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serve.errors import ServerError
from serve.supervisor.life import Cause, Phase, Verdict
from serve.supervisor.status import ReplicaStatus, SupervisorStatus
from serve.triton.listening import HOST, refuse_foreign

logger = logging.getLogger(__name__)
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (.*)$")
MAX_CALLERS = 16
"""At once; who says nothing, or slowly, makes room for the next one."""
_PREFIX = "linetag_supervisor_"
_OWN = {
    "phase": ("gauge", "Whether the replica is in a phase, by `kind`."),
    "restarts": ("counter", "Restarts of the replica, by cause as `kind`."),
    "canaries": ("counter", "Canaries, by what came of them as `kind`."),
    "recent_failures": ("gauge", "Failures that count against the replica."),
    "canary_seconds": ("gauge", "Time that the last canary took, of a replica that answers."),
    "memory_bytes": ("gauge", "Memory of the replica's own."),
    "open_fds": ("gauge", "File descriptors of its process that has the most."),
    "max_fds": ("gauge", "File descriptors which that process may open."),
}


def export(text: Callable[[], str], port: int, host: str = HOST) -> str:
    """Serve metrics in a thread; return the address.

    Args:
        text: Gives the metrics of just now.
        port: The port; 0 for any free one.
        host: Address to listen on, as `listen_address` returns it.

    Raises:
        ServerError: If the port is taken, or the address none of this machine.
    """

    class Page(BaseHTTPRequestHandler):
        timeout = 5.0  # a caller that says nothing shall not hold a thread for ever

        def do_GET(self) -> None:
            content = text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    try:
        server = _Server((host.strip("[]"), port), Page)
    except OSError as error:
        refuse_foreign(error, "--metrics-listen", host)
        raise ServerError(
            f"expected port {port} to be free for metrics, got {error.strerror}; choose another "
            "--metrics-port, or 0 for any"
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return f"{host}:{server.server_port}"


class _Server(ThreadingHTTPServer):
    """Answers `MAX_CALLERS` at once; a scrape is quick, so that the first of more is none."""

    def __init__(self, address: tuple[str, int], page: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, page)
        self._under_way: list[Any] = []

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # an HTTPServer's asks for a name of ::, for seconds
        self.server_port = self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        self._under_way.append(request)
        if len(self._under_way) > MAX_CALLERS:
            with contextlib.suppress(OSError):
                self._under_way.pop(0).shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        with contextlib.suppress(ValueError):
            self._under_way.remove(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        # To the log, which is kept short; the output, which is not, is where it goes otherwise.
        is_gone = isinstance(sys.exception(), OSError)  # the caller, whose scrape took too long
        logger.log(logging.DEBUG if is_gone else logging.ERROR, "metrics", exc_info=True)


def exposition(status: SupervisorStatus, replica_metrics: Mapping[int, str]) -> str:
    """Return the supervisor's metrics and, labelled, its replicas'.

    Args:
        status: The supervisor's status.
        replica_metrics: Each replica's metrics as text.
    """

    class Own(Collector):
        def collect(self) -> Iterable[Metric]:
            return own_metrics(status)

    registry = CollectorRegistry()
    registry.register(Own())
    return generate_latest(registry).decode() + labelled(replica_metrics)


def own_metrics(status: SupervisorStatus) -> Iterator[Metric]:
    """Yield what the supervisor knows of its replicas."""
    for name, (kind, documentation) in _OWN.items():
        metric = Metric(_PREFIX + name, documentation, kind)
        sample = metric.name + ("_total" if kind == "counter" else "")
        for replica in status.replicas:
            for label, value in _values(replica)[name].items():
                labels = {"replica": str(replica.number)} | ({"kind": label} if label else {})
                metric.add_sample(sample, labels, value)
        yield metric


def labelled(texts: Mapping[int, str]) -> str:
    """Return the metrics of all replicas, those of one family together, labelled by the replica."""
    families: dict[str, list[str]] = {}
    for number, text in texts.items():
        family: list[str] = []
        for line in text.splitlines():
            if line.startswith("# "):
                family = families.setdefault(line.split(" ")[2], [])
                if line not in family:
                    family.append(line)
            elif found := _SAMPLE.match(line):
                name, labels, value = found.groups()
                all_labels = ",".join(filter(None, [labels, f'replica="{number}"']))
                family.append(f"{name}{{{all_labels}}} {value}")
    return "".join(f"{line}\n" for family in families.values() for line in family)


def _values(replica: ReplicaStatus) -> dict[str, Mapping[str, float]]:
    """Return the values of `_OWN`, by kind, or under "" where there are no kinds."""
    usage = replica.usage
    seconds = {} if replica.canary_ms is None else {"": replica.canary_ms / 1e3}
    return {
        "phase": {str(phase): float(phase is replica.phase) for phase in Phase},
        # From the beginning: a rate over time sees no growth of what was not there before.
        "restarts": {str(cause): replica.restarts.get(cause, 0) for cause in Cause},
        "canaries": {str(verdict): replica.canaries.get(verdict, 0) for verdict in Verdict},
        "recent_failures": {"": replica.num_failures},
        "canary_seconds": seconds,
        "memory_bytes": {"": usage.memory_bytes} if usage else {},
        "open_fds": {"": usage.num_descriptors} if usage else {},
        "max_fds": {"": usage.max_descriptors} if usage else {},
    }
