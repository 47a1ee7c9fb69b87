"""Owns the way back from a bundle to the checkpoint it was exported from, checked by its hashes."""

from __future__ import annotations

from pathlib import Path

from serve.artefacts.manifest import check_file_name
from serve.artefacts.pretrained import CONFIG, TOKENIZER, WEIGHTS
from serve.bundle import MANIFEST, Bundle, sha256
from serve.decode.decoding import DECODING
from serve.errors import CheckpointError

_RECORDED = {
    "checkpoint_sha256": WEIGHTS,
    "config_sha256": CONFIG,
    "tokenizer_sha256": TOKENIZER,
    "decoding_sha256": DECODING,
}
"""What a manifest says of a checkpoint, and the file it says it of."""


def checkpoint_of(bundle: Bundle, named: Path | None = None) -> Path:
    """Return the folder of the checkpoint that a bundle was exported from.

    Args:
        bundle: The bundle.
        named: Where the checkpoint lies; None for beside the bundle, by the name it had then.

    Raises:
        CheckpointError: If there is none, or a file of it is not the one that was exported.
    """
    source = bundle.manifest.source
    folder = named or _beside(bundle)
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(
            f"{folder}: expected the checkpoint that {bundle.folder} was exported from, got no "
            f"{WEIGHTS}; name its folder with --checkpoint"
        )
    for key, name in _RECORDED.items():
        expected, path = source.get(key), folder / name
        actual = sha256(path.read_bytes()) if path.is_file() else "no file"
        if expected is not None and actual != expected:
            raise CheckpointError(
                f"{path}: expected SHA-256 {expected}, as {bundle.folder / MANIFEST} has it, got "
                f"{actual}; name the checkpoint of this bundle with --checkpoint, or export it anew"
            )
    return folder


def _beside(bundle: Bundle) -> Path:
    try:
        name = check_file_name(str(bundle.manifest.source.get("checkpoint", "")))
    except ValueError as error:
        path = bundle.folder / MANIFEST
        raise CheckpointError(
            f"{path}: {error} as the checkpoint's; name its folder with --checkpoint"
        ) from error
    folder = bundle.folder
    return (folder.parent if folder.name not in ("", "..") else folder.resolve().parent) / name
