"""Owns the bundle: the folder export writes and the runtime loads, and the checks in between.

    build/bundle/
        manifest.json      what each file is, its SHA-256, parity and F1 figures, versions
        labels.json        the tags, in the order of the logits
        tokenizer.json     the tokenizer, Hugging Face form
        config.json        the model's configuration, and tokenizer_config.json the tokenizer's: for
                           Hugging Face's loaders, unused here
        model.onnx         FP32 graph; model_fp16.onnx and model_int8.onnx beside it
        manifest.sig       signature of the manifest, where somebody signed it

The manifest holds the SHA-256 of every other file, and of itself without that one line. A file is
hashed as it is read, so the bytes that were checked are the bytes that are used. This finds damage
and careless edits; against intent there is the signature, see `serve.signature`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from serve.encoding import MIN_TOKENS, Encoder
from serve.errors import BundleError
from serve.labels import Tags
from serve.limits import MAX_CHARS
from serve.records import read_record
from serve.signature import SIGNATURE, check_signature

MANIFEST, LABELS, TOKENIZER = "manifest.json", "labels.json", "tokenizer.json"
FORMAT = 2
REMEDY = "export again with python -m export"


class Precision(StrEnum):
    """Number format of a graph's weights and matrix products."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class Provider(StrEnum):
    """Execution provider of ONNX Runtime, by its own name."""

    CPU = "CPUExecutionProvider"
    CUDA = "CUDAExecutionProvider"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphInfo:
    """One graph of a bundle and the evidence for it.

    Attributes:
        file: File name in the bundle.
        precision: Number format.
        provider: Provider the graph is meant for.
        measured_on: What ran the graph, or stood in for it, when it was compared and gated.
        sha256: Of the file, in hex.
        size_bytes: Of the file.
        opset: Version of the standard operators.
        operators: Number of nodes of each of ONNX Runtime's own operators: fused or on integers.
        alone: Whether each text must run by itself, unpadded: so it is where the graph quantizes a
            whole tensor with one scale of the moment.
        max_abs_diff: Largest difference of a logit from PyTorch's, over the parity lines.
        tag_agreement: Share of words whose tag equals PyTorch's, in [0, 1].
        f1_before: PyTorch's micro entity F1 on the dev lines, in [0, 1].
        f1_after: The graph's.
        f1_loss_interval_points: Between which losses the true one lies, with 95 % confidence; from
            a paired bootstrap over the dev lines, in points (1 point = 0.01).
        label_f1_loss_points: Loss of each label that the gate looks at; negative for a gain.
        allowed_f1_loss_points: Largest loss the gate allowed, in points.
        allowed_label_f1_loss_points: Largest loss it allowed a label.
        fp32_nodes: Nodes of a reduced graph that measurements left in FP32, by name.
    """

    file: str
    precision: Precision
    provider: Provider
    measured_on: str
    sha256: str
    size_bytes: int
    opset: int
    operators: dict[str, int]
    alone: bool
    max_abs_diff: float
    tag_agreement: float
    f1_before: float
    f1_after: float
    f1_loss_interval_points: tuple[float, float]
    label_f1_loss_points: dict[str, float]
    allowed_f1_loss_points: float
    allowed_label_f1_loss_points: float
    fp32_nodes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a file outside the bundle.

        Raises:
            ValueError: If `file` is no file name.
        """
        if Path(self.file).name != self.file or "\0" in self.file:
            raise ValueError(f"expected a file name, got {self.file!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything needed to load a bundle and to know where it comes from.

    Attributes:
        max_tokens: Longest sequence the model takes, special tokens included.
        pad_id: Token id of padding.
        graphs: The graphs, FP32 first.
        files: SHA-256 of the files that are not graphs, by name.
        source: What the bundle was made from: checkpoint, hashes, number of dev lines.
        versions: Version of each package that had a hand in it.
    """

    max_tokens: int
    pad_id: int
    graphs: tuple[GraphInfo, ...]
    files: dict[str, str]
    source: dict[str, str | int]
    versions: dict[str, str]

    def __post_init__(self) -> None:
        """Refuse numbers no model has.

        Raises:
            ValueError: If there is no graph, `max_tokens` fits no text, or `pad_id` is negative.
        """
        if not self.graphs:
            raise ValueError("expected graphs, got none")
        if not MIN_TOKENS <= self.max_tokens <= MAX_CHARS:
            raise ValueError(
                f"expected max_tokens from {MIN_TOKENS} to {MAX_CHARS}, got {self.max_tokens}"
            )
        if self.pad_id < 0:
            raise ValueError(f"expected a pad_id of 0 or more, got {self.pad_id}")

    def to_json(self) -> str:
        """Return the manifest as sealed JSON text."""
        body: dict[str, Any] = {"format": FORMAT, **asdict(self)}
        return json.dumps({**body, "sha256": seal(body)}, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Parse sealed JSON text.

        Raises:
            ValueError: If the text is no manifest of this format or its seal does not hold.
        """
        body = json.loads(text)
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise ValueError(f"expected a manifest of format {FORMAT}")
        claimed = body.pop("sha256", None)
        if claimed != (actual := seal(body)):
            raise ValueError(f"expected SHA-256 {claimed} over its content, got {actual}")
        body.pop("format")
        try:
            return read_record(cls, body)
        except ValueError as error:
            raise ValueError(f"expected a manifest of format {FORMAT}: {error}") from error


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose manifest, tags and tokenizer were checked.

    Attributes:
        folder: Where it lies.
        manifest: Its manifest.
        tags: The tags of its logits.
    """

    folder: Path
    manifest: Manifest
    tags: Tags

    @classmethod
    def load(cls, folder: Path, *, public_key: Path | None = None) -> Bundle:
        """Open a bundle and check everything but the graphs, which are checked as they are read.

        Args:
            folder: The bundle.
            public_key: File of the key that must have signed it; None to take unsigned ones too.

        Raises:
            BundleError: Naming the file, what was expected and what was found.
        """
        path = folder / MANIFEST
        content = _read(path)
        if public_key is not None:  # before anything else is made of the content
            check_signature(folder / SIGNATURE, content, public_key)
        try:
            manifest = Manifest.from_json(content.decode())
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{path}: {error}; {REMEDY}") from error
        path = folder / LABELS
        try:
            tags = Tags(tuple(json.loads(_checked(path, manifest.files))["tags"]))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise BundleError(f"{path}: {error}; {REMEDY}") from error
        return cls(folder, manifest, tags)

    def encoder(self) -> Encoder:
        """Return the bundle's encoder.

        Raises:
            BundleError: If the tokenizer is missing, damaged or not one this code can use.
        """
        path = self.folder / TOKENIZER
        try:
            tokenizer = Tokenizer.from_str(_checked(path, self.manifest.files).decode())
            manifest = self.manifest
            return Encoder(tokenizer, max_tokens=manifest.max_tokens, pad_id=manifest.pad_id)
        except BundleError:
            raise
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError(f"{path}: expected a tokenizer, got {error}; {REMEDY}") from error

    def graph(self, precision: Precision) -> GraphInfo:
        """Return the graph of a precision.

        Raises:
            BundleError: If the bundle has none.
        """
        for graph in self.manifest.graphs:
            if graph.precision == precision:
                return graph
        have = ", ".join(graph.precision for graph in self.manifest.graphs)
        raise BundleError(
            f"{self.folder}: expected a graph in {precision}, got {have}; export with --{precision}"
        )

    def read_graph(self, graph: GraphInfo) -> bytes:
        """Return a graph's bytes after checking them.

        Raises:
            BundleError: If the file is missing or its SHA-256 is not the manifest's.
        """
        return _checked(self.folder / graph.file, {graph.file: graph.sha256})


def seal(body: dict[str, Any]) -> str:
    """Return the SHA-256 of a JSON object in its canonical form."""
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path}: expected a readable file, got {error.strerror}; {REMEDY}"
        raise BundleError(message) from error


def _checked(path: Path, digests: dict[str, str]) -> bytes:
    content = _read(path)
    expected, actual = digests.get(path.name), sha256(content)
    if actual != expected:
        raise BundleError(f"{path}: expected SHA-256 {expected}, got {actual}; {REMEDY}")
    return content
