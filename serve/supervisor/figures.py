"""Owns a server's figures: how much it did, how fast, and what it refused."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figures:
    """A server's figures since its start, all versions together; latencies are of the last minute.

    Failures, what waits and latencies are Triton's, with the supervisor's canaries among them.

    Attributes:
        at: When they were read, in seconds since 1970.
        num_requests: Requests of callers answered.
        num_failures: Requests refused or failed.
        num_texts: Texts tagged for callers.
        num_batches: Executions of the model for callers.
        num_pending: Requests that wait for the model just now.
        p50_ms: Median time of a request inside the server; None without requests.
        p99_ms: 99th percentile of the same.
        tokens: Tokens each version has run; they grow while an execution is under way.
    """

    at: float = 0.0
    num_requests: int = 0
    num_failures: int = 0
    num_texts: int = 0
    num_batches: int = 0
    num_pending: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    tokens: dict[str, int] = field(default_factory=dict)
