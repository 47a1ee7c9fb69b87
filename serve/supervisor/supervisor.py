"""Owns the supervisor's loop: look at each replica, restart what is asked for, say when to give up.

One thread looks ten times a second and waits for nothing; a second one samples, see
`serve.supervisor.sampler`. Restarts on purpose go one at a time. The supervisor gives up when every
replica has failed as often as is allowed; while one of them serves, the others are tried on, and
when all had served, they are for as long as they had, see `Patience.outage_s`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from serve.errors import ServerError
from serve.events import log_event
from serve.supervisor.answers import KnownAnswers
from serve.supervisor.config import SupervisorConfig
from serve.supervisor.growth import growth
from serve.supervisor.life import Phase
from serve.supervisor.orders import orders
from serve.supervisor.replica import Replica
from serve.supervisor.rolling import Rolling
from serve.supervisor.sampler import Sample, Sampler
from serve.supervisor.telling import Troubles
from serve.triton.processes import adopt_orphans
from serve.triton.state import REPLICA, ServerState

_LOOK_S = 0.1
_TELL_S = 1.0

logger = logging.getLogger(__name__)


class Supervisor:
    """Keeps replicas alive until it is asked to stop, or gives up.

    Attributes:
        config: What it was asked to run.
        replicas: The replicas.
        is_up: Whether all of them have been ready at one time.
        is_stopping: Whether it was asked to stop.
    """

    def __init__(self, config: SupervisorConfig) -> None:
        """Take what to run; nothing is started yet.

        Raises:
            ServerError: If there is nothing to serve, no Triton, or a port is taken.
            OSError: If the folder of a replica cannot be made.
        """
        self.config = config
        chosen = orders(config)
        python = chosen[0].installation.environment / "bin" / "python"
        self._answers = KnownAnswers(chosen[0].repository, python)
        self._rolling = Rolling()
        self.replicas = []
        for number, order in enumerate(chosen):
            folder = config.folder / f"{REPLICA}{number}"
            folder.mkdir(parents=True, exist_ok=True)
            self.replicas.append(Replica(number, order, folder, self._answers, config.patience))
        self._sampler = Sampler(self._ready_states, config.patience.canary_interval_s)
        self._weighed: dict[int, Sample] = {}
        self._troubles = Troubles("look_failed", "replica")
        self._is_restarting = False
        self._hindrance = ""
        self.is_up = self.is_stopping = False
        self._served_from = self._served_until = 0.0
        self._is_outage = False

    def run(self, tell: Callable[[], None]) -> None:
        """Start the replicas and keep them alive until all have stopped.

        Args:
            tell: Called about once a second, and as soon as a replica's phase has changed.

        Raises:
            ServerError: If a replica does not come up at first, or when giving up.
        """
        adopt_orphans()
        self._sampler.start()
        told, phases = 0.0, self._phases()
        try:
            while not all(phase is Phase.STOPPED for phase in phases):
                now = time.monotonic()
                self._look(now)
                if now - told >= _TELL_S or phases != self._phases():
                    told, phases = now, self._phases()
                    tell()
                self._give_up(now)
                time.sleep(_LOOK_S)
        finally:
            self._sampler.stop()
            self._answers.close()

    def stop(self) -> None:
        """Ask all replicas to answer what is in flight and end; `run` returns when they have.

        Safe in a signal handler, as `restart_all` is: `run` looks at it next time round.
        """
        self.is_stopping = True

    def kill(self) -> None:
        """End all replicas at once, and clear their remains."""
        for replica in self.replicas:
            with self._troubles.borne(replica.number):
                replica.end()

    def restart_all(self) -> None:
        """Ask for a restart of each replica, one after the other."""
        self._is_restarting = True

    def sample(self, replica: Replica) -> Sample | None:
        """Return what was last seen of a replica from outside."""
        return self._sampler.samples.get(replica.state.prefix) if replica.state else None

    def metrics(self) -> dict[int, str]:
        """Return each replica's metrics as text, as they were last seen."""
        seen = {replica.number: self.sample(replica) for replica in self.replicas}
        return {number: sample.metrics for number, sample in seen.items() if sample}

    def _look(self, now: float) -> None:
        for replica in self.replicas:
            # A disk, threads or descriptors that are short are so for a time.
            with self._troubles.borne(replica.number):
                self._look_at(replica, now)
        self._note_service(now)
        self._roll(now)

    def _note_service(self, now: float) -> None:
        are_ready = [phase is Phase.READY for phase in self._phases()]
        if not self.is_up and all(are_ready):
            self.is_up, self._served_from = True, now
        if any(are_ready):
            self._served_until, self._is_outage = now, False

    def _look_at(self, replica: Replica, now: float) -> None:
        if self.is_stopping:
            replica.stop(now)
        replica.look(now)
        if (sample := self.sample(replica)) and sample is not self._weighed.get(replica.number):
            self._weighed[replica.number] = sample
            replica.watch(sample, now)
            if replica.is_outdated:
                self._rolling.ask(replica.number, "its files of TLS were renewed")
            self._weigh(replica, sample, now)

    def _roll(self, now: float) -> None:
        """Restart whose turn it is."""
        if self._is_restarting:
            self._is_restarting = False
            until = now + self.config.patience.rolling_s(len(self.replicas))  # as it is waited for
            for replica in self.replicas:
                self._rolling.ask(replica.number, "asked to restart", until)
        lives = {replica.number: replica.life for replica in self.replicas}
        if not self.is_stopping and (due := self._rolling.next(lives, now, self.config.patience)):
            number, reason = due
            if self._can_start(number):
                self.replicas[number].restart(reason, now)

    def _can_start(self, number: int) -> bool:
        """Return whether a replica's Triton and files of TLS would do; else it is not ended."""
        hindrance = ""
        try:
            self.replicas[number].order.installation.make_ready()
            if tls := self.config.exposure.tls:
                tls.check_server()
        except ServerError as error:
            hindrance = str(error)
        if hindrance not in ("", self._hindrance):  # growth asks again each second
            fields = {"replica": number, "reason": hindrance}
            log_event(logger, logging.ERROR, "restart_refused", **fields)
        self._hindrance = hindrance
        return not hindrance

    def _weigh(self, replica: Replica, sample: Sample, now: float) -> None:
        """Ask for a restart of a replica that uses too much."""
        replica.ready_memory.note(sample.usage, sample.versions)
        if (ready := replica.ready_memory.num_bytes) is None:
            return
        patience, ready_s = self.config.patience, now - replica.life.since
        share, words = growth(sample.usage, ready, sample.metrics, patience)
        if share >= 1.0 and ready_s >= patience.growth_s:
            self._rolling.ask(replica.number, words)

    def _give_up(self, now: float) -> None:
        patience, lives = self.config.patience, [replica.life for replica in self.replicas]
        if not self.is_up:
            failed = [replica for replica in self.replicas if replica.life.failures]
            if failed and not self.is_stopping:
                raise ServerError(_last_words(failed[0], "expected Triton to start, got"))
        elif all(life.is_exhausted(now, patience) for life in lives):
            cause = f"after {patience.max_failures} failures:"
            tried_s = min(self._served_until - self._served_from, patience.outage_s)
            if now - self._served_until >= tried_s:
                raise ServerError(_last_words(self.replicas[0], f"gave up {cause}"))
            if not self._is_outage:
                reason = _last_words(self.replicas[0], f"tried for {tried_s:.0f} s {cause}")
                log_event(logger, logging.ERROR, "all_failing", reason=reason)
            self._is_outage = True

    def _ready_states(self) -> list[ServerState]:
        ready = [replica for replica in self.replicas if replica.life.phase is Phase.READY]
        return [replica.state for replica in ready if replica.state]

    def _phases(self) -> list[Phase]:
        return [replica.life.phase for replica in self.replicas]


def _last_words(replica: Replica, what: str) -> str:
    return f"replica {replica.number}: {what} {replica.life.reason}; see {replica.folder}"
