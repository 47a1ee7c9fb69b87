r"""Start Triton servers on a model repository, watch them, and replace those that fall sick.

Prints the address of each server's gRPC when all of them answer. Each second every server is asked
lines with a known answer; one that is wrong or silent is replaced within seconds. Without --detach
it runs until Ctrl-C, which lets requests in flight finish; a second Ctrl-C does not. The log is
build/triton/supervisor.log; warnings and errors come on standard error, too.

    python -m serve start
    python -m serve start --replicas 2 --grpc-port 8001 --detach
    python -m serve start --replicas 2 --metrics-port 9100 --http
    python -m serve start --listen 0.0.0.0 --tls-authority ca.pem --tls-certificate server.pem \
        --tls-key server.key

gRPC listens on loopback unless --listen says otherwise, metrics unless --metrics-listen does (who
reaches them can read them), HTTP always. With the files of TLS only clients whose certificate the
authority signed get through; the server's certificate has to name localhost as well, and to be good
for a client too. Files that were renewed are taken up by a restart, one server after the other.

exit status: 0 started, or ended as asked, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from serve.commands import command_parser, deliver, discard_output, importing, say
from serve.commands.tls import add_tls_flags, taken_tls, tls_arguments
from serve.commands.versions import add_repository
from serve.descriptors import NUM_SERVERS, check_descriptors
from serve.errors import ServerError, needing
from serve.supervisor.config import FOLDER, MAX_REPLICAS, SupervisorConfig
from serve.supervisor.control import LOG
from serve.supervisor.detached import start_detached
from serve.supervisor.status import SupervisorStatus
from serve.triton.listening import HOST, Exposure, listen_address
from serve.triton.tls import TlsFiles


@dataclass(frozen=True)
class StartConfig:
    """How to run Triton.

    Attributes:
        servers: What to run.
        detach: Whether to leave it running.
    """

    servers: SupervisorConfig = field(default_factory=SupervisorConfig)
    detach: bool = False


def parse_args(argv: Sequence[str]) -> StartConfig:
    """Return the command line as a config."""
    parser = command_parser("serve start", __doc__)
    add = parser.add_argument
    default = SupervisorConfig
    add_repository(parser, default.repository)
    text = f"environment that holds Triton ({default.triton})"
    add("--triton", type=Path, default=default.triton, metavar="VENV", help=text)
    text = f"how many servers ({default.num_replicas})"
    add("--replicas", type=int, default=default.num_replicas, metavar="N", help=text)
    add(
        "--grpc-port",
        type=int,
        default=default.grpc_port,
        metavar="PORT",
        help="of the first server, the others' follow; 0: any free (0)",
    )
    add(
        "--listen",
        type=_address,
        default=default.exposure.host,
        metavar="ADDRESS",
        help="gRPC's (127.0.0.1)",
    )
    add_tls_flags(parser, ours="the server's", theirs="the clients'")
    add("--http", action="store_true", help="listen for HTTP too, on loopback")
    add(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help="export Prometheus metrics; 0: any free (none)",
    )
    add(
        "--metrics-listen",
        type=_address,
        default=default.metrics_host,
        metavar="ADDRESS",
        help="the metrics' (127.0.0.1)",
    )
    add("--detach", action="store_true", help="return when the servers are ready")
    args = parser.parse_args(argv)
    _check(parser, args)
    servers = SupervisorConfig(
        repository=args.repository,
        triton=args.triton,
        num_replicas=args.replicas,
        grpc_port=args.grpc_port,
        http=args.http,
        exposure=Exposure(args.listen, taken_tls(parser, args)),
        metrics_port=args.metrics_port,
        metrics_host=args.metrics_listen,
    )
    return StartConfig(servers, args.detach)


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if not 1 <= args.replicas <= MAX_REPLICAS:
        parser.error(f"--replicas: expected 1 to {MAX_REPLICAS}, got {args.replicas}")
    last = args.grpc_port + args.replicas - 1 if args.grpc_port else 0
    if args.grpc_port < 0 or last > 65535:
        parser.error(f"--grpc-port: expected 0 to 65535 for each server, got {args.grpc_port}")
    if args.metrics_port is None and args.metrics_listen != HOST:
        parser.error("--metrics-listen: expected a --metrics-port, got none")
    if args.metrics_port is not None and not 0 <= args.metrics_port <= 65535:
        parser.error(f"--metrics-port: expected 0 to 65535, got {args.metrics_port}")


def _address(text: str) -> str:
    try:
        return listen_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(config: StartConfig) -> int:
    """Start the servers, and unless detached, stay with them.

    Raises:
        ServerError: If they do not come up, or were given up, or a package is not installed.
        OSError: If the folder of logs and notes, or standard output, cannot be written.
    """
    with needing("the packages tritonclient and prometheus_client", "triton,metrics"), importing():
        from serve.supervisor.service import run_service
    check_descriptors(NUM_SERVERS)  # which they get from this process
    if sys.stdout is None:
        raise ServerError(
            "expected a standard output for the servers' addresses, got a closed one; "
            "> /dev/null does without them"
        )
    servers = config.servers
    told = partial(announce, tls=servers.exposure.tls)
    if config.detach:
        start_detached(undetached(servers), servers.folder, told)
        return 0
    run_service(servers, told)
    say("stopped")
    return 0


def undetached(config: SupervisorConfig) -> list[str]:
    """Return the arguments that start servers without `--detach`."""
    metrics = [f"--metrics-port={config.metrics_port}", f"--metrics-listen={config.metrics_host}"]
    return [
        f"--repository={config.repository}",
        f"--triton={config.triton}",
        f"--replicas={config.num_replicas}",
        f"--grpc-port={config.grpc_port}",
        f"--listen={config.exposure.host}",
        *tls_arguments(config.exposure.tls),
        *(["--http"] if config.http else []),
        *(metrics if config.metrics_port is not None else []),
    ]


def announce(status: SupervisorStatus, *, tls: TlsFiles | None) -> None:
    """Tell that the servers are ready, and print their addresses; they serve whoever listens.

    Raises:
        OSError: If standard output takes no more, as on a full disk.
    """
    for warning in status.warnings:
        say(f"warning: {warning}")
    for replica in status.replicas:
        if replica.http_url:
            say(f"HTTP on {replica.http_url}")
    if status.metrics_url:
        say(f"metrics on http://{status.metrics_url}/metrics")
    urls = ",".join(replica.url for replica in status.replicas)
    say(f"{len(status.replicas)} ready, supervised by process {status.pid}, see {FOLDER / LOG}")
    say(f"tag with: {tag_command(urls, tls)}")
    say("stop with: python -m serve stop")
    try:
        deliver(urls)
    except BrokenPipeError:  # whoever started them has read enough
        discard_output()


def tag_command(urls: str, tls: TlsFiles | None) -> str:
    """Return what tags here; the server's files will do, for its checks are a client as well."""
    return shlex.join(["python", "-m", "serve", "tag", "--url", urls, *tls_arguments(tls)])
