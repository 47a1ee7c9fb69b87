"""Owns what a bundle has to be for it to become a version, and its way into one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from serve.artefacts.parts import MAX_GRAPH_BYTES
from serve.artefacts.signature import SIGNATURE, read_key
from serve.bundle import LABELS, MANIFEST, TOKENIZER, Bundle, Manifest, read_file, sha256
from serve.decode.decoding import DECODING
from serve.encoder_graph import TENSORRT_GRAPH, encoder_graph, read_encoder_graph
from serve.errors import BundleError, DataError, GraphError, needing
from serve.triton.names import MODEL, PUBLIC_KEY
from serve.versions.folders import add_model_file, pinned_key, version_folder, write_file
from serve.versions.plans import add_plan
from serve.versions.probes import LINES


def check_version(folder: Path, public_key: Path | None = None) -> str:
    """Check every file of a bundle that serving reads, and that each graph runs with its labels.

    A graph that needs a GPU is not run where there is none.

    Returns:
        SHA-256 of its manifest, which vouches for all of it.

    Raises:
        BundleError: Naming the first file that is not as the manifest says, the labels if they are
            not as many as the logits, or the signature if it is not of the key.
    """
    bundle = Bundle.load(folder, public_key=public_key)
    for name, content in _graphs(bundle):
        _check_runs(bundle, name, content)
    return manifest_digest(folder)


def check_files(folder: Path, public_key: Path | None = None) -> None:
    """Check every file of a bundle that serving reads, and run nothing.

    Raises:
        BundleError: Naming the first file that is not as the manifest says.
    """
    bundle = Bundle.load(folder, public_key=public_key)
    bundle.encoder()
    for _ in _graphs(bundle):
        pass


def fill(
    staging: Path, bundle: Path, digest: str, public_key: Path | None, plan: Path | None = None
) -> None:
    """Write a bundle's files into a version in the making, and check what was written.

    Args:
        staging: The folder of the version.
        bundle: The bundle.
        digest: What `check_version` said of it.
        public_key: File of the key that must have signed it, if any.
        plan: The TensorRT plan of its graph, if any.

    Raises:
        BundleError: If a file is not as the manifest says, the bundle was changed meanwhile, or the
            plan cannot be read.
    """
    manifest = Bundle.load(bundle, public_key=public_key).manifest
    for name in _names(bundle, manifest):
        (staging / name).parent.mkdir(exist_ok=True)
        (staging / name).write_bytes(read_file(bundle / name, MAX_GRAPH_BYTES))
    check_files(staging, public_key)  # not what was meant
    if manifest_digest(staging) != digest:
        raise BundleError(f"{bundle}: expected it to stay as it was checked; publish it again")
    add_plan(staging, plan)
    add_model_file(staging, "serve.triton.model")


def manifest_digest(folder: Path) -> str:
    """Return the SHA-256 of a version's manifest.

    Raises:
        BundleError: If it cannot be read.
    """
    return sha256(read_file(folder / MANIFEST, MAX_GRAPH_BYTES))


def agreed_key(repository: Path, public_key: Path | None) -> Path | None:
    """Return the key whose signature a version needs: the repository's, or else the caller's.

    Raises:
        BundleError: If the repository has another than the caller's.
    """
    pinned = pinned_key(repository / MODEL)
    if pinned is None:
        return public_key
    if public_key and read_key(public_key) != read_key(pinned):
        raise BundleError(
            f"{pinned}: expected the key {public_key}, got another; publish with that one, or "
            "remove the file and the versions signed with it"
        )
    return pinned


def check_pinnable(repository: Path, public_key: Path | None, versions: Iterable[int]) -> None:
    """Refuse to pin a key while versions that go on serving are not signed with it.

    They could not be loaded again, by a server that starts or one that is told of a new version.

    Raises:
        BundleError: If one is not.
    """
    if public_key is None or pinned_key(repository / MODEL):
        return
    for version in versions:
        folder = version_folder(repository, version)
        try:
            Bundle.load(folder, public_key=public_key)
        except BundleError as error:
            raise BundleError(
                f"{folder}: expected what goes on serving to be signed with {public_key}, got a "
                "version that is not; stop the servers and publish with --promote"
            ) from error


def pin_key(repository: Path, public_key: Path | None) -> None:
    """Let the repository take and serve only what is signed with a key, from now on."""
    if public_key and not pinned_key(repository / MODEL):
        write_file(repository / MODEL, PUBLIC_KEY, read_key(public_key))


def _names(bundle: Path, manifest: Manifest) -> Iterator[str]:
    yield from (MANIFEST, LABELS, TOKENIZER, *(graph.file for graph in manifest.graphs))
    if os.path.lexists(bundle / SIGNATURE):
        yield SIGNATURE
    yield from (name for name in (DECODING, TENSORRT_GRAPH) if name in manifest.files)


def _graphs(bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    """Yield each graph that serving may run, checked."""
    for graph in bundle.manifest.graphs:
        yield graph.file, bundle.read_graph(graph)
    if TENSORRT_GRAPH in bundle.manifest.files:
        yield TENSORRT_GRAPH, read_encoder_graph(bundle)


def _check_runs(bundle: Bundle, name: str, content: bytes) -> None:
    """Run a graph on the CPU, whatever it is meant for, if any but a GPU can.

    It tags the lines that the supervisor will ask for, each by itself and all together, with
    padding.

    Raises:
        BundleError: If it does not, or scores another number of tags than there are; or if ONNX
            Runtime is not installed.
    """
    # Late: a machine that publishes has ONNX Runtime, one that tags may not.
    with needing("the package onnxruntime to try it", "cpu", BundleError, at=bundle.folder / name):
        from serve.session import OrtBackend, trial_provider
        from serve.tagger import Tagger

    graph = encoder_graph(bundle.manifest)
    ids = graph.ids if name == graph.file else "int64"
    info = next((info for info in bundle.manifest.graphs if info.file == name), None)
    mixed = info is not None and info.precision.needs_cuda
    if (provider := trial_provider(needs_cuda=mixed)) is None:
        return
    encoder = bundle.encoder()
    try:
        backend = OrtBackend(content, provider=provider, ids=ids, cuda_graphs=False)
        bundle.check_num_tags(backend.num_tags, name)
        tagger = Tagger(
            encoder, bundle.tags, backend, decoding=bundle.decoding, mixed=mixed,
            alone=info is not None and info.alone,
        )  # fmt: skip
        for texts in (LINES, *([line] for line in LINES)):
            tagger.tag(texts)
    except (GraphError, DataError) as error:
        raise BundleError(f"{bundle.folder / name}: {error}") from error
