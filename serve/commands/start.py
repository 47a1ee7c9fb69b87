"""Start Triton on a model repository; print the address of its gRPC when it answers.

Without --detach it runs until Ctrl-C. The log is build/triton/triton.log.

    python -m serve start
    python -m serve start --detach --grpc-port 8001
    python -m serve start --http --repository model_repository --triton .venv-triton
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from serve.commands import command_parser, deliver, say
from serve.errors import ServerError
from serve.server import ENVIRONMENT, FOLDER, TritonServer, start_triton, stop_triton
from serve.triton.lifecycle import ENDINGS
from serve.triton.processes import is_our_child
from serve.triton.state import read_state

_POLL_S = 0.2


@dataclass(frozen=True)
class StartConfig:
    """How to run Triton.

    Attributes:
        repository: Triton's model repository.
        triton: Virtual environment with nvidia-pytriton.
        grpc_port: Port of gRPC on loopback; 0 for any free one.
        http: Whether to listen for HTTP too.
        detach: Whether to leave the server running.
    """

    repository: Path = Path("model_repository")
    triton: Path = ENVIRONMENT
    grpc_port: int = 0
    http: bool = False
    detach: bool = False


def parse_args(argv: Sequence[str]) -> StartConfig:
    """Return the command line as a config."""
    parser = command_parser("start", __doc__)
    add = parser.add_argument
    add("--repository", type=Path, default=StartConfig.repository, metavar="FOLDER")
    add("--triton", type=Path, default=StartConfig.triton, metavar="VENV")
    add("--grpc-port", type=int, default=StartConfig.grpc_port, metavar="PORT", help="0: any free")
    add("--http", action="store_true", help="listen for HTTP too, on loopback")
    add("--detach", action="store_true", help="return when the server is ready")
    args = parser.parse_args(argv)
    if not 0 <= args.grpc_port <= 65535:
        parser.error(f"--grpc-port: expected 0 to 65535, got {args.grpc_port}")
    return StartConfig(**vars(args))


def run(config: StartConfig) -> int:
    """Start the server, and unless detached, stay with it.

    Raises:
        ServerError: If it does not come up, or ends by itself.
    """
    before = {
        number: signal.signal(number, _interrupt)
        for number in ENDINGS
        if signal.getsignal(number) is not signal.SIG_IGN  # nohup, and what stays in background
    }
    try:
        _start_and_stay(config)
    except KeyboardInterrupt:
        say("stopped")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _start_and_stay(config: StartConfig) -> None:
    noted_before = read_state(FOLDER)
    try:
        server = start_triton(
            config.repository,
            environment=config.triton,
            grpc_port=config.grpc_port,
            http=config.http,
            folder=FOLDER,
        )
        _announce(server)
        if not config.detach:
            _stay(server)
    except BaseException:  # wherever we were interrupted, our server does not outlive us
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        state = read_state(FOLDER)
        if state and state != noted_before and is_our_child(state.pid):
            stop_triton(FOLDER, only=state)
        raise


def _announce(server: TritonServer) -> None:
    if server.state.http_url:
        say(f"HTTP on {server.state.http_url}")
    say(f"Triton is ready, its log is {server.state.log}")
    say(f"tag with: python -m serve tag --url {server.url}; stop with: python -m serve stop")
    deliver(server.url)


def _stay(server: TritonServer) -> None:
    """Wait until the server ends."""
    while server.state.is_running():
        time.sleep(_POLL_S)
    if server.stop():
        raise ServerError(f"{server.url}: expected Triton to run, it died; see {server.state.log}")
    say("stopped by python -m serve stop")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
