"""Owns the five systems that are compared: text in, entities out, each as its users would run it.

Each says which precision and which device it runs, read back from what was loaded: parameters,
graph nodes and sessions, never the flag that asked for it.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import transformers
from transformers.utils import logging as transformers_logging

from benchmarks.precision import precision_of
from export.checkpoint import load_checkpoint
from export.graph import export_graph
from serve.bundle import Bundle, Precision, Provider
from serve.client import TritonTagger
from serve.entities import AnyTagger, Entity
from serve.repository import publish
from serve.server import start_triton
from serve.session import OrtBackend, default_provider
from serve.tagger import Tagger

BATCH_SIZES = (1, 8, 32, 64)
PROBE_LINES = 64
TIMEOUT_S = 30.0


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


class System(AnyTagger, Protocol):
    """A way from text to entities."""

    @property
    def facts(self) -> Facts:
        """What it is."""
        ...


class Pipeline:
    """Transformers' token-classification pipeline, at its best batch size on these lines."""

    def __init__(self, checkpoint: Path, lines: Sequence[str]) -> None:
        """Load a checkpoint and probe the batch sizes on some of the lines."""
        # Batched, the pipeline turns the tokenizers' threads off for the whole process, ours
        # included, unless the user has spoken; it tokenizes text by text and loses nothing.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._pipeline = transformers.pipeline(
            "token-classification",
            model=str(checkpoint),
            dtype="float32",
            aggregation_strategy="first",
        )
        self._batch_size = 1
        self._batch_size = self._best_batch_size(lines[:PROBE_LINES])

    @property
    def facts(self) -> Facts:
        """What it is."""
        model = self._pipeline.model
        return Facts(
            "transformers pipeline",
            'token-classification, aggregation_strategy="first"',
            str(model.dtype).removeprefix("torch.").replace("float", "fp"),
            f"torch {model.device}",
            self._batch_size,
        )

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text; turning its answers into ours takes a microsecond."""
        if len(texts) == 1:  # a plain string is its fast way for one text
            return [_entities(self._pipeline(texts[0]))]
        answers = self._pipeline(list(texts), batch_size=self._batch_size)
        return [_entities(answer) for answer in answers]

    def _best_batch_size(self, lines: Sequence[str]) -> int:
        seconds: dict[int, float] = {}
        for _ in range(2):  # the first pass warms up; the better of both counts
            for size in BATCH_SIZES:
                self._batch_size = size
                start = time.perf_counter()
                self.tag(lines)
                seconds[size] = min(time.perf_counter() - start, seconds.get(size, float("inf")))
        return min(seconds, key=seconds.__getitem__)


class Embedded:
    """A tagger in this process."""

    def __init__(self, name: str, what: str, tagger: Tagger, *, graph: bytes) -> None:
        """Take a tagger and the graph it runs."""
        self._tagger = tagger
        self.facts = Facts(name, what, precision_of(graph), str(tagger.provider))

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text."""
        return self._tagger.tag(texts)


class Served:
    """Our Triton on this machine, asked over gRPC by one caller."""

    def __init__(self, client: TritonTagger, process_group: int) -> None:
        """Take a client of a server that answers, and the server's processes, which are halted."""
        self._client = client
        self._process_group = process_group
        graph = client.graph()
        what = "one caller on loopback; the server's model runs " + graph["file"]
        self.facts = Facts("linetag Triton", what, graph["precision"], graph["provider"])
        os.killpg(process_group, signal.SIGSTOP)

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text."""
        return self._client.tag(texts)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let the server run inside the block only: idle, it takes some percent of a core."""
        os.killpg(self._process_group, signal.SIGCONT)
        try:
            yield
        finally:
            os.killpg(self._process_group, signal.SIGSTOP)


def awake(system: AnyTagger) -> AbstractContextManager[None]:
    """Keep a system awake that sleeps while others are measured."""
    return system.alone() if isinstance(system, Served) else nullcontext()


def unfused(checkpoint: Path) -> Embedded:
    """Return ONNX Runtime on the checkpoint's graph as PyTorch exports it, FP32.

    It has our encoder, batches and decoder around it: the graph alone makes the difference.
    """
    loaded = load_checkpoint(checkpoint)
    graph = export_graph(loaded).SerializeToString()
    backend = OrtBackend(graph, provider=default_provider())
    tagger = Tagger(loaded.encoder, loaded.tags, backend, provider=backend.provider)
    return Embedded("ONNX Runtime", "PyTorch's export, unfused", tagger, graph=graph)


def embedded(bundle: Path, precision: Precision) -> Embedded:
    """Return the bundle's graph of a precision in the embedded tagger."""
    tagger = Tagger.load(bundle, precision=precision)
    loaded = Bundle.load(bundle)
    info = loaded.graph(precision)
    what = f"embedded, fused, {info.file}"
    return Embedded(f"linetag {precision.upper()}", what, tagger, graph=loaded.read_graph(info))


@contextmanager
def open_systems(checkpoint: Path, bundle: Path, lines: Sequence[str]) -> Iterator[list[System]]:
    """Load the five systems, the pipeline first; leaving stops Triton.

    Raises:
        TaggingError: If a checkpoint, bundle, graph or Triton is not as expected.
    """
    fast = Precision.FP16 if default_provider() is Provider.CUDA else Precision.INT8
    with ExitStack() as stack:
        ours = [embedded(bundle, Precision.FP32), embedded(bundle, fast)]
        repository = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="linetag-")))
        publish(bundle, repository)
        server = stack.enter_context(start_triton(repository))
        client = stack.enter_context(TritonTagger(server.url, timeout_s=TIMEOUT_S))
        served = Served(client, server.state.pid)
        stack.callback(os.killpg, server.state.pid, signal.SIGCONT)  # it must hear the stop
        plain = unfused(checkpoint)  # first: it checks the checkpoint, which the pipeline trusts
        yield [Pipeline(checkpoint, lines), plain, *ours, served]


def _entities(answer: Sequence[Mapping[str, Any]]) -> list[Entity]:
    return [Entity(e["entity_group"], e["start"], e["end"], float(e["score"])) for e in answer]
