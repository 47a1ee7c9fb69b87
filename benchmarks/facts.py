"""Owns what is said of a system that is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """What a system is.

    Attributes:
        name: Short and unique.
        what: One phrase for those who would rebuild it.
        precision: Number format of its weights, read back.
        provider: What runs it, read back.
        offline_batch_size: Texts it runs together offline; None where it decides by itself.
    """

    name: str
    what: str
    precision: str
    provider: str
    offline_batch_size: int | None = None
