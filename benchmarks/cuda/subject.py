"""Owns what is measured: a family with random weights, or a user's checkpoint and its dev lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cuda.variants import Source, Variant
from benchmarks.families import Family, write_random_checkpoint
from benchmarks.texts import sample_words
from benchmarks.workload import lines_of, read_lines
from export.checkpoint import load_checkpoint
from serve.bundle import Bundle, Precision
from serve.errors import BundleError
from serve.examples import Example, read_jsonl


@dataclass(frozen=True, slots=True)
class Subject:
    """A model and the variants of it that are opened together.

    Attributes:
        name: What the table calls it.
        variants: The variants.
        load: Reads it in.
        examples: Labelled lines for the gate on entity F1; none for random weights.
        texts: Lines of its own to tag; none for random weights.
    """

    name: str
    variants: tuple[Variant, ...]
    load: Callable[[], Source]
    examples: tuple[Example, ...] = ()
    texts: tuple[str, ...] = ()


def random_subject(family: Family, variants: tuple[Variant, ...], folder: Path) -> Subject:
    """Return a family with random weights, whose checkpoint is written below a folder once."""

    def load() -> Source:
        path = folder / family.name
        if not path.exists():
            write_random_checkpoint(family, path, sample_words())
        return Source(load_checkpoint(path))

    return Subject(family.name, variants, load)


def trained_subject(checkpoint: Path, bundle: Path | None) -> Subject:
    """Return a user's checkpoint, with the FP16 graph of its bundle where there is one.

    Raises:
        BundleError: If the bundle has no FP16 graph, or was made from another checkpoint.
        CheckpointError: If the checkpoint cannot be loaded.
        DataError: If its lines cannot be read.
    """
    loaded = load_checkpoint(checkpoint)
    graph = None
    if bundle:
        made = Bundle.load(bundle)
        if made.manifest.source.get("checkpoint_sha256") != loaded.snapshot.weights_sha256:
            raise BundleError(
                f"{bundle}: expected a bundle of {checkpoint}, got one of another checkpoint; "
                "export again with python -m export --fp16"
            )
        graph = made.read_graph(made.graph(Precision.FP16))
    examples = tuple(read_jsonl(checkpoint / "dev.jsonl"))
    texts = tuple(read_lines(lines_of(checkpoint)))
    return Subject(checkpoint.name, tuple(Variant), lambda: Source(loaded, graph), examples, texts)
