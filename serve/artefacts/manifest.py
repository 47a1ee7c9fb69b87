"""Owns the manifest: what each file of a bundle is, where it comes from, and the names it may have.

It holds the SHA-256 of every other file, and of itself without that one line. A name in it is that
of a file in the bundle: it has no path out of it, and a graph's ends in `.onnx`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from serve.encoding import MIN_TOKENS
from serve.limits import MAX_CHARS, check_name
from serve.records import read_record

FORMAT = 2
GRAPH_SUFFIX = ".onnx"


class Precision(StrEnum):
    """Number format of a graph's weights and matrix products; PACKED is FP16 without padding."""

    FP32 = "fp32"
    FP16 = "fp16"
    PACKED = "packed"
    INT8 = "int8"

    @property
    def needs_cuda(self) -> bool:
        """Whether no other provider has the operators of such a graph."""
        return self is Precision.PACKED


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
            a paired bootstrap over the dev lines' texts, in points (1 point = 0.01).
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
        """Refuse a file outside the bundle, or one that is something else there.

        Raises:
            ValueError: If `file` is no name of a graph.
        """
        check_file_name(self.file)
        if not self.file.endswith(GRAPH_SUFFIX):
            raise ValueError(f"expected a graph's name to end in {GRAPH_SUFFIX}, got {self.file!r}")


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
        """Refuse numbers no model has, and names that lead out of the bundle.

        Raises:
            ValueError: If there is no graph or two of one name, `max_tokens` fits no text, `pad_id`
                is negative, or a part of a file's path is no name.
        """
        if not self.graphs:
            raise ValueError("expected graphs, got none")
        if len({graph.file for graph in self.graphs}) < len(self.graphs):
            raise ValueError("expected every graph in a file of its own, got two in one")
        for name in self.files:
            for part in name.split("/"):
                check_file_name(part)
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
        found = body.get("format") if isinstance(body, dict) else None
        if found != FORMAT:
            is_newer = isinstance(found, int) and found > FORMAT
            hint = " (upgrade linetag to read it)" if is_newer else ""
            raise ValueError(f"expected a manifest of format {FORMAT}, got {found!r:.20}{hint}")
        claimed = body.pop("sha256", None)
        if claimed != (actual := seal(body)):
            raise ValueError(f"expected SHA-256 {claimed} over its content, got {actual}")
        body.pop("format")
        try:
            return read_record(cls, body)
        except ValueError as error:
            raise ValueError(f"expected a manifest of format {FORMAT}: {error}") from error


def check_file_name(name: str) -> str:
    """Return a name that is one of a file in a folder, and of nothing else.

    Raises:
        ValueError: If it is no such name.
    """
    if name in (".", ".."):
        raise ValueError(f"expected a file name, got {name!r}")
    return check_name(name, "file name")


def seal(body: dict[str, Any]) -> str:
    """Return the SHA-256 of a JSON object in its canonical form."""
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()
