"""Owns the order of a verification, and its verdict.

All that can be told is told, not the first thing only; but what rests on something that is not
sound is not looked at: no graph without its tags, no content of a file with another SHA-256.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from export.verification.files import file_findings, strangers
from export.verification.finding import Check, Finding
from export.verification.graphs import graph_findings, onnx_problems
from serve.artefacts.parts import MAX_GRAPH_BYTES, MAX_JSON_BYTES, check_plain, read_plain
from serve.artefacts.signature import SIGNATURE, SIZE_BYTES, check_signature, read_public_key
from serve.bundle import LABELS, MANIFEST, REMEDY, TOKENIZER, Bundle, Manifest, sha256
from serve.decode.decoding import DECODING
from serve.errors import BundleError


class Signature(StrEnum):
    """What is known of a bundle's signature."""

    NONE = "none"
    UNCHECKED = "unchecked"
    VALID = "valid"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found.

    Attributes:
        folder: The bundle.
        findings: What is wrong; empty for a sound bundle.
        signature: What is known of its signature.
        manifest_sha256: SHA-256 of the manifest's bytes.
    """

    folder: Path
    findings: tuple[Finding, ...]
    signature: Signature
    manifest_sha256: str

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify(folder: Path, public_key: Path | None = None) -> Verdict:
    """Check everything in a bundle.

    Args:
        folder: The bundle.
        public_key: File of the key that must have signed it; None to leave a signature unchecked.

    Raises:
        BundleError: If the key cannot be read, or the folder has no manifest to read.
        OSError: If a folder in it cannot be listed.
    """
    content = read_manifest(folder)
    signature, findings = _signature(folder, content, public_key)
    findings += verify_content(folder, content)
    return Verdict(folder, tuple(findings), signature, sha256(content))


def verify_content(folder: Path, content: bytes) -> list[Finding]:
    """Check everything in a bundle but its signature.

    Args:
        folder: The bundle.
        content: Its manifest, as it lies there.

    Raises:
        OSError: If a folder in it cannot be listed.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest.from_json(content.decode())
    except (ValueError, RecursionError) as error:
        return [Finding(Check.MANIFEST, f"{path}: {error}; {REMEDY}")]
    unsound = file_findings(folder, manifest)
    findings = [*unsound.values(), *strangers(folder, manifest)]
    if not {LABELS, TOKENIZER, DECODING} & unsound.keys():
        findings += _bundle_findings(folder, set(unsound))
    return findings


def read_manifest(folder: Path) -> bytes:
    """Return the bytes of a bundle's manifest.

    Raises:
        BundleError: If there is none to read.
    """
    path = folder / MANIFEST
    try:
        return read_plain(path, max_bytes=MAX_JSON_BYTES)
    except OSError as error:
        raise BundleError(
            f"{path}: expected a readable file, got {error.strerror}; name a bundle, or {REMEDY}"
        ) from error


def _signature(
    folder: Path, content: bytes, public_key: Path | None
) -> tuple[Signature, list[Finding]]:
    path = folder / SIGNATURE
    if public_key:
        read_public_key(public_key)  # a bad key is no fault of the bundle
        try:
            check_signature(path, content, public_key)
        except BundleError as error:
            return Signature.INVALID, [Finding(Check.SIGNATURE, str(error))]
        return Signature.VALID, []
    try:
        size_bytes = check_plain(path, max_bytes=SIZE_BYTES).st_size
        got = None if size_bytes == SIZE_BYTES else f"{size_bytes} bytes"
    except FileNotFoundError:
        return Signature.NONE, []
    except OSError as error:
        got = str(error.strerror)
    if got is None:
        return Signature.UNCHECKED, []
    message = f"{path}: expected a signature of {SIZE_BYTES} bytes, got {got}; sign it again, or "
    return Signature.INVALID, [Finding(Check.SIGNATURE, f"{message}remove it")]


def _bundle_findings(folder: Path, unsound: set[str]) -> Iterator[Finding]:
    """Yield what is wrong with the content of the files that are as the manifest names them."""
    try:
        bundle = Bundle.load(folder)
    except BundleError as error:
        yield Finding(Check.LABELS, str(error))
        return
    try:
        bundle.encoder()
    except BundleError as error:
        yield Finding(Check.TOKENIZER, str(error))
        return
    for graph in bundle.manifest.graphs:
        if graph.file not in unsound:
            yield from graph_findings(bundle, graph)
    for name in bundle.manifest.files:
        if name.endswith(".onnx") and name not in unsound:  # for other runtimes
            yield from _other_graph(folder / name)


def _other_graph(path: Path) -> Iterator[Finding]:
    for problem in onnx_problems(read_plain(path, max_bytes=MAX_GRAPH_BYTES)):
        yield Finding(Check.GRAPH, f"{path}: {problem}; {REMEDY}")
