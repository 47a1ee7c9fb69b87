"""Owns the versions of the model `encoder`, which are made of the tagger's and nothing else.

Each has the graph, and the TensorRT plan where the tagger's has one.

One configuration serves versions of one shape: as many tags, the same inputs. The stable version's
shape is the one; versions of another have no encoder, and a Triton that calls it refuses them. An
embedded tagger serves them all the same.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from serve.bundle import Bundle
from serve.encoder_graph import own_name, read_encoder_graph
from serve.errors import BundleError
from serve.triton.encoder_config import HEADER, EncoderShape, encoder_texts, marks
from serve.triton.names import ENCODER, ENCODER_FILE
from serve.versions.folders import (
    add_model_file,
    clear,
    put,
    remove,
    staged,
    version_folder,
    versions_in,
    write_file,
)
from serve.versions.plans import add_plan, plan_of


def settle_encoders(repository: Path, versions: Sequence[int]) -> None:
    """Let there be an encoder for each of the tagger's versions of one shape, and no other.

    Args:
        repository: The repository; its versions were checked.
        versions: Those that are served, the stable one first.

    Raises:
        OSError: If the folder cannot be written.
    """
    model = repository / ENCODER
    model.mkdir(exist_ok=True)
    clear(model)
    bundles = dict(_sound(repository, versions))
    shapes = {version: EncoderShape.of(bundle) for version, bundle in bundles.items()}
    shape = next(iter(shapes.values()), None)
    wanted = [version for version in shapes if shapes[version] == shape]
    for version in versions_in(model):
        if version not in wanted or not _is_made(model / str(version), bundles[version]):
            remove(model / str(version))
    if shape:
        _write_settings(model, shape)
    for version in wanted:
        if not (model / str(version)).exists():
            with staged(model) as staging:
                (staging / ENCODER_FILE).write_bytes(read_encoder_graph(bundles[version]))
                add_plan(staging, plan_of(bundles[version].folder))
                add_model_file(staging, "serve.triton.encoder")
                put(staging, model / str(version))


def _sound(repository: Path, versions: Sequence[int]) -> Iterator[tuple[int, Bundle]]:
    """Yield the versions that are as they were published; a damaged one must not stop the next.

    Whose encoder was made had a sound graph then. It is not read again: a gigabyte takes seconds,
    and the supervisor, which settles before each launch, looks at no other server meanwhile.
    """
    for version in versions:
        with contextlib.suppress(BundleError):
            bundle = Bundle.load(version_folder(repository, version))
            if not _is_made(repository / ENCODER / str(version), bundle):
                read_encoder_graph(bundle)
                plan_of(bundle.folder)
            yield version, bundle


def _is_made(folder: Path, bundle: Bundle) -> bool:
    """Return whether a version of the encoder is there, and its graph has the name it should have.

    Before graphs for TensorRT had names of their own, they were written without.
    """
    name = own_name(bundle.manifest)
    try:
        with (folder / ENCODER_FILE).open("rb") as file:
            file.seek(-len(name), os.SEEK_END)
            return file.read() == name
    except OSError:
        return False


def _write_settings(model: Path, shape: EncoderShape) -> None:
    """Write the settings where they are missing or for another shape; others may be tuned.

    Those of a backend that the shape has none for go, if they are ours: a user's own stay.
    """
    for name, text in encoder_texts(shape).items():
        if not _is_for(shape, _content(model / name)):
            write_file(model, name, text.encode())
    for path in (model / "configs").glob("*.pbtxt"):
        content = _content(path)
        if content.startswith(HEADER) and not _is_for(shape, content):
            path.unlink()


def _is_for(shape: EncoderShape, content: str) -> bool:
    return all(mark in content for mark in marks(shape))


def _content(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(errors="replace")  # a user's own may be in any encoding
    return ""
