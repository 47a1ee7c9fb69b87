"""Owns the bundle: the folder export writes and the runtime loads, and the checks in between.

    build/bundle/
        manifest.json      what each file is, its SHA-256, parity and F1 figures, versions
        labels.json        the tags, in the order of the logits
        decoding.json      how logits become tags, where not plain; see `serve.decode.decoding`
        tokenizer.json     the tokenizer, Hugging Face form
        config.json        the model's configuration, and tokenizer_config.json the tokenizer's: for
                           Hugging Face's loaders, unused here
        model.onnx         FP32 graph; model_fp16.onnx, model_packed.onnx, model_int8.onnx beside it
        manifest.sig       signature of the manifest, where somebody signed it

A file is hashed as it is read, so the bytes that were checked are the bytes that are used. This
finds damage and careless edits; against intent there is the signature, see
`serve.artefacts.signature`. What the files cannot do in any case is lead out of the folder: names
have no paths, links are not followed, and a graph is one file. What a graph takes of memory and of
time is no part of that: a kilobyte of the operators that every graph here has can ask for gigabytes
as it is loaded, so whose it is has to be known, and the signature says it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from serve.artefacts.manifest import GraphInfo, Manifest, Precision, Provider, seal, sha256
from serve.artefacts.onnx_file import check_single_file
from serve.artefacts.parts import MAX_GRAPH_BYTES, MAX_JSON_BYTES, MAX_TOKENIZER_BYTES, read_plain
from serve.artefacts.signature import SIGNATURE, check_signature
from serve.artefacts.tokenizer_file import read_tokenizer
from serve.decode.decoding import DECODING, Decoding
from serve.encoding import Encoder
from serve.errors import BundleError
from serve.labels import Tags

__all__ = [
    "LABELS",
    "MANIFEST",
    "REMEDY",
    "TOKENIZER",
    "Bundle",
    "GraphInfo",
    "Manifest",
    "Precision",
    "Provider",
    "read_file",
    "seal",
    "sha256",
]
MANIFEST, LABELS, TOKENIZER = "manifest.json", "labels.json", "tokenizer.json"
REMEDY = "export again with python -m export"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose manifest, tags and tokenizer were checked.

    Attributes:
        folder: Where it lies.
        manifest: Its manifest.
        tags: The tags of its logits.
        decoding: How its logits are read.
    """

    folder: Path
    manifest: Manifest
    tags: Tags
    decoding: Decoding

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
        content = read_file(path, MAX_JSON_BYTES)
        if public_key is not None:  # before anything else is made of the content
            check_signature(folder / SIGNATURE, content, public_key)
        try:
            manifest = Manifest.from_json(content.decode())
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{path}: {error}; {REMEDY}") from error
        path = folder / LABELS
        try:
            tags = Tags(tuple(json.loads(_checked(path, manifest.files, MAX_JSON_BYTES))["tags"]))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise BundleError(f"{path}: {error}; {REMEDY}") from error
        return cls(folder, manifest, tags, _decoding(folder / DECODING, manifest, len(tags)))

    def encoder(self) -> Encoder:
        """Return the bundle's encoder.

        Raises:
            BundleError: If the tokenizer is missing, damaged or not one this code can use.
        """
        path = self.folder / TOKENIZER
        try:
            content = _checked(path, self.manifest.files, MAX_TOKENIZER_BYTES)
            tokenizer = read_tokenizer(content)
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

    def check_num_tags(self, num_tags: int, file: str) -> None:
        """Refuse a graph that scores another number of tags than there are.

        Raises:
            BundleError: Naming the graph's file.
        """
        if num_tags != len(self.tags):
            raise BundleError(
                f"{self.folder / LABELS}: expected {num_tags} tags, as many as {file}'s logits, "
                f"got {len(self.tags)}; {REMEDY}"
            )

    def read_graph(self, graph: GraphInfo) -> bytes:
        """Return a graph's bytes after checking them.

        Raises:
            BundleError: If the file is missing, its SHA-256 is not the manifest's, or a part of the
                graph lies elsewhere.
        """
        path = self.folder / graph.file
        if not 0 < graph.size_bytes < MAX_GRAPH_BYTES:
            raise BundleError(
                f"{self.folder / MANIFEST}: expected {graph.file} to have up to "
                f"{MAX_GRAPH_BYTES:,} bytes, got {graph.size_bytes:,}; {REMEDY}"
            )
        content = _checked(path, {graph.file: graph.sha256}, graph.size_bytes)
        return _single_file(path, content)

    def read_other_graph(self, name: str) -> bytes:
        """Return the bytes of a graph for other runtimes, by its path in the bundle.

        Raises:
            BundleError: As `read_graph` does.
        """
        path = self.folder / name
        if path.parent.is_symlink():
            raise BundleError(f"{path}: expected a file in the bundle, got a link; {REMEDY}")
        content = _checked(path, {path.name: self.manifest.files.get(name, "")}, MAX_GRAPH_BYTES)
        return _single_file(path, content)


def _single_file(path: Path, content: bytes) -> bytes:
    try:
        check_single_file(content)
    except ValueError as error:
        raise BundleError(f"{path}: {error}; {REMEDY}") from error
    return content


def _decoding(path: Path, manifest: Manifest, num_tags: int) -> Decoding:
    """Return the decoding a manifest names, the plain one if it names none."""
    if path.name not in manifest.files:
        return Decoding()
    try:
        content = _checked(path, manifest.files, MAX_JSON_BYTES).decode()
        return Decoding.from_json(content, num_tags=num_tags)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: {error}; {REMEDY}") from error


def read_file(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a bundle's file, unchecked.

    Raises:
        BundleError: If it cannot be read, or is none that a bundle may hold.
    """
    try:
        return read_plain(path, max_bytes=max_bytes)
    except OSError as error:
        message = f"{path}: expected a readable file, got {error.strerror}; {REMEDY}"
        raise BundleError(message) from error


def _checked(path: Path, digests: dict[str, str], max_bytes: int) -> bytes:
    content = read_file(path, max_bytes)
    expected, actual = digests.get(path.name), sha256(content)
    if actual != expected:
        raise BundleError(f"{path}: expected SHA-256 {expected}, got {actual}; {REMEDY}")
    return content
