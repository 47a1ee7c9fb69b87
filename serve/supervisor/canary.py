"""Owns the canary: a question with a known answer to one server, each second.

Every version that serves is asked: each has a process of its own, which can die while the others
live. The server is asked who it is as well: behind a port may be somebody else's. Until it is known
what is right, a version's answer is kept: to ask again would only take time from finding that out.

One round of it, as look after look sees it:

    sent     who are you, and to each version its question, but where one is under way still
    late     after `_LATE_S`: from now on it is watched whether the server computes
    landed   who it is, and the versions' answers, are there or failed; first answers may be missing
    judged   failed, silent, wrong or right; whatever is not right is asked again at once, but a
             version that fails from its first answer on beside one that is right: that is told
    kept     an answer to all lines of which nobody knows yet what is right: judged in a later round
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from serve.errors import ServerError
from serve.supervisor.answers import KnownAnswers
from serve.supervisor.life import Verdict
from serve.supervisor.patience import Patience
from serve.supervisor.questions import Question, first_question, next_question
from serve.supervisor.rounds import Asked, Round
from serve.triton.messages import Reply
from serve.triton.names import MODEL, ModelVersion
from serve.triton.probe import Probe
from serve.triton.state import ServerState

_LATE_S = 0.1
"""An answer later than this is slow: time to look whether the server computes."""
_ANY = ""
"""Whichever version Triton chooses: the newest."""
_AT_ONCE = 0.0
"""When to send the next round: long past, by a clock that is never there."""
_PENDING_S = 0.2
"""How soon to look again when only the right answer was not known yet."""
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


class Canary:
    """Asks one server again and again, without ever waiting for it.

    Attributes:
        is_learning: Whether a version has answered of which it is not known yet what is right.
        failing: What versions say that have never answered here while an older one does, by
            version.
    """

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
        self.is_learning = False
        self.failing: dict[str, str] = {}
        self._versions: tuple[str, ...] = (_ANY,)
        self._questions: dict[str, Question] = {}
        self._under_way: dict[str, Asked] = {}
        self._round: Round | None = None
        self._next, self._last_look = _AT_ONCE, 0.0

    def hurry(self) -> None:
        """Send the next one at once: something seems wrong. A first answer may never come."""
        self._next = _AT_ONCE
        self._under_way = {}
        if self._round and self._round.is_patient():
            self._round = None

    def ask_versions(self, listed: Iterable[ModelVersion]) -> None:
        """Ask each of the versions that serve, from the next time on."""
        self.ask(v.version for v in listed if (v.model, v.state) == (MODEL, "READY"))

    def ask(self, versions: Iterable[str]) -> None:
        """Ask some versions, from the next time on; those that the server lacks are left out."""
        self._versions = tuple(versions) or (_ANY,)

    def close(self) -> None:
        """Close the connection."""
        self._probe.close()

    def look(self, now: float) -> Result | None:
        """Send what is due; return what came back, if anything did."""
        was_asleep = now - self._last_look > _ASLEEP_S
        self._last_look = now
        if self._round is None:
            if now >= self._next:
                self._round = self._send(now)
                self._next = now + self._patience.canary_interval_s
            return None
        if not self._round.is_done():
            self._watch(self._round, now)
            return None
        landed, self._round = self._round, None
        result = self._judge(landed, now)
        if result is None or result.verdict is Verdict.RIGHT:
            return result
        self._next = _AT_ONCE
        return None if was_asleep and result.verdict is Verdict.SILENT else result

    def _send(self, now: float) -> Round:
        first = first_question(self._patience)
        questions = {version: self._questions.get(version, first) for version in self._versions}
        return Round(self._probe, questions, self._under_way, now)

    def _watch(self, flying: Round, now: float) -> None:
        if flying.watched is None and now - flying.sent > _LATE_S:
            flying.watched = now
            self._is_busy(0.0)

    def _judge(self, landed: Round, now: float) -> Result | None:
        self._under_way = landed.under_way()
        try:
            replies = landed.replies()
        except ServerError as error:
            if not landed.is_silent():
                return Result(Verdict.FAILED, str(error))
            watched_s = now - landed.watched if landed.watched else 0.0
            return Result(Verdict.SILENT, str(error), is_busy=self._is_busy(watched_s))
        asked = {v: text for v, text in self.failing.items() if v in self._versions}
        self.failing = {v: text for v, text in (asked | landed.failing).items() if v not in replies}
        if lost := self._answers.was_right & landed.failing.keys():
            self._answers.was_right -= lost  # a restart may be a cure, once
            version = min(lost)
            reason = f"version {version}, which was right before: {landed.failing[version]}"
            return Result(Verdict.WRONG, reason)
        if not replies and not self._under_way:  # all the versions that we knew of are gone
            self._versions = (_ANY,)  # whoever serves now shall answer
            self._questions.pop(_ANY, None)
            self._next = _AT_ONCE
        return self._compare(replies, landed.triton(), now)

    def _compare(
        self, replies: Mapping[str, tuple[Asked, Reply]], triton: str, now: float
    ) -> Result | None:
        """Hold answers against the known ones; None while no such answer is there."""
        right: dict[str, float] = {}
        for version, (asked, reply) in replies.items():
            answers = dict(zip(asked.question.texts, reply.rows, strict=True))
            known = self._answers.of(reply.version, answers, now)
            if known is None:
                self._keep(version, asked, now)
                continue
            if wrong := known.differences(answers):
                if self._answers.forget_replaced(reply.version):
                    self._keep(version, asked, now)
                    continue
                return Result(Verdict.WRONG, f"version {reply.version}: {wrong}")
            latency_s = right[reply.version] = asked.flight.latency_s
            self._answers.was_right.add(version)
            question = next_question(asked.question, latency_s, known, self._patience)
            self._questions[version] = self._questions[reply.version] = question
        self.is_learning = len(right) < len(replies)
        if not right:
            return None
        newest = max(right, key=int)
        return Result(Verdict.RIGHT, "", max(right.values()), newest, triton)

    def _keep(self, version: str, asked: Asked, now: float) -> None:
        """Keep an answer until it is known whether it is right."""
        self._next = now + _PENDING_S
        if asked.question.is_first:
            self._under_way[version] = asked
        else:  # another version than before answers under this name: it shall answer all lines
            self._questions.pop(version, None)
