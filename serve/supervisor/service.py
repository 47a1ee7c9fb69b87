"""Owns the supervisor as a service of a folder: its log, its signals, its status."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from types import FrameType

from serve.errors import TaggingError, in_words
from serve.events import log_event
from serve.journal import console, journal
from serve.signals import ENDINGS, handled, ignore
from serve.supervisor.config import SupervisorConfig, make_folder
from serve.supervisor.control import LOG, OUTPUT, RESTART, clear, sole
from serve.supervisor.metrics import export, exposition
from serve.supervisor.report import report
from serve.supervisor.status import STATUS, SupervisorStatus, write_status
from serve.supervisor.supervisor import Supervisor
from serve.supervisor.telling import Teller
from serve.triton.logs import cut_log
from serve.triton.processes import start_ticks

logger = logging.getLogger(__name__)


def run_service(config: SupervisorConfig, announce: Callable[[SupervisorStatus], None]) -> None:
    """Run a supervisor in this process until it is asked to end.

    Args:
        config: What to run.
        announce: Called once, when every replica is ready.

    Raises:
        ServerError: If there is a supervisor, a replica does not come up, or all were given up.
        KeyboardInterrupt: If Ctrl-C insisted on an end; then the servers were killed.
        OSError: If the folder cannot be written.
    """
    make_folder(config.folder)
    with sole(config.folder), _logging_to(journal(config.folder / LOG)), _end_told():
        clear(config.folder)
        supervisor = Supervisor(config)
        with _signals(supervisor):
            try:
                _run(supervisor, announce)
            except BaseException:
                with handled(dict.fromkeys(ENDINGS, ignore)):  # or some would serve on, unwatched
                    supervisor.kill()
                raise
        (config.folder / STATUS).unlink(missing_ok=True)


def _run(supervisor: Supervisor, announce: Callable[[SupervisorStatus], None]) -> None:
    config, started = supervisor.config, datetime.now(UTC)
    ticks = start_ticks(os.getpid()) or 0
    teller = Teller(config.folder)
    metrics_url, is_announced = None, False

    def current() -> SupervisorStatus:
        return report(supervisor, started=started, start_ticks=ticks, metrics_url=metrics_url)

    if config.metrics_port is not None:
        metrics_url = export(
            lambda: exposition(current(), supervisor.metrics()),
            config.metrics_port,
            config.metrics_host,
        )

    def tell() -> None:
        nonlocal is_announced
        status = current()
        teller.tell(status)
        cut_log(config.folder / OUTPUT)
        if supervisor.is_up and not is_announced:
            is_announced = True
            announce(status)
            told.enter_context(_logging_to(console()))  # a start that fails is told by its end

    write_status(config.folder, current())  # nothing runs yet: a folder that takes none is told
    with contextlib.ExitStack() as told:
        supervisor.run(tell)


@contextlib.contextmanager
def _logging_to(handler: logging.Handler) -> Iterator[None]:
    """Hand what this package logs to a handler, meanwhile."""
    root = logging.getLogger("serve")
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def _end_told() -> Iterator[None]:
    """Log an end that nobody asked for: the error goes to an output that few collect."""
    try:
        yield
    except Exception as error:
        fields = {"reason": in_words(error) or type(error).__name__}
        if not isinstance(error, TaggingError):
            fields["exception"] = traceback.format_exc()
        log_event(logger, logging.ERROR, "gave_up", **fields)
        raise
    except BaseException:
        log_event(logger, logging.WARNING, "interrupted")
        raise


def _signals(supervisor: Supervisor) -> AbstractContextManager[None]:
    """Take signals: what ends a program asks, and Ctrl-C insists after that.

    Nothing else does: two `serve stop` at once are no reason to drop what is in flight.
    """

    def end(number: int, frame: FrameType | None) -> None:
        if supervisor.is_stopping and number == signal.SIGINT:
            raise KeyboardInterrupt
        supervisor.stop()

    def restart(number: int, frame: FrameType | None) -> None:
        supervisor.restart_all()

    return handled({RESTART: restart, **dict.fromkeys(ENDINGS, end)})
