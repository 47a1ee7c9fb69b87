"""Owns the canary: a question with a known answer to one server, each second.

It asks who the server is as well: behind a port may be somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from serve.errors import ServerError
from serve.supervisor.answers import LINES, KnownAnswers
from serve.supervisor.life import Verdict
from serve.supervisor.patience import Patience
from serve.triton.messages import Reply
from serve.triton.probe import Probe
from serve.triton.state import ServerState

_LATE_S = 0.1
"""An answer later than this is slow: time to look whether the server computes."""
_PENDING_S = 0.2
"""How soon to ask again when only the right answer was not known yet."""
_ASLEEP_S = 0.5
"""When nobody looked for this long, this machine was asleep, and silence means nothing."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a canary.

    Attributes:
        verdict: As the state machine takes it.
        reason: What there is to say to it.
        latency_s: How long the answer took; None without one.
        version: The version of the model that answered; empty without an answer.
        triton: Triton's version; empty without an answer.
        is_busy: Whether the server computed while it was silent.
    """

    verdict: Verdict
    reason: str = ""
    latency_s: float | None = None
    version: str = ""
    triton: str = ""
    is_busy: bool = False


class _Flight:
    """One canary on its way: who are you, and what do you make of these lines?"""

    def __init__(self, probe: Probe, texts: tuple[str, ...], now: float) -> None:
        self.texts, self.sent = texts, now
        self.watched: float | None = None
        self._identity, self._answer = probe.send_identity(), probe.send(texts)
        self._expected = probe.state.prefix

    def is_done(self) -> bool:
        return self._identity.is_done() and self._answer.is_done()

    def is_silent(self) -> bool:
        return self._identity.is_silent() or self._answer.is_silent()

    def latency_s(self) -> float:
        return self._answer.latency_s

    def triton(self) -> str:
        return self._identity.result().triton

    def answer(self) -> Reply:
        name = self._identity.result().name
        if name != self._expected:
            raise ServerError(f"expected the server {self._expected}, got {name!r:.80}")
        return self._answer.result()


class Canary:
    """Asks one server again and again, without ever waiting for it."""

    def __init__(
        self,
        state: ServerState,
        answers: KnownAnswers,
        patience: Patience,
        is_busy: Callable[[float], bool],
    ) -> None:
        """Take a server; nothing is sent yet.

        Args:
            state: The server's note.
            answers: What is right.
            patience: How often to ask, and how long to wait.
            is_busy: Whether the server has computed since it was last called, given the seconds
                since then.
        """
        self._probe = Probe(state, timeout_s=patience.canary_timeout_s)
        self._answers = answers
        self._patience = patience
        self._is_busy = is_busy
        self._asked: tuple[str, ...] = LINES
        self._flight: _Flight | None = None
        self._next = self._last_look = 0.0

    def hurry(self) -> None:
        """Send the next one at once: something seems wrong."""
        self._next = 0.0

    def close(self) -> None:
        """Close the connection."""
        self._probe.close()

    def look(self, now: float) -> Result | None:
        """Send what is due; return what came back, if anything did."""
        was_asleep = now - self._last_look > _ASLEEP_S
        self._last_look = now
        if self._flight is None:
            if now >= self._next:
                self._flight = _Flight(self._probe, self._asked, now)
                self._next = now + self._patience.canary_interval_s
            return None
        if not self._flight.is_done():
            self._watch(self._flight, now)
            return None
        flight, self._flight = self._flight, None
        result = self._judge(flight, now)
        if result is None or result.verdict is Verdict.RIGHT:
            return result
        self.hurry()
        return None if was_asleep and result.verdict is Verdict.SILENT else result

    def _watch(self, flight: _Flight, now: float) -> None:
        if flight.watched is None and now - flight.sent > _LATE_S:
            flight.watched = now
            self._is_busy(0.0)

    def _judge(self, flight: _Flight, now: float) -> Result | None:
        try:
            reply = flight.answer()
        except ServerError as error:
            if not flight.is_silent():
                return Result(Verdict.FAILED, str(error))
            watched_s = now - flight.watched if flight.watched else 0.0
            return Result(Verdict.SILENT, str(error), is_busy=self._is_busy(watched_s))
        answers = dict(zip(flight.texts, reply.rows, strict=True))
        known = self._answers.of(reply.version, answers, now)
        if known is None:
            self._asked, self._next = LINES, now + _PENDING_S
            return None
        self._asked = known.asked()
        wrong = known.differences(answers)
        reason = f"version {reply.version}: {wrong}" if wrong else ""
        verdict = Verdict.WRONG if wrong else Verdict.RIGHT
        return Result(verdict, reason, flight.latency_s(), reply.version, flight.triton())
