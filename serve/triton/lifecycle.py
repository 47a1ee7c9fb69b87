"""Owns bringing a Triton up, given a folder for its log and its state, which nobody else uses."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from serve.errors import ServerError
from serve.signals import ENDINGS
from serve.triton.ending import take_down
from serve.triton.installation import Installation
from serve.triton.launch import Order, launch
from serve.triton.listening import Ports, listens
from serve.triton.logs import is_lost_port, reason_of
from serve.triton.probe import Probe
from serve.triton.processes import wait_until
from serve.triton.state import ServerState

READY_TIMEOUT_S = 60.0


class LostPortError(ServerError):
    """Somebody took the port between our choice and Triton's bind."""


def bring_up(
    installation: Installation,
    repository: Path,
    folder: Path,
    trials: Iterable[Ports],
    *,
    is_telling: bool = False,
) -> ServerState:
    """Start a server and return when it answers.

    Args:
        installation: Which Triton.
        repository: The model repository.
        folder: For log and state; nothing but the log stays there if the server does not come up.
        trials: Ports to try, in order, until nobody takes them first.
        is_telling: Whether anybody may read its settings and statistics.

    Raises:
        LostPortError: If somebody took every one of the ports.
        ServerError: If the server does not come up: with the reason from its log.
    """
    lost = LostPortError(f"{repository}: expected ports to try, got none")
    for ports in trials:
        with _signals_held():  # an interrupt between spawn and note would leave a server
            order = Order(installation, repository, ports, is_telling=is_telling)
            state = launch(order, folder)
        try:
            await_ready(state)
            return state
        except LostPortError as error:
            take_down(folder)
            lost = error
        except BaseException:
            take_down(folder)
            raise
    raise lost


def await_ready(state: ServerState) -> None:
    """Wait until the very server that was started answers, and its model too.

    Raises:
        LostPortError: If it ended because somebody else has its port.
        ServerError: If it ended otherwise, or takes too long.
    """
    in_time = wait_until(
        lambda: not state.is_running() or _answers(state), timeout_s=READY_TIMEOUT_S
    )
    log = Path(state.log)
    if not state.is_running():
        if is_lost_port(log):
            raise LostPortError(f"expected the port of {state.url} to be free, got it taken")
        raise ServerError(f"{state.repository}: expected Triton to start, got {reason_of(log)}")
    if not in_time:
        raise ServerError(
            f"{state.repository}: expected Triton to be ready within {READY_TIMEOUT_S:g} s, "
            f"got {reason_of(log)}"
        )


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _answers(state: ServerState) -> bool:
    with contextlib.suppress(OSError, ServerError):
        # Bare connections first: gRPC pauses longer between its own attempts, HTTP comes later.
        if not all(listens(url) for url in (state.url, state.http_url) if url):
            return False
        with Probe(state, timeout_s=1.0) as probe:
            is_ours = probe.send_identity().result().name == state.prefix
            return is_ours and bool(probe.send([""]).result().version)
    return False
