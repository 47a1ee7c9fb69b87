"""Owns one round of canaries to a server: what is on its way, and what came back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from serve.errors import ServerError
from serve.supervisor.questions import Question
from serve.triton.messages import Reply
from serve.triton.probe import Flight, Probe


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question on its way to a version."""

    question: Question
    flight: Flight[Reply]


class Round:
    """Canaries on their way to one server: who are you, and what do your versions say to this?

    A version that has not answered yet may take long over it. It is not waited for where others
    answer: they have to be asked again meanwhile. Where none has yet, the oldest one is enough.

    Attributes:
        sent: When it was sent.
        watched: Since when it is watched whether the server computes; None if it is not.
        failing: What versions say that never answered here while an older one does, by version.
            It is known when the replies are read.
    """

    def __init__(
        self,
        probe: Probe,
        questions: Mapping[str, Question],
        under_way: Mapping[str, Asked],
        now: float,
    ) -> None:
        """Send it.

        Args:
            probe: The server.
            questions: What to ask, by version.
            under_way: What an earlier round asked and need not be asked again, by version.
            now: The time.
        """
        self.sent = now
        self.watched: float | None = None
        self.failing: dict[str, str] = {}
        self._expected = probe.state.prefix
        self._identity = probe.send_identity()
        self._asked = {
            version: under_way.get(version) or Asked(question, _send(probe, version, question))
            for version, question in questions.items()
        }

    def is_done(self) -> bool:
        """Return whether there is enough to judge by."""
        prompt = [asked for asked in self._asked.values() if not asked.question.is_first]
        waited_for = prompt or [self._asked[version] for version in self._by_age()[:1]]
        return self._identity.has_failed() or (
            self._identity.is_done() and all(asked.flight.is_done() for asked in waited_for)
        )

    def is_silent(self) -> bool:
        """Return whether time ran out for an answer."""
        flights = [asked.flight for asked in self._asked.values()]
        return self._identity.is_silent() or any(flight.is_silent() for flight in flights)

    def is_patient(self) -> bool:
        """Return whether one of its questions may take long."""
        return any(asked.question.is_first for asked in self._asked.values())

    def under_way(self) -> dict[str, Asked]:
        """Return what is not answered yet, by version."""
        asked = self._asked.items()
        return {version: one for version, one in asked if not one.flight.is_done()}

    def triton(self) -> str:
        """Return Triton's version."""
        return self._identity.result().triton

    def replies(self) -> dict[str, tuple[Asked, Reply]]:
        """Return what the versions say that have answered, but for those served no more.

        A new version that fails from the start is no reason to take down what an older one answers
        well: it would fail again.

        Raises:
            ServerError: If another one does not answer as agreed, or the server is another.
        """
        name = self._identity.result().name
        if name != self._expected:
            raise ServerError(f"expected the server {self._expected}, got {name!r:.80}")
        replies: dict[str, tuple[Asked, Reply]] = {}
        for version in self._by_age():
            asked = self._asked[version]
            if not asked.flight.is_done() or (version and asked.flight.is_unserved()):
                continue
            try:
                replies[version] = (asked, asked.flight.result())
            except ServerError as error:
                if not (replies and asked.question.is_first):
                    raise
                self.failing[version] = str(error)
        return replies

    def _by_age(self) -> list[str]:
        return sorted(self._asked, key=lambda version: int(version or 0))


def _send(probe: Probe, version: str, question: Question) -> Flight[Reply]:
    return probe.send(question.texts, version, timeout_s=question.timeout_s)
