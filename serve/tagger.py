"""Owns the whole way of a text: encode, run a backend, decode. The embedded runtime.

Windows of equal padded length run together, up to `BATCH_TOKENS` tokens at once, so an answer
depends on its own text only and padding never wastes more than `BUCKET - 1` tokens a text.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve.backend import Backend
from serve.bundle import Bundle, GraphInfo, Precision, Provider
from serve.encoding import EncodedText, Encoder, Window, bucket_of
from serve.entities import Entity, decode_entities
from serve.errors import BundleError, GraphError
from serve.labels import Tags
from serve.session import OrtBackend, available_providers

BATCH_TOKENS = 1024
_PREFERENCE = {
    Provider.CUDA: (Precision.FP16, Precision.FP32),
    Provider.CPU: (Precision.INT8, Precision.FP32),
}

logger = logging.getLogger(__name__)


class _Job(NamedTuple):
    """A window and where the logits of its words go."""

    window: Window
    first_row: int


class Tagger:
    """Tags texts with one model.

    Attributes:
        tags: The model's tags.
        graph: The bundle's graph that runs, or None for a backend of the caller's own.
    """

    def __init__(
        self, encoder: Encoder, tags: Tags, backend: Backend, *, graph: GraphInfo | None = None
    ) -> None:
        """Join the three parts of a tagger; `Tagger.load` does it for a bundle."""
        self._encoder = encoder
        self._backend = backend
        self.tags = tags
        self.graph = graph

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        precision: Precision | str | None = None,
        provider: Provider | str | None = None,
        num_threads: int | None = None,
    ) -> Tagger:
        """Load a bundle, checked, with the best graph for the hardware.

        Args:
            folder: The bundle.
            precision: The graph to run; None for the fastest meant for the provider.
            provider: Where to run it; None for CUDA where ONNX Runtime offers it, else CPU.
            num_threads: Threads on the CPU; None for one per available core, at most 4.

        Raises:
            BundleError: If the bundle is missing, damaged, or has no such graph.
            GraphError: If the graph or the provider is not what was asked for.
        """
        bundle = Bundle.load(Path(folder))
        where = Provider(provider) if provider else available_providers()[-1]
        graph = bundle.graph(Precision(precision)) if precision else choose_graph(bundle, where)
        path = bundle.folder / graph.file
        try:
            backend = OrtBackend(bundle.read_graph(graph), provider=where, num_threads=num_threads)
        except GraphError as error:
            raise GraphError(f"{path}: {error}") from error
        if backend.num_tags != len(bundle.tags):
            raise BundleError(
                f"{bundle.folder / 'labels.json'}: expected {backend.num_tags} tags, as many as "
                f"{graph.file}'s logits, got {len(bundle.tags)}; export again"
            )
        logger.info("%s runs %s on %s", path, graph.precision, backend.provider)
        return cls(bundle.encoder(), bundle.tags, backend, graph=graph)

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text, in the order of the text.

        Raises:
            DataError: If a text is too long or not valid Unicode; naming its index.
            TypeError: If `texts` is a string or holds something else than strings.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError("expected a list of strings, got something else in `texts`")
        if not texts:
            return []
        encoded = self._encoder.encode(texts)
        logits = self._word_logits(encoded)
        return list(self._decode(encoded, logits))

    def word_tags(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tag of each word of each text, for token-level reports."""
        encoded = self._encoder.encode(texts)
        best = self._word_logits(encoded).argmax(axis=1).tolist()
        names = iter([self.tags.names[tag] for tag in best])
        return [[next(names) for _ in text.offsets] for text in encoded]

    def _word_logits(self, encoded: Sequence[EncodedText]) -> NDArray[np.float32]:
        """Return the logits of all texts' words, one after the other. Shape: (W, L)."""
        num_words = sum(len(text.offsets) for text in encoded)
        out = np.empty((num_words, len(self.tags)), dtype=np.float32)
        for batch in self._batches(encoded):
            logits = self._backend.logits(self._encoder.collate([job.window for job in batch]))
            for row, (window, first_row) in enumerate(batch):
                tokens = window.first_tokens
                out[first_row : first_row + len(tokens)] = logits[row, tokens]
        return out

    def _batches(self, encoded: Sequence[EncodedText]) -> Iterator[list[_Job]]:
        by_bucket: dict[int, list[_Job]] = defaultdict(list)
        first_row = 0
        for text in encoded:
            for window in text.windows:
                bucket = bucket_of(len(window.input_ids), self._encoder.max_tokens)
                by_bucket[bucket].append(_Job(window, first_row + window.first_word))
            first_row += len(text.offsets)
        for bucket, jobs in by_bucket.items():
            size = max(1, BATCH_TOKENS // bucket)
            for start in range(0, len(jobs), size):
                yield jobs[start : start + size]

    def _decode(
        self, encoded: Sequence[EncodedText], logits: NDArray[np.float32]
    ) -> Iterator[list[Entity]]:
        best = logits.argmax(axis=1).tolist()
        scores = best_probabilities(logits).tolist()
        names = self.tags.names
        row = 0
        for text in encoded:
            end = row + len(text.offsets)
            tags = [names[tag] for tag in best[row:end]]
            yield decode_entities(tags, scores[row:end], text.offsets)
            row = end


def best_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax probability of each row's largest logit. Shape: (W, L) to (W,)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(1.0 / shifted.sum(axis=1), dtype=np.float32)


def choose_graph(bundle: Bundle, provider: Provider) -> GraphInfo:
    """Return the bundle's fastest graph meant for a provider: FP16 on CUDA, INT8 on the CPU.

    Raises:
        BundleError: If there is none, not even FP32.
    """
    have = {graph.precision for graph in bundle.manifest.graphs}
    best = next((precision for precision in _PREFERENCE[provider] if precision in have), None)
    return bundle.graph(best or Precision.FP32)
