"""Owns what others' load generators say of the same server: a check on our own clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One run of somebody else's load generator against our server.

    Attributes:
        tool: Whose, and its scenario.
        load: What it asked for.
        lines_per_s: Lines answered per second.
        p50_ms: Latency half of the calls stayed within.
        p90_ms: 90 % of them.
        p99_ms: 99 % of them.
        num_failures: Calls that were not answered.
    """

    tool: str
    load: str
    lines_per_s: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    num_failures: int
