"""Owns how many retries a client may still make.

A bucket: every request puts a share of a retry into it, every retry takes a whole one out, and it
holds a few for the moment when a server dies with many requests under way. Retries set aside while
tries are under way stay in it, for most are never made: they bound how many are set aside at once,
but whoever fails first takes them.
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
        self._num_aside = 0

    def earn(self) -> None:
        """Count a request."""
        self._balance = min(self._reserve, self._balance + self._share)

    def set_aside(self) -> bool:
        """Set a retry aside for a try that may need it; return whether there was one."""
        if self._balance - self._num_aside < 1:
            return False
        self._num_aside += 1
        return True

    def put_back(self) -> None:
        """Take that the try is over for which a retry was set aside."""
        self._num_aside -= 1

    def spend(self) -> bool:
        """Take a retry out; return whether there was one."""
        if self._balance < 1:
            return False
        self._balance -= 1
        return True

    def refund(self) -> None:
        """Put back a retry that was taken out and not made."""
        self._balance = min(self._reserve, self._balance + 1)
