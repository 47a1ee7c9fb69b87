"""Owns which of a bundle's graphs runs on a provider, and its loading."""

from __future__ import annotations

from dataclasses import dataclass

from serve.backend import Backend
from serve.bundle import Bundle, GraphInfo, Precision, Provider
from serve.errors import GraphError
from serve.running.lanes import Lanes
from serve.running.quickest import QuickestBackend
from serve.running.threads import Threads
from serve.running.unpadded import UnpaddedBackend
from serve.session import OrtBackend, default_provider

_PREFERENCE = {
    Provider.CUDA: (Precision.FP16, Precision.FP32),
    Provider.CPU: (Precision.INT8, Precision.FP32),
}


def usual_provider(precision: Precision | None) -> Provider:
    """Return where a precision runs if nothing else is asked for: INT8 on the CPU, always."""
    return Provider.CPU if precision is Precision.INT8 else default_provider()


def choose_graph(bundle: Bundle, provider: Provider = Provider.CPU) -> GraphInfo:
    """Return the bundle's fastest graph meant for a provider: FP16 on CUDA, INT8 on the CPU."""
    have = {graph.precision for graph in bundle.manifest.graphs}
    best = next((precision for precision in _PREFERENCE[provider] if precision in have), None)
    return bundle.graph(best or Precision.FP32)


@dataclass(frozen=True, slots=True, eq=False)
class Backends:
    """A graph in ONNX Runtime, in every form that a tagger runs it in.

    Attributes:
        single: Runs one batch.
        lanes: Runs several at once, if it is worth their memory.
        mixed: Whether `single` computes no padding, so that texts of any lengths run together.
        provider: Where they run, as the session reports it.
    """

    single: Backend
    lanes: Lanes | None
    mixed: bool
    provider: Provider


def load_backends(
    bundle: Bundle,
    graph: GraphInfo,
    provider: Provider,
    threads: Threads,
    *,
    num_lanes: int,
    alternates: bool,
) -> Backends:
    """Load a graph in the forms that suit it.

    Args:
        bundle: Its bundle.
        graph: The graph.
        provider: Where to run it.
        threads: Threads inside an operator.
        num_lanes: Lanes of INT8; other graphs have large weights, which a lane would hold again.
        alternates: Whether batches with padding take the packed graph, where there is one.

    Raises:
        BundleError: If a file is not as the manifest says, or scores another number of tags.
        GraphError: If a graph cannot be loaded, or not on that provider.
    """
    content = bundle.read_graph(graph)  # once: the bundle may be replaced while this lives
    backend = load_backend(bundle, graph, content, provider, threads)
    single: Backend = backend
    lanes = None
    if graph.precision is Precision.INT8:
        lane = backend
        if threads.num > 1:
            lane = load_backend(bundle, graph, content, provider, Threads(1))
            single = QuickestBackend(backend, lane)
        lanes = Lanes(lane, num_lanes)
    packed = _packed(bundle, provider) if alternates else None
    if packed:
        content = bundle.read_graph(packed)
        single = UnpaddedBackend(backend, load_backend(bundle, packed, content, provider, threads))
    mixed = bool(packed) or graph.precision is Precision.PACKED
    return Backends(single, lanes, mixed, backend.provider)


def _packed(bundle: Bundle, provider: Provider) -> GraphInfo | None:
    graphs = bundle.manifest.graphs if provider is Provider.CUDA else ()
    return next((graph for graph in graphs if graph.precision is Precision.PACKED), None)


def load_backend(
    bundle: Bundle, graph: GraphInfo, content: bytes, provider: Provider, threads: Threads
) -> OrtBackend:
    """Return one of the bundle's graphs, given its checked bytes, in ONNX Runtime.

    Raises:
        BundleError: If it scores another number of tags than the bundle has.
        GraphError: If it cannot be loaded, or not on that provider.
    """
    path = bundle.folder / graph.file
    if graph.precision.needs_cuda and provider is not Provider.CUDA:
        raise GraphError(
            f"{path}: expected {Provider.CUDA}, which alone has its operators, got {provider}; "
            "take another precision"
        )
    if graph.precision is Precision.INT8 and provider is not Provider.CPU:
        raise GraphError(
            f"{path}: expected {Provider.CPU}, whose operators its gate saw, got {provider}; "
            f"take {Precision.FP16}"
        )
    try:
        records = not graph.precision.needs_cuda
        backend = OrtBackend(content, provider=provider, threads=threads, cuda_graphs=records)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from error
    bundle.check_num_tags(backend.num_tags, graph.file)
    return backend
