"""Owns what every engine can do: take a batch onto its device, run it, hand the logits back.

The three steps are apart so that an engine's own time can be taken with its inputs already there,
as engines are usually compared; together they are the backend that a tagger runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serve.encoding import EncodedBatch
from serve.errors import TaggingError


class NotMeasuredError(TaggingError):
    """Something is left out for a good reason: no time, no GPU. Nothing is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What an engine is, read back from what was loaded.

    Attributes:
        provider: What runs it.
        precision: Number format of its weights.
        nodes: Nodes that each provider ran in a profiled run; empty for PyTorch.
        options: Provider options that change what is run, as the session reports them.
    """

    provider: str
    precision: str
    nodes: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """A model on a device."""

    @property
    def facts(self) -> EngineFacts:
        """What it is."""
        ...

    def load(self, batch: EncodedBatch) -> None:
        """Copy a batch to the device and wait for it."""
        ...

    def run(self) -> None:
        """Run the batch that was loaded last, and wait for the end."""
        ...

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Load, run, and copy the scores back. Shape: (B, T, L), float32."""
        ...
