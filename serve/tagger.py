"""Owns the whole way of a text: encode, run a backend, decode. The embedded runtime."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve.backend import Backend
from serve.bundle import Bundle, GraphInfo, Precision, Provider
from serve.decode.decoder import Decoded, Decoder
from serve.decode.decoding import Decoding
from serve.encoding import EncodedText, Encoder, Window
from serve.entities import Entity, decode_entities
from serve.errors import NonFiniteError
from serve.labels import Tags
from serve.running.graphs import choose_graph, load_backends, usual_provider
from serve.running.lanes import TASK_TOKENS, Lanes
from serve.running.schedule import BATCH_TOKENS, GPU_TOKENS, padded_length, plan
from serve.running.threads import MAX_THREADS, Threads, default_num_threads, remembered

logger = logging.getLogger(__name__)


class Tagger:
    """Tags texts with one model. Several threads may call it at once.

    On a CPU a fork's child may go on with it if no thread was tagging at the fork and
    TOKENIZERS_PARALLELISM is not set to true: it runs a single batch on one thread, and has to end
    by `os._exit`, as multiprocessing's do, for ONNX Runtime's exit waits for threads that the child
    does not have. A tagger of the child's own runs on all.

    Attributes:
        encoder: Turns texts into windows.
        tags: The model's tags.
        decoding: How its logits are read.
        graph: The bundle's graph that runs, or None for a backend of the caller's own.
        provider: Where it runs, as the session reports it, or None likewise.
        on_windows: Called, if it is set, with windows that have run together and the number of
            padding tokens that ran beside theirs.
    """

    def __init__(
        self,
        encoder: Encoder,
        tags: Tags,
        backend: Backend,
        *,
        decoding: Decoding | None = None,
        lanes: Lanes | None = None,
        alone: bool = False,
        mixed: bool = False,
        batch_tokens: int | None = None,
        graph: GraphInfo | None = None,
        provider: Provider | None = None,
    ) -> None:
        """Join the parts of a tagger; `Tagger.load` does it for a bundle.

        Args:
            encoder: Turns texts into windows.
            tags: Tags of the backend's logits.
            backend: Scores the tags.
            decoding: How logits are read; None for the largest.
            lanes: Runs several batches at once; None for one after the other on the backend.
            alone: Whether each text must run by itself, see `GraphInfo.alone`.
            mixed: Whether the backend computes no padding, so that texts of any lengths run
                together.
            batch_tokens: Most tokens that run together; None for what suits lanes or provider.
            graph: What `backend` runs.
            provider: Where it runs.
        """
        self.encoder = encoder
        self._backend = backend
        self.decoding = decoding or Decoding()
        self._decoder = Decoder(tags, self.decoding)
        self._lanes = lanes
        self._alone = alone
        self._mixed = mixed
        on_gpu = mixed or provider is Provider.CUDA  # packed graphs run nowhere else
        usual = TASK_TOKENS if lanes else GPU_TOKENS if on_gpu else BATCH_TOKENS
        self._batch_tokens = batch_tokens or usual
        self.tags = tags
        self.graph = graph
        self.provider = provider
        self.on_windows: Callable[[Sequence[Window], int], None] | None = None

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        precision: Precision | str | None = None,
        provider: Provider | str | None = None,
        num_threads: int | None = None,
        public_key: str | Path | None = None,
    ) -> Tagger:
        """Load a bundle, checked, with the best graph for the hardware.

        Args:
            folder: The bundle.
            precision: The graph to run; None for the fastest meant for the provider, on CUDA with
                the packed one, where there is one, for batches with padding.
            provider: Where to run it; None for CUDA where ONNX Runtime offers it, else CPU, where
                INT8 runs always.
            num_threads: Most threads on the CPU; None for what `python -m serve tune` found here,
                or one per available core, at most 4. INT8 takes one thread for a line while that
                is quicker, see `serve.running.quickest`.
            public_key: File of the key that must have signed it; None to take unsigned ones too.

        Raises:
            BundleError: If the bundle is missing, damaged, not signed with the key asked for, or
                has no such graph.
            GraphError: If the graph or the provider is not what was asked for.
            ValueError: If there is no such precision or provider, or number of threads.
        """
        if num_threads is not None and num_threads not in range(1, MAX_THREADS + 1):
            raise ValueError(f"expected 1 to {MAX_THREADS} threads, got num_threads={num_threads}")
        key = None if public_key is None else Path(public_key)
        bundle = Bundle.load(Path(folder), public_key=key)
        asked = None if precision is None else Precision(precision)
        where = usual_provider(asked) if provider is None else Provider(provider)
        graph = bundle.graph(asked) if asked else choose_graph(bundle, where)
        num_lanes = num_threads or default_num_threads()
        threads = (None if num_threads else remembered(graph)) or Threads(num_lanes)
        backends = load_backends(
            bundle, graph, where, threads, num_lanes=num_lanes, alternates=asked is None
        )
        logger.info("%s runs %s on %s, %s", folder, graph.precision, backends.provider, threads)
        return cls(
            bundle.encoder(),
            bundle.tags,
            backends.single,
            decoding=bundle.decoding,
            lanes=backends.lanes,
            alone=graph.alone,
            mixed=backends.mixed,
            graph=graph,
            provider=backends.provider,
        )

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text, in the order of the text.

        Raises:
            DataError: If a text is too long or not valid Unicode; naming its index.
            GraphError: If the graph cannot take what the tokenizer gives; NonFiniteError where it
                overflows.
            TypeError: If `texts` is a string or holds something else than strings.
        """
        texts = _strings(texts)
        if not texts:
            return []
        encoded = self.encoder.encode(texts)
        return list(self._decode(encoded, self.word_logits(encoded)))

    def word_tags(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tag of each word of each text, for token-level reports; raises as `tag`."""
        encoded = self.encoder.encode(_strings(texts))
        best, _ = self._best_tags(encoded, self.word_logits(encoded))
        names = iter([self.tags.names[tag] for tag in best])
        return [[next(names) for _ in text.offsets] for text in encoded]

    def word_logits(self, encoded: Sequence[EncodedText]) -> NDArray[np.float32]:
        """Return the logits of all texts' words, one after the other. Shape: (W, L)."""
        if len(encoded) == 1 and len(encoded[0].windows) == 1:
            return self._only_window(encoded[0].windows[0])
        planned = list(
            plan(
                encoded,
                max_tokens=self.encoder.max_tokens,
                alone=self._alone,
                mixed=self._mixed,
                batch_tokens=self._batch_tokens,
            )
        )
        batches = [self.encoder.collate(batch.windows, batch.num_tokens) for batch in planned]
        if self._lanes and len(batches) > 1:
            results = self._lanes.logits(batches)
        else:
            results = enumerate(map(self._backend.logits, batches))
        num_words = sum(len(text.offsets) for text in encoded)
        out = np.empty((num_words, len(self.tags)), dtype=np.float32)
        for place, logits in results:
            batch = planned[place]
            for row, (window, first) in enumerate(
                zip(batch.windows, batch.first_rows, strict=True)
            ):
                out[first : first + len(window.first_tokens)] = logits[row, window.first_tokens]
            self._tell(batch.windows, batch.num_tokens)
        return out

    def _only_window(self, window: Window) -> NDArray[np.float32]:
        """Return what planning would come to for a single line, which shall not wait for it."""
        num_tokens = padded_length(window, max_tokens=self.encoder.max_tokens, alone=self._alone)
        logits = self._backend.logits(self.encoder.collate([window], num_tokens))
        # Not logits[0, window.first_tokens]: that way through numpy costs a line 10 us more.
        rows: NDArray[np.float32] = logits[0].take(window.first_tokens, axis=0)
        self._tell([window], num_tokens)
        return rows

    def _tell(self, windows: Sequence[Window], num_tokens: int) -> None:
        if not self.on_windows:
            return
        is_packed = self._mixed and len(windows) > 1  # as `UnpaddedBackend` has it
        num_real = sum(len(window.input_ids) for window in windows)
        self.on_windows(windows, 0 if is_packed else len(windows) * num_tokens - num_real)

    def _decode(
        self, encoded: Sequence[EncodedText], logits: NDArray[np.float32]
    ) -> Iterator[list[Entity]]:
        best, scores = self._best_tags(encoded, logits)
        names = self.tags.names
        row = 0
        for text in encoded:
            end = row + len(text.offsets)
            tags = [names[tag] for tag in best[row:end]]
            yield decode_entities(tags, scores[row:end], text.offsets)
            row = end

    def _best_tags(self, encoded: Sequence[EncodedText], logits: NDArray[np.float32]) -> Decoded:
        decoded = self._decoder.decode(logits, [len(text.offsets) for text in encoded])
        if not all(map(isfinite, decoded.scores)):  # a tag there is all the same, but none meant
            raise NonFiniteError(
                "expected finite logits, got NaN or infinity; export the graph again"
            )
        return decoded


def _strings(texts: Iterable[str]) -> list[str]:
    """Return texts, of an iterator, too, which reading them for a check would use up."""
    taken = [] if isinstance(texts, str) else list(texts)
    if isinstance(texts, str) or not all(isinstance(text, str) for text in taken):
        raise TypeError("expected a list of strings, got something else in `texts`")
    return taken
