"""Owns Triton's model repository: a bundle becomes its next version, whole or not at all.

    model_repository/
        tagger/
            config.pbtxt       written where missing, never overwritten
            1/                 a version: the bundle's files, and model.py for Triton to find
            .staging-XXXXXX/   a version in the making; Triton takes only numbers for versions

A version is written beside the others under a name Triton ignores, checked there, made durable and
renamed. A crash leaves a staging folder, which the next publication removes. Publications of one
repository wait for each other.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from serve.bundle import LABELS, MANIFEST, TOKENIZER, Bundle
from serve.errors import ServerError
from serve.files import locked, sync, write_durably
from serve.triton import missing_package
from serve.triton.names import MODEL

CONFIG = "config.pbtxt"
STAGING = ".staging-"
MODEL_FILE = "model.py"
MODEL_TEXT = '''"""The model as Triton looks for it, in each version; the code is serve's."""

from serve.triton.model import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


def publish(bundle: Path, repository: Path) -> int:
    """Put a bundle into a model repository as the next version of the tagger.

    Args:
        bundle: The bundle's folder.
        repository: The repository; made where missing.

    Returns:
        The version.

    Raises:
        BundleError: If the bundle is missing or damaged; the repository is as before.
        ServerError: If the repository cannot be written.
    """
    names = verify(bundle)
    model = repository / MODEL
    try:
        model.mkdir(parents=True, exist_ok=True)
        with locked(model):
            return _publish(bundle, names, model)
    except OSError as error:
        raise ServerError(f"{model}: expected a writable folder, got {error}") from error


def versions(repository: Path) -> list[int]:
    """Return the published versions, oldest first."""
    return sorted(int(path.name) for path in _numbered(repository / MODEL) if path.is_dir())


def verify(folder: Path) -> list[str]:
    """Check every file of a bundle; return their names.

    Raises:
        BundleError: Naming the first file that is not as the manifest says.
    """
    bundle = Bundle.load(folder)
    bundle.encoder()
    for graph in bundle.manifest.graphs:
        bundle.read_graph(graph)
    graphs = [graph.file for graph in bundle.manifest.graphs]
    return [MANIFEST, LABELS, TOKENIZER, *graphs]


def _publish(bundle: Path, names: list[str], model: Path) -> int:
    for leftover in model.glob(f"{STAGING}*"):  # of publications that died
        shutil.rmtree(leftover)
    if not (model / CONFIG).exists():
        write_durably(model / CONFIG, _config_text().encode())
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=model))
    try:
        _fill(staging, bundle, names)
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


def _fill(staging: Path, bundle: Path, names: list[str]) -> None:
    for name in names:
        shutil.copyfile(bundle / name, staging / name)
    verify(staging)  # what was written, not what was meant
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
