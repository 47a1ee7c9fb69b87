"""Owns which of a bundle's graphs runs on a provider, and its loading."""

from __future__ import annotations

from serve.bundle import Bundle, GraphInfo, Precision, Provider
from serve.errors import BundleError, GraphError
from serve.running.threads import Threads
from serve.session import OrtBackend

_PREFERENCE = {
    Provider.CUDA: (Precision.FP16, Precision.FP32),
    Provider.CPU: (Precision.INT8, Precision.FP32),
}


def choose_graph(bundle: Bundle, provider: Provider = Provider.CPU) -> GraphInfo:
    """Return the bundle's fastest graph meant for a provider: FP16 on CUDA, INT8 on the CPU."""
    have = {graph.precision for graph in bundle.manifest.graphs}
    best = next((precision for precision in _PREFERENCE[provider] if precision in have), None)
    return bundle.graph(best or Precision.FP32)


def packed_graph(bundle: Bundle, provider: Provider) -> GraphInfo | None:
    """Return the graph that batches with padding take there beside the one chosen, if any."""
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
    try:
        records = not graph.precision.needs_cuda
        backend = OrtBackend(content, provider=provider, threads=threads, cuda_graphs=records)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from error
    if backend.num_tags != len(bundle.tags):
        raise BundleError(
            f"{bundle.folder / 'labels.json'}: expected {backend.num_tags} tags, as many as "
            f"{graph.file}'s logits, got {len(bundle.tags)}; export again with python -m export"
        )
    return backend
