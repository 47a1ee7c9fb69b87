"""Owns the systems that are compared: text in, entities out, each as its users would run it.

Each says which precision and which device it runs, read back from what was loaded: parameters,
graph nodes and sessions, never the flag that asked for it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import transformers
from transformers.utils import logging as transformers_logging

from benchmarks.facts import Facts
from benchmarks.halting import halt, resume, running
from benchmarks.peer import open_peer
from benchmarks.pipeline import STRATEGY, TASK, PipelineTagger
from benchmarks.precision import precision_of, precision_of_dtype
from benchmarks.triton import start_triton
from export.checkpoint import load_checkpoint
from export.graph import export_graph
from serve.bundle import Bundle, Precision, Provider
from serve.client import Policy, TritonTagger
from serve.entities import AnyTagger, Entity
from serve.repository import publish
from serve.running.graphs import choose_graph
from serve.session import OrtBackend, default_provider
from serve.tagger import Tagger

TIMEOUT_S = 30.0


class System(AnyTagger, Protocol):
    """A way from text to entities."""

    @property
    def facts(self) -> Facts:
        """What it is."""
        ...


class Pipeline(PipelineTagger):
    """Transformers' token-classification pipeline, at its best batch size on these lines."""

    def __init__(self, checkpoint: Path, lines: Sequence[str]) -> None:
        """Load a checkpoint and probe the batch sizes on some of the lines."""
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        pipeline = transformers.pipeline(
            TASK, model=str(checkpoint), dtype="float32", aggregation_strategy=STRATEGY
        )
        super().__init__(pipeline, lines)
        self.facts = Facts(
            "transformers pipeline",
            f'{TASK}, aggregation_strategy="{STRATEGY}"',
            precision_of_dtype(pipeline.model.dtype),
            f"torch {pipeline.model.device}",
            self.batch_size,
        )


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
    """Our Triton on this machine, asked over gRPC.

    Attributes:
        url: Its address, `host:port`.
    """

    def __init__(self, client: TritonTagger, process_group: int) -> None:
        """Take a client of a server that answers, and the server's processes, which are halted."""
        (self.url,) = client.urls
        self._client = client
        self._process_group = process_group
        graph = client.graph()
        what = "over gRPC on loopback; the server's model runs " + graph["file"]
        self.facts = Facts("linetag Triton", what, graph["precision"], graph["provider"])
        halt(process_group)

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text."""
        return self._client.tag(texts)

    def alone(self) -> AbstractContextManager[None]:
        """Let the server run inside the block only: idle, it takes some percent of a core."""
        return running(self._process_group)


def unfused(checkpoint: Path) -> Embedded:
    """Return ONNX Runtime on the checkpoint's graph as PyTorch exports it, FP32.

    It has our encoder, batches and decoder around it: the graph alone makes the difference.
    """
    loaded = load_checkpoint(checkpoint)
    graph = export_graph(loaded).SerializeToString()
    backend = OrtBackend(graph, provider=default_provider())
    tagger = loaded.tagger(backend, provider=backend.provider)
    return Embedded("ONNX Runtime", "PyTorch's export, unfused", tagger, graph=graph)


def served_precision(bundle: Path) -> Precision:
    """Return the precision that Triton takes of a bundle on this machine.

    Raises:
        BundleError: If there is no bundle to read.
    """
    return choose_graph(Bundle.load(bundle), default_provider()).precision


def embedded(bundle: Path, precision: Precision) -> Embedded:
    """Return the bundle's graph of a precision in the embedded tagger.

    The best one here comes as users get it: on a GPU with the packed one, if there is one.
    """
    loaded = Bundle.load(bundle)
    info = loaded.graph(precision)
    is_best = choose_graph(loaded, default_provider()) == info
    tagger = Tagger.load(bundle, precision=None if is_best else precision)
    what = f"embedded, fused, {info.file}"
    return Embedded(f"linetag {precision.upper()}", what, tagger, graph=loaded.read_graph(info))


@contextmanager
def open_served(bundle: Path, *, policy: Policy, is_telling: bool = False) -> Iterator[Served]:
    """Publish a bundle, start a Triton of our own and halt it; leaving the block stops it.

    Args:
        bundle: What to publish.
        policy: Of the client.
        is_telling: See `start_triton`.

    Raises:
        TaggingError: If the bundle or Triton is not as expected.
    """
    with ExitStack() as stack:
        repository = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="linetag-")))
        publish(bundle, repository)
        server = stack.enter_context(start_triton(repository, is_telling=is_telling))
        client = stack.enter_context(TritonTagger(server.url, policy=policy))
        served = Served(client, server.state.pid)
        stack.callback(resume, server.state.pid)  # it must hear the stop
        yield served


@contextmanager
def open_systems(
    checkpoint: Path, bundle: Path, lines: Sequence[str], *, optimum: bool
) -> Iterator[list[System]]:
    """Load the systems, the pipeline first; leaving stops Triton, and optimum if it was asked for.

    Raises:
        TaggingError: If a checkpoint, bundle, graph or Triton is not as expected.
    """
    fast = Precision.FP16 if default_provider() is Provider.CUDA else Precision.INT8
    with ExitStack() as stack:
        ours = [embedded(bundle, Precision.FP32), embedded(bundle, fast)]
        served = stack.enter_context(open_served(bundle, policy=Policy(deadline_s=TIMEOUT_S)))
        plain = unfused(checkpoint)  # first: it checks the checkpoint, which the pipeline trusts
        # Their best batch sizes are probed one after the other: each has the machine to itself.
        peers = [stack.enter_context(open_peer(checkpoint, lines))] if optimum else []
        yield [Pipeline(checkpoint, lines), *peers, plain, *ours, served]
