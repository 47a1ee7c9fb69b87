"""Owns how a request fares: where it has been, what came of it, and how its end is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from serve.client.budget import RetryBudget
from serve.client.endpoints import Endpoint
from serve.client.policy import Policy
from serve.client.requests import Request
from serve.errors import Overloaded, TaggingError
from serve.triton.failures import Failed, Failure, explain


@dataclass(slots=True, eq=False)
class Journey:
    """A request under way.

    Attributes:
        request: The request.
        started: Since when, by the dispatcher's clock, in seconds.
        tried: Where it has been, the last try last.
        failed: What came of that; None before the first.
        has_aside: Whether a retry is set aside for the try that is under way.
        has_retry: Whether a retry was taken out of the budget for it, and not made yet.
        is_versed: Whether the version that its client knows of will do; no longer when an endpoint
            has said that it lacks that one, until one was asked which there are.
        holding: Where it counts as under way, if anywhere.
    """

    request: Request
    started: float
    tried: list[Endpoint] = field(default_factory=list)
    failed: Failed | None = None
    has_aside: bool = False
    has_retry: bool = False
    is_versed: bool = True
    holding: Endpoint | None = None

    @property
    def can_turn_back(self) -> bool:
        """Whether it is at an endpoint left out, and comes from one that lacks its version.

        That one can say which versions there are, too, should this one be silent.
        """
        is_from_lack = self.failed is not None and self.failed.failure is Failure.STALE_VERSION
        is_elsewhere = is_from_lack and self.tried[-1] is not self.tried[-2]
        return is_elsewhere and self.tried[-1].probe_at is not None

    def go_on(self) -> None:
        """Take that an endpoint said which versions there are: asking was no try."""
        self.is_versed = True
        self.tried.pop()
        self.failed = None

    @property
    def owes(self) -> bool:
        """Whether there is anything to release."""
        return self.holding is not None or self.has_retry

    def release(self, budget: RetryBudget) -> None:
        """Give back its place at an endpoint, and a retry it did not make; each once.

        Whoever calls holds the client's lock.
        """
        endpoint, self.holding = self.holding, None
        if endpoint is not None:
            endpoint.in_flight -= 1
        if self.has_aside:
            self.has_aside = False
            budget.put_back()
        if self.has_retry:
            self.has_retry = False
            budget.refund()

    def no_room(self, urls: str, policy: Policy) -> Overloaded:
        """Return the error of a request that was not sent, for want of room."""
        is_later = self.request.is_patient  # as only a call's first request is not
        within, sent = "", "not sent"
        if is_later:
            within = f" within {policy.deadline_s:g} s"
            sent = "not sent; those before it in its call were, if any"
        return Overloaded(
            f"{urls}: expected room for a request{within}, got {policy.max_in_flight} under way at "
            "each endpoint that serves; ask again later, from fewer callers, or start more servers "
            f"(request {self.request.request_id}, {sent})"
        )

    def given_up(self, failed: Failed, policy: Policy) -> TaggingError:
        """Return the error of a request that is not tried again."""
        num_tries = len(self.tried)
        tries = "1 try" if num_tries == 1 else f"{num_tries} tries"
        note = f"request {self.request.request_id}, {tries}"
        url = self.tried[-1].url
        return explain(failed, url=url, deadline_s=policy.deadline_s, note=note)
