"""Owns writing a bundle: whole or not at all.

Everything is written into a folder beside the target, which then takes the target's place. A folder
that is not a bundle is never replaced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from types import MappingProxyType

from export.checkpoint import Checkpoint
from export.snapshot import OPTIONAL
from serve.artefacts.pretrained import CONFIG
from serve.artefacts.signature import SIGNATURE
from serve.bundle import (
    LABELS,
    MANIFEST,
    TOKENIZER,
    Bundle,
    GraphInfo,
    Manifest,
    Precision,
    sha256,
)
from serve.encoder_graph import TENSORRT
from serve.errors import BundleError
from serve.files import remains, replacing
from serve.places import check_place

GRAPH_FILES = {
    Precision.FP32: "model.onnx",
    Precision.FP16: "model_fp16.onnx",
    Precision.PACKED: "model_packed.onnx",
    Precision.INT8: "model_int8.onnx",
}
REPORTS = ("report.html", "report.json")
_PACKAGES = ("linetag", "torch", "transformers", "onnx", "optimum", "tokenizers", "numpy")


@dataclass(frozen=True, slots=True, eq=False)
class GraphFile:
    """A graph that passed the gate.

    Attributes:
        info: What the manifest says of it.
        content: The ONNX file, weights included.
    """

    info: GraphInfo
    content: bytes


def check_replaceable(target: Path) -> None:
    """Refuse a target that cannot be written, or that exists and is no bundle of ours.

    Raises:
        BundleError: Naming the target.
    """
    check_place(target, BundleError)
    if not target.exists():
        return
    left = remains(target / SIGNATURE)  # of a signer that was killed
    names = {path.name for path in target.iterdir()} - {path.name for path in left}
    settings = {MANIFEST, SIGNATURE, LABELS, TOKENIZER, CONFIG, *OPTIONAL}
    ours = {*settings, TENSORRT, *REPORTS, *GRAPH_FILES.values()}
    foreign = names - ours
    if names and (foreign or MANIFEST not in names):
        raise BundleError(
            f"{target}: expected a bundle to replace or nothing, got {min(foreign or names)!r}; "
            "it is left alone, name another folder with --output"
        )


def write_bundle(
    target: Path,
    checkpoint: Checkpoint,
    graphs: Sequence[GraphFile],
    source: dict[str, str | int],
    extras: Mapping[str, bytes] = MappingProxyType({}),
) -> Bundle:
    """Write a bundle and load it back, checked.

    Args:
        target: Where it goes; a bundle there is replaced.
        checkpoint: What the graphs were made from.
        graphs: The graphs that passed the gate, FP32 first.
        source: What the manifest says of the origin.
        extras: Further files that the runtime does not read, by their path in the bundle.

    Raises:
        BundleError: If the target is something else, or the bundle does not load.
    """
    labels = json.dumps({"tags": checkpoint.tags.names}, ensure_ascii=False).encode()
    files = {LABELS: labels, **checkpoint.snapshot.copied, **extras}
    manifest = Manifest(
        max_tokens=checkpoint.encoder.max_tokens,
        pad_id=checkpoint.encoder.pad_id,
        graphs=tuple(graph.info for graph in graphs),
        files={name: sha256(content) for name, content in files.items()},
        source=source,
        versions=package_versions(),
    )
    check_replaceable(target)
    with replacing(target) as staging:
        for name, content in files.items():
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).write_bytes(content)
        for graph in graphs:
            (staging / graph.info.file).write_bytes(graph.content)
        (staging / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        bundle = Bundle.load(staging)
        for graph in graphs:
            bundle.read_graph(graph.info)
    return Bundle.load(target)


def package_versions() -> dict[str, str]:
    """Return the version of Python and of each package that had a hand in a bundle."""
    import onnxruntime as ort  # onnxruntime-gpu has another name in the metadata

    packages = {name: version(name) for name in _PACKAGES}
    return {**packages, "onnxruntime": ort.__version__, "python": python_version()}
