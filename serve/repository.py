"""Owns Triton's model repository: a bundle becomes its next version, whole or not at all.

    model_repository/
        tagger/
            config.pbtxt       written where missing, never overwritten
            public_key.pem     if there: whose signature each version needs
            1/                 a version: the bundle's files, and model.py for Triton to find
            .staging-XXXXXX/   a version in the making; Triton takes only numbers for versions

A version is written beside the others under a name Triton ignores, checked there, made durable and
renamed. A crash leaves a staging folder, which the next publication removes. Publications of one
repository wait for each other.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from serve.bundle import LABELS, MANIFEST, TOKENIZER, Bundle
from serve.decoding import DECODING
from serve.errors import BundleError, ServerError
from serve.files import locked, sync, write_durably
from serve.signature import SIGNATURE, read_key
from serve.triton import missing_package
from serve.triton.names import MODEL, PUBLIC_KEY

CONFIG = "config.pbtxt"
STAGING = ".staging-"
MODEL_FILE = "model.py"
MODEL_TEXT = '''"""The model as Triton looks for it, in each version; the code is serve's."""

from serve.triton.model import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


def publish(bundle: Path, repository: Path, *, public_key: Path | None = None) -> int:
    """Put a bundle into a model repository as the next version of the tagger.

    Args:
        bundle: The bundle's folder.
        repository: The repository; made where missing.
        public_key: File of the key that must have signed what the repository serves, from now on;
            None for the key that is there, if any.

    Returns:
        The version.

    Raises:
        BundleError: If the bundle is missing, damaged or not signed with the key asked for, or the
            repository has another key; the repository is as before.
        ServerError: If the repository cannot be written.
    """
    model = repository / MODEL
    names = verify(bundle, _agreed_key(model, public_key))
    try:
        model.mkdir(parents=True, exist_ok=True)
        with locked(model):
            return _publish(bundle, names, model, public_key)
    except OSError as error:
        raise ServerError(f"{model}: expected a writable folder, got {error}") from error


def versions(repository: Path) -> list[int]:
    """Return the published versions, oldest first."""
    return sorted(int(path.name) for path in _numbered(repository / MODEL) if path.is_dir())


def verify(folder: Path, public_key: Path | None = None) -> list[str]:
    """Check every file of a bundle that the runtime reads; return their names.

    Raises:
        BundleError: Naming the first file that is not as the manifest says, or the signature if it
            is not of the key.
    """
    bundle = Bundle.load(folder, public_key=public_key)
    bundle.encoder()
    for graph in bundle.manifest.graphs:
        bundle.read_graph(graph)
    graphs = [graph.file for graph in bundle.manifest.graphs]
    signature = [SIGNATURE] if (folder / SIGNATURE).exists() else []
    decoding = [DECODING] if DECODING in bundle.manifest.files else []
    return [MANIFEST, *signature, LABELS, *decoding, TOKENIZER, *graphs]


def _publish(bundle: Path, names: list[str], model: Path, public_key: Path | None) -> int:
    for leftover in model.glob(f"{STAGING}*"):  # of publications that died
        shutil.rmtree(leftover)
    if not (model / CONFIG).exists():
        write_durably(model / CONFIG, _config_text().encode())
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=model))
    try:
        _fill(staging, bundle, names, _agreed_key(model, public_key))
        if public_key:
            write_durably(model / PUBLIC_KEY, read_key(public_key))
        version = max((int(path.name) for path in _numbered(model)), default=0) + 1
        staging.rename(model / str(version))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    sync(model)
    return version


def _numbered(model: Path) -> list[Path]:
    if not model.is_dir():
        return []
    return [path for path in model.iterdir() if path.name.isdecimal()]


def _agreed_key(model: Path, public_key: Path | None) -> Path | None:
    """Return the key whose signature a version needs: the repository's, or else the caller's."""
    pinned = model / PUBLIC_KEY
    if not os.path.lexists(pinned):
        return public_key
    if public_key and read_key(public_key) != read_key(pinned):
        raise BundleError(
            f"{pinned}: expected the key {public_key}, got another; publish with that one, or "
            "remove the file and the versions signed with it"
        )
    return pinned


def _fill(staging: Path, bundle: Path, names: list[str], key: Path | None) -> None:
    for name in names:
        shutil.copyfile(bundle / name, staging / name)
    verify(staging, key)  # what was written, not what was meant
    (staging / MODEL_FILE).write_text(MODEL_TEXT)
    staging.chmod(0o755)  # mkdtemp's folders are private, and Triton may be another user
    for path in (*staging.iterdir(), staging):
        sync(path)


def _config_text() -> str:
    try:
        from serve.triton.config import config_text
    except ImportError as error:
        raise missing_package(error) from error
    return config_text()
