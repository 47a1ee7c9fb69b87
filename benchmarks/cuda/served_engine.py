"""Owns the session that serving runs, as an engine: what a user gets today, without extras."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.cuda.engine import EngineFacts
from benchmarks.precision import precision_of
from serve.bundle import Provider
from serve.encoding import EncodedBatch
from serve.session import OrtBackend


class ServedEngine:
    """A graph in `serve.session`; copies to and from the device are part of its runs."""

    def __init__(self, graph: bytes, *, provider: Provider) -> None:
        """Load a graph.

        Raises:
            GraphError: If it does not run on the provider.
        """
        self._backend = OrtBackend(graph, provider=provider)
        self._batch: EncodedBatch | None = None
        self._precision = precision_of(graph)

    @property
    def facts(self) -> EngineFacts:
        """What it is, CUDA graphs as they are at present: one for each length that has run."""
        return EngineFacts(
            provider=str(self._backend.provider),
            precision=self._precision,
            options={"cuda_graphs": str(len(self._backend.replayed))},
        )

    def load(self, batch: EncodedBatch) -> None:
        """Take a batch; it is copied when it is run."""
        self._batch = batch

    def run(self) -> None:
        """Run the batch that was loaded last.

        Raises:
            ValueError: If none was loaded.
        """
        if self._batch is None:
            raise ValueError("expected a batch to be loaded before a run, got none")
        self._backend.logits(self._batch)

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return the scores. Shape: (B, T, L), float32."""
        return self._backend.logits(batch)
