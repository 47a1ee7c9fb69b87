"""Owns which graph of a bundle the model `encoder` runs, where Triton's own backends run graphs.

The graph for TensorRT, where the bundle has one: TensorRT takes nothing of the runtime's fused
operators. Else the FP16 graph, or the FP32 one; INT8 is for CPUs, and those run embedded.
"""

from __future__ import annotations

from dataclasses import dataclass

from serve.bundle import Bundle, Manifest, Precision
from serve.tensors import IdType

TENSORRT = "tensorrt"
"""Folder in a bundle of what `python -m export --tensorrt` adds."""
TENSORRT_GRAPH = f"{TENSORRT}/model_fp16.onnx"


@dataclass(frozen=True, slots=True)
class EncoderGraph:
    """A graph that is served as token ids to logits.

    Attributes:
        file: Its name in the bundle.
        precision: Its number format.
        ids: Element type of its inputs; that for TensorRT takes int32.
        is_for_tensorrt: Whether TensorRT takes all of it.
    """

    file: str
    precision: Precision
    ids: IdType
    is_for_tensorrt: bool


def encoder_graph(manifest: Manifest) -> EncoderGraph:
    """Return the graph of a bundle that `encoder` runs."""
    if TENSORRT_GRAPH in manifest.files:
        return EncoderGraph(TENSORRT_GRAPH, Precision.FP16, "int32", is_for_tensorrt=True)
    by_precision = {graph.precision: graph for graph in reversed(manifest.graphs)}
    graph = by_precision.get(Precision.FP16) or manifest.graphs[0]
    return EncoderGraph(graph.file, graph.precision, "int64", is_for_tensorrt=False)


def read_encoder_graph(bundle: Bundle) -> bytes:
    """Return the bytes of the graph that `encoder` runs, checked.

    Raises:
        BundleError: If the file is missing or not as the manifest says.
    """
    name = encoder_graph(bundle.manifest).file
    for graph in bundle.manifest.graphs:
        if graph.file == name:
            return bundle.read_graph(graph)
    return bundle.read_other_graph(name)
