"""Owns what a checkpoint's files held when its export began, and the refusal if they change.

An export takes minutes, and training may put another checkpoint in the same place meanwhile. So
what is copied is read once, and the weights, which PyTorch keeps on the disk until it needs them,
are hashed before they are loaded and again before the bundle is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serve.artefacts.parts import unlinked
from serve.artefacts.pretrained import (
    CONFIG,
    INDEX,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    Pretrained,
)
from serve.bundle import sha256
from serve.decode.decoding import DECODING
from serve.errors import CheckpointError

OPTIONAL = (TOKENIZER_CONFIG, DECODING)
"""Files a checkpoint may lack: many have no tokenizer_config.json, and loaders then go by the
model's configuration; without a decoding the largest logit counts."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the files of a checkpoint held at one time.

    Attributes:
        folder: Where it lies.
        copied: The files that go into a bundle as they are, by name. The runtime needs no
            configuration, but Hugging Face's loaders do, optimum's among them.
        weights_sha256: Of its weights; where they are in parts, of their index and all parts, one
            after the other.
    """

    folder: Path
    copied: Mapping[str, bytes]
    weights_sha256: str

    @classmethod
    def take(cls, folder: Path) -> Snapshot:
        """Read the files of a checkpoint.

        Raises:
            CheckpointError: If one is missing, cannot be read, is a link, or too large.
        """
        files = Pretrained(folder)
        for name in (CONFIG, WEIGHTS, TOKENIZER):
            if not (files.has(name) or (name == WEIGHTS and files.has(INDEX))):
                raise CheckpointError(
                    f"{folder / name}: expected a file of the checkpoint, got none; "
                    "train one with python -m train"
                )
        names = (TOKENIZER, CONFIG, *filter(files.has, OPTIONAL))
        copied = {name: files.read(name) for name in names}
        digest = hashlib.sha256()
        for name in files.weights():  # refuses those that are unsafe to open
            with unlinked(folder / name).open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
        return cls(folder, copied, digest.hexdigest())

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file, by its name."""
        copied = {name: sha256(content) for name, content in self.copied.items()}
        return {**copied, WEIGHTS: self.weights_sha256}

    def check_unchanged(self) -> None:
        """Refuse a checkpoint that is another by now.

        Raises:
            CheckpointError: Naming a file that changed, came or went.
        """
        before, after = self.digests(), Snapshot.take(self.folder).digests()
        for name in sorted(before.keys() | after.keys()):
            check_same(self.folder / name, before.get(name), after.get(name))


def check_same(path: Path, before: str | None, after: str | None) -> None:
    """Refuse a file that is not what it was.

    Args:
        path: The file.
        before: Its SHA-256 when the export began; None if there was none.
        after: Its SHA-256 now.

    Raises:
        CheckpointError: If they differ.
    """
    if before != after:
        raise CheckpointError(
            f"{path}: expected SHA-256 {before or 'of no file'}, got {after or 'no file'}: it was "
            "changed while it was exported; export again"
        )
