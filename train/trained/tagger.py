"""Owns which tagger a folder holds: a checkpoint's in PyTorch, or a bundle's in ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serve.bundle import MANIFEST, Precision
from serve.errors import TaggingError
from serve.tagger import Tagger
from train.trained.model import load_trained


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A tagger and where it comes from.

    Attributes:
        folder: The checkpoint or the bundle.
        runs: What runs it, in a few words.
        tagger: The tagger.
    """

    folder: Path
    runs: str
    tagger: Tagger


def is_bundle(folder: Path) -> bool:
    """Tell whether a folder is a bundle, or else had better be a checkpoint."""
    return (folder / MANIFEST).exists()


def load_tagger(folder: Path, precision: Precision | None = None) -> Loaded:
    """Load the tagger of a checkpoint or of a bundle.

    Args:
        folder: Either.
        precision: A bundle's graph; None for the one that serving takes here.

    Raises:
        TaggingError: If it is neither, or cannot be loaded.
    """
    if is_bundle(folder):
        tagger = Tagger.load(folder, precision=precision)
        graph = tagger.graph.file if tagger.graph else ""
        return Loaded(folder, f"{graph} on {tagger.provider}", tagger)
    if precision is not None:
        raise TaggingError(
            f"{folder}: expected a bundle for --precision {precision}, got none; "
            "export one with python -m export"
        )
    trained = load_trained(folder)
    return Loaded(folder, f"PyTorch on {trained.model.device}", trained.tagger())
