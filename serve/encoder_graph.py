"""Owns which graph of a bundle the model `encoder` runs, where Triton's own backends run graphs.

The graph for TensorRT, where the bundle has one: TensorRT takes nothing of the runtime's fused
operators. Else the FP16 graph, or the FP32 one; INT8 is for CPUs, and those run embedded.

A graph for TensorRT gets a name of its own here. ONNX Runtime finds an engine that it built by the
names of the graph and of what its nodes give, and sees no weights: under the exporter's name,
`main_graph`, the engine of one model answers for the next (microsoft/onnxruntime#6455 and #32254,
both open in 2026-08).
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
    """

    file: str
    precision: Precision
    ids: IdType


def encoder_graph(manifest: Manifest) -> EncoderGraph:
    """Return the graph of a bundle that `encoder` runs."""
    if TENSORRT_GRAPH in manifest.files:
        return EncoderGraph(TENSORRT_GRAPH, Precision.FP16, "int32")
    by_precision = {graph.precision: graph for graph in reversed(manifest.graphs)}
    graph = by_precision.get(Precision.FP16) or manifest.graphs[0]
    return EncoderGraph(graph.file, graph.precision, "int64")


def read_encoder_graph(bundle: Bundle) -> bytes:
    """Return the bytes of the graph that `encoder` runs, checked; they end with `own_name`.

    Raises:
        BundleError: If the file is missing or not as the manifest says.
    """
    name = encoder_graph(bundle.manifest).file
    for graph in bundle.manifest.graphs:
        if graph.file == name:
            return bundle.read_graph(graph)
    return bundle.read_other_graph(name) + own_name(bundle.manifest)


def own_name(manifest: Manifest) -> bytes:
    """Return the bytes that name a graph by its SHA-256; none where it is not for TensorRT.

    They are a `ModelProto.graph` (field 7) with a `name` (2) and nothing else. At the end of the
    file, readers of protobuf merge it into the graph before.
    """
    digest = manifest.files.get(TENSORRT_GRAPH)
    return _field(7, _field(2, f"linetag_{digest[:16]}".encode())) if digest else b""


def _field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf that holds up to 127 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content
