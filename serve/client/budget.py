"""Owns how many retries a client may still make.

A bucket: every request puts a share of a retry into it, every retry takes a whole one out, and it
holds a few for the moment when a server dies with many requests under way. A retry that is set
aside while a try is under way, and not made, comes back.
"""

from __future__ import annotations


class RetryBudget:
    """The bucket of one client; whoever calls holds its lock."""

    def __init__(self, share: float, reserve: int) -> None:
        """Fill the bucket.

        Args:
            share: Of a retry, that each request earns.
            reserve: Whole retries the bucket holds.
        """
        self._share = share
        self._reserve = reserve
        self._balance = float(reserve)

    def earn(self) -> None:
        """Count a request."""
        self._balance = min(self._reserve, self._balance + self._share)

    def spend(self) -> bool:
        """Take a retry out; return whether there was one."""
        if self._balance < 1:
            return False
        self._balance -= 1
        return True

    def refund(self) -> None:
        """Put back a retry that was taken out and not made."""
        self._balance = min(self._reserve, self._balance + 1)
