"""Owns the check of a graph's content: that it is what the manifest says, and that it runs.

ONNX's own checker takes operators of other domains as they are. A graph that needs a GPU is not run
where there is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from export.verification.finding import Check, Finding
from serve.artefacts.onnx_file import check_single_file
from serve.bundle import REMEDY, Bundle, GraphInfo, Provider
from serve.errors import BundleError, GraphError, first_line
from serve.session import OrtBackend, trial_provider
from serve.tensors import LOGITS

PROBES = ("replace pump", "replace leaking hose on left hand pump")  # two lengths: one is padded


def graph_findings(bundle: Bundle, graph: GraphInfo) -> Iterator[Finding]:
    """Yield what is wrong with a graph of a bundle.

    Raises:
        BundleError: If the tokenizer is not as the manifest says.
    """
    path = bundle.folder / graph.file
    try:
        content = bundle.read_graph(graph)
    except BundleError as error:
        yield Finding(Check.GRAPH, str(error))
        return
    problems = list(_problems(content, graph))
    for problem in problems:
        yield Finding(Check.GRAPH, f"{path}: {problem}; {REMEDY}")
    if not problems and (provider := trial_provider(needs_cuda=graph.precision.needs_cuda)):
        yield from _run_findings(bundle, graph, content, provider)


def onnx_problems(content: bytes) -> Iterator[str]:
    """Yield what is wrong with a file as ONNX: parts that lie elsewhere, or its form."""
    try:
        check_single_file(content)  # or the checker would look for them
        model = _parsed(content)
    except (ValueError, GraphError) as error:
        yield str(error)
        return
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        yield f"expected a graph that onnx.checker accepts, got {first_line(error)}"


def _problems(content: bytes, graph: GraphInfo) -> Iterator[str]:
    """Yield what is wrong with a graph before it is run."""
    if problems := list(onnx_problems(content)):
        yield from problems
        return
    model = _parsed(content)
    opset = {entry.domain: entry.version for entry in model.opset_import}.get("")
    if opset != graph.opset:
        yield f"expected opset {graph.opset}, as the manifest says, got {opset}"
    counts = Counter(node.op_type for node in model.graph.node)
    for name, count in graph.operators.items():
        if counts[name] != count:
            yield f"expected {count} nodes {name}, as the manifest says, got {counts[name]}"


def _parsed(content: bytes) -> onnx.ModelProto:
    try:
        return onnx.load_from_string(content)
    except DecodeError as error:
        raise GraphError(f"expected an ONNX graph, got {first_line(error)}") from error


def _run_findings(
    bundle: Bundle, graph: GraphInfo, content: bytes, provider: Provider
) -> Iterator[Finding]:
    """Yield what is wrong with a graph as the runtime runs it."""
    path, encoder = bundle.folder / graph.file, bundle.encoder()
    try:
        backend = OrtBackend(content, provider=provider, cuda_graphs=False)
        bundle.check_num_tags(backend.num_tags, graph.file)
        batch = encoder.collate([w for text in encoder.encode(PROBES) for w in text.windows[:1]])
        logits = backend.logits(batch)
    except BundleError as error:
        yield Finding(Check.LABELS, str(error))
        return
    except GraphError as error:
        yield Finding(Check.GRAPH, f"{path}: {error}; {REMEDY}")
        return
    expected = (*batch.input_ids.shape, len(bundle.tags))
    if logits.shape != expected or not np.isfinite(logits[batch.attention_mask == 1]).all():
        problem = f"expected finite {LOGITS.name} of shape {expected}, got {_described(logits)}"
        yield Finding(Check.GRAPH, f"{path}: {problem}; {REMEDY}")


def _described(logits: NDArray[np.float32]) -> str:
    finite = "finite" if np.isfinite(logits).all() else "NaN or infinite"
    return f"{finite} ones of shape {logits.shape}"
