"""Owns the checkpoint: the folder training writes and export reads, in Hugging Face form.

    build/checkpoint/
        config.json            the model and its tags, in the order of the logits
        model.safetensors      the weights
        tokenizer.json         the tokenizer; tokenizer_config.json names its special tokens
        decoding.json          how logits become tags, where that is not plain
        dev.jsonl              the dev lines with mapped labels, on which export scores its graphs
        test.jsonl             the test lines, where there are any
        train.jsonl            the train lines: what a later run mixes with new ones
        calibration.jsonl      some of the train lines, on which export calibrates INT8
        evaluation.json        figures on dev and test
        train.json             settings, epochs and versions
        README.md              the model card, for people; curves.png, its picture

It is written beside its place and renamed into it, so that a failure leaves the old one or none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedModel

from serve.artefacts.pretrained import CONFIG, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS
from serve.decode.decoding import DECODING, Decoding
from serve.errors import CheckpointError
from serve.examples import Example, write_jsonl
from serve.files import replacing
from serve.places import check_place
from train.model.base import Base
from train.model.card import CARD, CURVES

TRAIN_LINES, DEV, TEST = "train.jsonl", "dev.jsonl", "test.jsonl"
CALIBRATION, NUM_CALIBRATION_LINES = "calibration.jsonl", 512
EVALUATION, TRAIN = "evaluation.json", "train.json"
FILES = frozenset(
    {CONFIG, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG, DECODING}
    | {TRAIN_LINES, DEV, TEST, CALIBRATION, EVALUATION, TRAIN, CARD, CURVES}
)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        model: The trained model; its configuration names the tags.
        base: Where the tokenizer comes from.
        train_lines: The train lines; an even sample of them is for calibration.
        dev: The dev lines.
        evaluation: Figures, as JSON.
        train: Settings, epochs and versions, as JSON.
        test: The test lines, if any.
        decoding: How its logits are to be read.
        for_people: Files that no program reads, by name: `CARD` and `CURVES`.
    """

    model: PreTrainedModel
    base: Base
    train_lines: Sequence[Example]
    dev: Sequence[Example]
    evaluation: dict[str, Any]
    train: dict[str, Any]
    test: Sequence[Example] = ()
    decoding: Decoding = field(default=Decoding())
    for_people: Mapping[str, bytes] = field(default_factory=dict)


def check_output(
    output: Path,
    kind: str = "a checkpoint",
    files: frozenset[str] = FILES,
    needed: frozenset[str] = frozenset({CONFIG, TRAIN}),
) -> None:
    """Refuse to replace what is not of a kind: a checkpoint, unless told otherwise.

    Args:
        output: What would be replaced.
        kind: What may lie there.
        files: All files that may be in such a folder.
        needed: Those that must be, for it to be one.

    Raises:
        CheckpointError: If there is a folder with something else in it, or no folder can be put
            there.
    """
    check_place(output, CheckpointError)
    names = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if names and (not needed <= names or names - files):
        other = sorted(names - files) or sorted(names)
        raise CheckpointError(
            f"{output}: expected {kind} or nothing there, got {other[0]!r}; "
            "it is left alone, choose another --output"
        )


def check_outside(output: Path, folders: Iterable[Path], owner: str) -> None:
    """Refuse to write into what a run reads.

    Args:
        output: What would be replaced.
        folders: Where it may not lie.
        owner: Whose they are, in words.

    Raises:
        CheckpointError: If the output lies in one of them.
    """
    for folder in folders:
        if output.resolve().is_relative_to(folder.resolve()):
            raise CheckpointError(
                f"{output}: expected a folder outside of {owner}, got one in {folder}; "
                "choose another --output"
            )


def check_events(output: Path, events: Path | None) -> None:
    """Refuse events inside the output, which is written as a whole in place of what lies there.

    Raises:
        CheckpointError: If the folder for events is in the output.
    """
    if events and events.resolve().is_relative_to(output.resolve()):
        raise CheckpointError(
            f"--tensorboard {events}: expected a folder outside of {output}, got one in it; "
            "choose another"
        )


def write_checkpoint(output: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all, in place of an older one.

    Raises:
        CheckpointError: If something else lies there, or the weights cannot be written.
    """
    check_output(output)
    try:
        with replacing(output) as staging:
            _write(staging, checkpoint)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{output}: expected to write a checkpoint, got {error}; make room there and run again "
            "with --resume, which goes on from what was last saved, or choose another --output"
        ) from error


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    write_model(folder, checkpoint.model, checkpoint.base)
    if checkpoint.decoding != Decoding():
        (folder / DECODING).write_text(checkpoint.decoding.to_json(), encoding="utf-8")
    step = max(1, -(-len(checkpoint.train_lines) // NUM_CALIBRATION_LINES))
    write_jsonl(folder / CALIBRATION, checkpoint.train_lines[::step])
    write_jsonl(folder / TRAIN_LINES, checkpoint.train_lines)
    write_jsonl(folder / DEV, checkpoint.dev)
    if checkpoint.test:
        write_jsonl(folder / TEST, checkpoint.test)
    write_json(folder / EVALUATION, checkpoint.evaluation)
    write_json(folder / TRAIN, checkpoint.train)
    for name, content in checkpoint.for_people.items():
        (folder / name).write_bytes(content)


def write_model(folder: Path, model: PreTrainedModel, base: Base) -> None:
    """Write a model and its base's tokenizer in Hugging Face form."""
    model.save_pretrained(folder)
    # safetensors leaves its file to the owner alone, whatever the umask.
    (folder / WEIGHTS).chmod((folder / CONFIG).stat().st_mode)
    (folder / TOKENIZER).write_text(base.tokenizer.to_str(pretty=True), encoding="utf-8")
    # Of this class, transformers reads tokenizer.json as it stands; of BertTokenizer it reads only
    # the vocabulary and makes the rest anew, in lower case unless told otherwise.
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": base.max_tokens}
    write_json(folder / TOKENIZER_CONFIG, settings | _special_tokens(base))


def _special_tokens(base: Base) -> dict[str, str]:
    """Return the special tokens under transformers' names, as far as the tokenizer has them.

    One that it does not itself call special is left out: transformers would cut it out of texts.
    """
    tokenizer = base.tokenizer
    added = tokenizer.get_added_tokens_decoder().values()
    special = {token.content for token in added if token.special}
    first, *_, last = tokenizer.encode("").tokens
    tokens = {
        "unk_token": getattr(tokenizer.model, "unk_token", None),
        "pad_token": tokenizer.id_to_token(base.pad_id),
        "cls_token": first,
        "sep_token": last,
        "mask_token": "[MASK]" if "[MASK]" in special else "<mask>",
    }
    return {name: token for name, token in tokens.items() if token in special}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write an object as readable JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # A file's name may hold bytes that are no text; escaped with a backslash they are still JSON.
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
