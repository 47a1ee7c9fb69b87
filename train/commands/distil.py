r"""Teach what several taggers know, or a larger one, to one model of the usual size and speed.

The student learns from the teachers' probabilities: on the train lines, beside gold's tags, and on
lines that nobody labelled. Train teachers with python -m train, on the same labels; they may differ
in seed, settings, base model and size. Unlabelled lines that dev or test holds are left out. The
checkpoint is an ordinary one: it costs nothing more to serve.

Examples:
  for seed in 1 2 3; do python -m train --data my/lines --seed $seed --output build/seed$seed; done
  python -m train distil --data my/lines --teachers build/seed1 build/seed2 build/seed3 \
      --unlabelled my/raw.txt --output build/checkpoint
  python -m train distil --data my/lines --teachers build/large --gold-share 0.3

exit status: 0 written, 1 refused (one line says why), 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from serve.commands import command_parser, exit_status
from train.config import Decoder, TrainConfig
from train.distillation.lesson import Lesson
from train.flags.arguments import add_training_arguments, training_config
from train.flags.numbers import at_least, between
from train.loop.interrupts import going_on


@dataclass(frozen=True, kw_only=True)
class DistilConfig:
    """A student's training.

    Attributes:
        training: As of any training run.
        lesson: What it learns from besides.
    """

    training: TrainConfig
    lesson: Lesson


def parse_args(argv: Sequence[str]) -> DistilConfig:
    """Return the command line as a config."""
    parser = command_parser("train distil", __doc__)
    add = parser.add_argument_group("what the student learns from").add_argument
    text = "checkpoints with the same labels"
    add("--teachers", type=Path, nargs="+", required=True, metavar="CHECKPOINT", help=text)
    text = "text without labels, one line each"
    add("--unlabelled", type=Path, nargs="+", default=(), metavar="FILE", help=text)
    text = f"most of these lines to learn from ({Lesson.max_unlabelled})"
    default = Lesson.max_unlabelled
    add("--max-unlabelled", type=at_least(0), default=default, metavar="N", help=text)
    text = f"weight of gold's tags beside the teachers', on train lines ({Lesson.gold_share:g})"
    add("--gold-share", type=between(0, 1), default=Lesson.gold_share, metavar="R", help=text)
    add_training_arguments(parser)
    values = vars(parser.parse_args(argv))
    config = training_config(parser, values)
    if config.decoder is Decoder.CRF:
        parser.error("--decoder: expected plain or constrained: teachers score words one by one")
    if config.label_all_tokens or config.label_smoothing or config.class_weights:
        parser.error(
            "--label-all-tokens, --label-smoothing, --class-weights: expected none: "
            "targets are the teachers' probabilities"
        )
    values |= {name: tuple(values[name]) for name in ("teachers", "unlabelled")}
    return DistilConfig(training=config, lesson=Lesson(**values))


def main(argv: Sequence[str]) -> int:
    """Train a student, print its figures, return the exit status."""
    config = parse_args(argv)

    def distil() -> int:
        # Late, so that --help and usage errors need no PyTorch.
        from train.distillation.material import taught_material
        from train.model.checkpoint import check_outside
        from train.pipeline import run
        from train.scores.report import show

        check_outside(config.training.output, config.lesson.teachers, "its teachers")
        material = partial(taught_material, config.lesson)
        with going_on(config.training.output, resume=config.training.resume):
            show(run(config.training, material=material), config.training)
        return 0

    return exit_status(distil)
