"""Owns one replica: what is seen of its processes, and what is done to them.

What follows from what is seen, `serve.supervisor.life` decides. Nothing here waits for a process:
a look takes milliseconds, whatever state the server is in.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

from serve.errors import ServerError
from serve.events import log_event
from serve.repository import settle, traffic_of
from serve.supervisor.answers import KnownAnswers
from serve.supervisor.canary import Canary, Result
from serve.supervisor.completion import Completion
from serve.supervisor.growth import ReadyMemory
from serve.supervisor.life import (
    Action,
    Cause,
    Life,
    Phase,
    Seen,
    Step,
    Verdict,
    restart,
    step,
    stop,
)
from serve.supervisor.patience import Patience
from serve.supervisor.progress import Progress
from serve.supervisor.resources import Activity
from serve.supervisor.sampler import Sample
from serve.triton.ending import take_down
from serve.triton.launch import LOG, Order, launch
from serve.triton.listening import listens, with_free_metrics
from serve.triton.logs import last_words, reason_of
from serve.triton.processes import (
    is_alive,
    kill_all,
    processes_of,
    reap,
    remove_shared_memory,
    start_ticks,
)
from serve.triton.state import ServerState, remove_state

logger = logging.getLogger(__name__)


class Replica:
    """A server that is kept alive.

    Attributes:
        number: Its number, from 0.
        order: Which server.
        folder: For its log and the note of its state.
        life: Where it is in its life.
        state: What to know its processes by; None when there are none.
        result: Its last canary that was answered rightly.
        canaries: What came of its canaries, counted.
        restarts: Why it was restarted, counted.
        ready_memory: From which the growth of the server that it has counts.
        silent_since: Since when the server that it has does not say which versions it has, though
            asked each second by a new connection; None if it does, or was not asked yet.
    """

    def __init__(
        self, number: int, order: Order, folder: Path, answers: KnownAnswers, patience: Patience
    ) -> None:
        """Take what to keep alive; nothing is started yet."""
        self.number, self.order, self.folder = number, order, folder
        self.life = Life()
        self.state: ServerState | None = None
        self.result: Result | None = None
        self.canaries: Counter[Verdict] = Counter()
        self.restarts: Counter[Cause] = Counter()
        self.ready_memory = ReadyMemory()
        self.silent_since: float | None = None
        self._answers, self._patience = answers, patience
        self._canary: Canary | None = None
        self._stubs: dict[int, int | None] = {}
        self._groups: set[int] = set()
        self._trouble = self._tls_digest = ""
        self._told: set[str] = set()
        self._is_right = False
        self._ready: frozenset[str] = frozenset()
        self._progress = Progress()
        self._completion = Completion()

    @property
    def lacking(self) -> frozenset[int]:
        """The versions that callers ask for and it does not have, as last seen."""
        return self._completion.lacking

    @property
    def failing(self) -> dict[str, str]:
        """What versions say that fail from the start beside one that answers, by version."""
        canary = self._canary  # another thread may read it while it is forgotten
        return canary.failing if canary else {}

    @property
    def answering(self) -> Result | None:
        """Its last canary, if it serves and that was answered rightly; else None."""
        return self.result if self._is_right and self.life.phase is Phase.READY else None

    @property
    def is_outdated(self) -> bool:
        """Whether its files of TLS hold something else than when it was launched, and read them."""
        return self._digest_of_tls() not in ("", self._tls_digest)

    def look(self, now: float) -> None:
        """See how it is, and do what follows from it."""
        self._take(step(self.life, self._see(now), now, self._patience), now)

    def restart(self, reason: str, now: float) -> None:
        """Ask it to answer what is in flight, end, and start again."""
        self._take(restart(self.life, reason, now, self._patience), now)

    def stop(self, now: float) -> None:
        """Ask it to answer what is in flight and end."""
        self._take(stop(self.life, now, self._patience), now)

    def end(self) -> None:
        """Kill its processes and clear their remains, without further ado.

        Raises:
            ServerError: If a process does not die.
        """
        self._forget_canary()
        take_down(self.folder, patiently=False)
        self.state = None

    def watch(self, sample: Sample, now: float) -> None:
        """Take what was seen from outside: what to ask, and whom, and whether work moves on.

        Every version that serves gets a canary; when a process ends, canaries hurry.
        """
        servers = {self.state.pid} if self.state else set()
        self._stubs = {pid: start_ticks(pid) for pid in sample.pids if pid not in servers}
        if self._canary and sample.versions:
            self._canary.ask_versions(sample.versions)
        self.silent_since = None if sample.versions else self.silent_since or now
        self._ready = sample.ready or self._ready
        if sample.figures:  # Triton tells the model's figures of versions that it has unloaded, too
            tokens = sample.figures.tokens.items()
            self._progress.note({v: num for v, num in tokens if v in self._ready}, now)
        if self.state and self.life.phase is Phase.READY:
            self._completion.note(self.state, sample.ready, sample.served, now)

    def _take(self, taken: Step, now: float) -> None:
        before, (self.life, action) = self.life, taken
        if before.phase is not self.life.phase:
            _log(self.number, before, self.life)
            if self.life.phase is Phase.STARTING and self.life.cause:
                self.restarts[self.life.cause] += 1
        if action:
            _ACTIONS[action](self)

    def _see(self, now: float) -> Seen:
        if self.life.phase is Phase.ENDING:
            return Seen(
                is_alive=False, is_gone=not self.state or not processes_of(self.state.prefix)
            )
        if self.state is None or not self.state.is_running():
            return Seen(is_alive=False, reason=self._trouble or self._obituary())
        if self.life.phase not in (Phase.STARTING, Phase.READY):
            return Seen(is_alive=True)
        result = self._ask(self.state, now)
        if result is None:
            is_learning = self._canary is not None and self._canary.is_learning
            return Seen(is_alive=True, reason=self._delay(now), is_learning=is_learning)
        self.canaries[result.verdict] += 1
        self._tell_failing()
        self._is_right = result.verdict is Verdict.RIGHT
        if self._is_right:
            self.result = result
        return Seen(
            is_alive=True,
            verdict=result.verdict,
            is_busy=result.is_busy,
            moved=self._progress.moved,
            reason=result.reason,
        )

    def _ask(self, state: ServerState, now: float) -> Result | None:
        if self._canary is None:
            if not listens(state.url):  # gRPC would pause between its attempts to connect
                return None
            activity = Activity(state.prefix)
            try:
                self._canary = Canary(state, self._answers, self._patience, activity.is_busy)
                self._canary.ask(map(str, traffic_of(self.order.repository).served))
            except ServerError as error:  # a file of TLS that is just being replaced, say
                return Result(Verdict.FAILED, str(error))
        if any(ticks is None or not is_alive(pid, ticks) for pid, ticks in self._stubs.items()):
            self._stubs.clear()
            self._canary.hurry()
        return self._canary.look(now)

    def _tell_failing(self) -> None:
        for version, reason in self.failing.items():
            self.canaries[Verdict.FAILED] += 1
            if version not in self._told:
                fields = {"replica": self.number, "version": version, "reason": reason}
                log_event(logger, logging.ERROR, "version_failing", **fields)
        self._told = set(self.failing)

    def _delay(self, now: float) -> str:
        """Return what keeps a start that is late; reading the log at every look would cost more."""
        due = self.life.since + self._patience.ready_s
        is_late = self.life.phase is Phase.STARTING and now > due
        return reason_of(self.folder / LOG) if is_late else ""

    def _obituary(self) -> str:
        """Return how the server ended; whoever started it reads its exit status once."""
        status = 0
        if self.state and self.state.pid:
            with contextlib.suppress(ChildProcessError):
                status = os.waitstatus_to_exitcode(os.waitpid(self.state.pid, os.WNOHANG)[1])
        if status < 0:
            words = last_words(self.folder / LOG) if -status == signal.SIGABRT else ""
            return f"killed by {_signal_name(-status)}{words and f': {words}'}"
        return f"ended by itself: {reason_of(self.folder / LOG)}"

    def _launch(self) -> None:
        """Start a server, on nothing but what holds: a folder by hand would keep it from ready."""
        self._trouble, self.result, self.silent_since = "", None, None
        self._tls_digest = self._digest_of_tls()
        self._completion, self.ready_memory = Completion(), ReadyMemory()
        with contextlib.suppress(ServerError):  # Triton may take it as it is
            settle(self.order.repository)
        try:
            self.order = replace(self.order, ports=with_free_metrics(self.order.ports))
            self.order.installation.make_ready()
            self.state = launch(self.order, self.folder)
        except (OSError, ServerError) as error:  # a full disk passes; the state machine waits
            self._trouble = str(error)

    def _digest_of_tls(self) -> str:
        tls = self.order.exposure.tls
        return tls.digest() if tls else ""

    def _drain(self) -> None:
        self._forget_canary()
        if self.state:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.state.pid, signal.SIGTERM)

    def _kill(self) -> None:
        self._forget_canary()
        if self.state:
            kill_all(self.state.prefix)

    def _clear(self) -> None:
        if self.state:
            # Some may give their memory back still: no process any more, and no zombie yet.
            self._groups = {pid for pid in {*self._groups, self.state.pid} if not reap(pid)}
            remove_shared_memory(self.state.prefix)
            remove_state(self.folder)
        self.state = None
        self._stubs.clear()

    def _forget_canary(self) -> None:
        if self._canary:
            self._canary.close()
        self._canary = None


_ACTIONS = {
    Action.LAUNCH: Replica._launch,
    Action.DRAIN: Replica._drain,
    Action.KILL: Replica._kill,
    Action.CLEAR: Replica._clear,
}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return f"signal {number}"


def _log(number: int, before: Life, after: Life) -> None:
    was_alive = before.phase in (Phase.STARTING, Phase.READY)
    is_sick = was_alive and after.phase is Phase.ENDING and after.is_wanted
    has_reason = is_sick or after.phase is Phase.DRAINING
    fields = {"reason": after.reason} if has_reason else {}
    level = logging.ERROR if is_sick else logging.INFO
    log_event(logger, level, f"replica_{after.phase}", replica=number, **fields)
