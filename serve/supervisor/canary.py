"""Owns the canary: a question with a known answer to one server, each second.

Every version that serves is asked: each has a process of its own, which can die while the others
live. The server is asked who it is as well: behind a port may be somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from serve.errors import ServerError
from serve.supervisor.answers import LINES, KnownAnswers
from serve.supervisor.life import Verdict
from serve.supervisor.patience import Patience
from serve.triton.messages import Reply
from serve.triton.names import MODEL, ModelVersion
from serve.triton.probe import Probe
from serve.triton.state import ServerState

_LATE_S = 0.1
"""An answer later than this is slow: time to look whether the server computes."""
_ANY = ""
"""Whichever version Triton chooses: the newest."""
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


class _Round:
    """Canaries on their way to one server: who are you, and what do your versions say to this?"""

    def __init__(
        self, probe: Probe, texts: tuple[str, ...], versions: tuple[str, ...], now: float
    ) -> None:
        self.texts, self.sent = texts, now
        self.watched: float | None = None
        self._identity = probe.send_identity()
        self._flights = {version: probe.send(texts, version) for version in versions}
        self._expected = probe.state.prefix

    def is_done(self) -> bool:
        return self._identity.is_done() and all(f.is_done() for f in self._flights.values())

    def is_silent(self) -> bool:
        flights = self._flights.values()
        return self._identity.is_silent() or any(flight.is_silent() for flight in flights)

    def latency_s(self) -> float:
        """Return how long the slowest version took."""
        return max(flight.latency_s for flight in self._flights.values())

    def triton(self) -> str:
        return self._identity.result().triton

    def replies(self) -> list[Reply]:
        """Return what each version says, but for those that are served no more.

        Raises:
            ServerError: If one does not answer as agreed, or the server is another.
        """
        name = self._identity.result().name
        if name != self._expected:
            raise ServerError(f"expected the server {self._expected}, got {name!r:.80}")
        there = [f for version, f in self._flights.items() if not (version and f.is_unserved())]
        return [flight.result() for flight in there]


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
        self._versions: tuple[str, ...] = (_ANY,)
        self._round: _Round | None = None
        self._next = self._last_look = 0.0

    def hurry(self) -> None:
        """Send the next one at once: something seems wrong."""
        self._next = 0.0

    def ask_versions(self, listed: Iterable[ModelVersion]) -> None:
        """Ask each of the versions that serve, from the next time on."""
        serving = [v.version for v in listed if (v.model, v.state) == (MODEL, "READY")]
        self._versions = tuple(serving) or (_ANY,)

    def close(self) -> None:
        """Close the connection."""
        self._probe.close()

    def look(self, now: float) -> Result | None:
        """Send what is due; return what came back, if anything did."""
        was_asleep = now - self._last_look > _ASLEEP_S
        self._last_look = now
        if self._round is None:
            if now >= self._next:
                self._round = _Round(self._probe, self._asked, self._versions, now)
                self._next = now + self._patience.canary_interval_s
            return None
        if not self._round.is_done():
            self._watch(self._round, now)
            return None
        landed, self._round = self._round, None
        result = self._judge(landed, now)
        if result is None or result.verdict is Verdict.RIGHT:
            return result
        self.hurry()
        return None if was_asleep and result.verdict is Verdict.SILENT else result

    def _watch(self, flying: _Round, now: float) -> None:
        if flying.watched is None and now - flying.sent > _LATE_S:
            flying.watched = now
            self._is_busy(0.0)

    def _judge(self, landed: _Round, now: float) -> Result | None:
        try:
            replies = landed.replies()
        except ServerError as error:
            if not landed.is_silent():
                return Result(Verdict.FAILED, str(error))
            watched_s = now - landed.watched if landed.watched else 0.0
            return Result(Verdict.SILENT, str(error), is_busy=self._is_busy(watched_s))
        if not replies:  # all the versions we knew of are gone: whoever serves now shall answer
            self._versions = (_ANY,)
            self.hurry()
            return None
        return self._compare(replies, landed, now)

    def _compare(self, replies: list[Reply], landed: _Round, now: float) -> Result | None:
        """Hold answers against the known ones; None while those are not known yet."""
        asked: tuple[str, ...] = ()
        for reply in replies:
            answers = dict(zip(landed.texts, reply.rows, strict=True))
            known = self._answers.of(reply.version, answers, now)
            if known is None:
                self._asked, self._next = LINES, now + _PENDING_S
                return None
            if wrong := known.differences(answers):
                return Result(Verdict.WRONG, f"version {reply.version}: {wrong}")
            asked = asked or known.asked()
        self._asked = asked
        newest = max((reply.version for reply in replies), key=int)
        return Result(Verdict.RIGHT, "", landed.latency_s(), newest, landed.triton())
