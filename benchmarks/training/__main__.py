r"""Measure how fast fine-tuning is, part by part, against what the machine could do.

The product's own loop trains, with its defaults, for as many epochs as asked for. The bound is the
time of its matrix products at the machine's peak, in BF16 where it has that, and that of the bytes
its weights cost at the memory's, one after the other, both measured here before and after. The last
line of stdout is one JSON document.

To begin with:
  python -m benchmarks.training --data ../shared/data/mwo2kg \
      --label-map Observed_state=Observation,Event= --output benchmarks/results/training.json

exit status: 0 measured, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as python -m train does, before PyTorch
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.arguments import add_shared
from benchmarks.delivery import delivering, write_json
from benchmarks.machine import Machine, describe_machine
from benchmarks.training.need import Need, need_of
from benchmarks.training.peaks import matrix_peak_flops, memory_bytes_per_s
from benchmarks.training.watch import Watch
from serve.commands import command_parser, exit_status
from train.config import Arithmetic, TrainConfig
from train.corpus.data import read_corpus
from train.corpus.label_map import parse_label_map
from train.flags.numbers import at_least
from train.loop.device import number_format
from train.loop.fit import Fit
from train.loop.plan import Task
from train.loop.processes import Processes
from train.loop.progress import Progress
from train.model.base import find_base
from train.model.method import prepare
from train.task.material import gold_material
from train.task.objective import Learner
from train.task.tagging import tagging_plan, tagging_task


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of the measurement.

    Attributes:
        data: Folder of the corpus.
        label_map: Passed on to train.
        model: Base model.
        epochs: How many are timed.
        batch_size: Lines of a step.
        output: The JSON file; None for none.
    """

    data: Path
    label_map: str = ""
    model: str = TrainConfig.model
    epochs: int = 10
    batch_size: int = TrainConfig.batch_size
    output: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What was measured.

    Attributes:
        machine: Where.
        data: Name of the corpus's folder.
        num_epochs: Epochs trained.
        batch_size: Lines of a step.
        total_s: Seconds of all of them, scoring on dev included.
        parts_s: Seconds of each part; they add up to the total.
        need: What one epoch needs at least.
        number_format: Of its matrix products, as PyTorch calls it.
        peak_flops: Operations of such products a second, before and after.
        memory_bytes_per_s: Bytes moved a second, before and after.
        bound_s: Seconds below which no loop of this kind gets on this machine, without scoring.
    """

    machine: Machine
    data: str
    num_epochs: int
    batch_size: int
    total_s: float
    parts_s: dict[str, float]
    need: Need
    number_format: str
    peak_flops: tuple[float, float]
    memory_bytes_per_s: tuple[float, float]
    bound_s: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the figures."""
    config = parse_args(argv)
    return exit_status(lambda: _main(config))


def _main(config: TrainingConfig) -> int:
    speed = measure(config)
    with delivering(format_speed(speed), asdict(speed)):
        if config.output:
            write_json(config.output, asdict(speed), indent=2)
    return 0


def parse_args(argv: Sequence[str] | None = None) -> TrainingConfig:
    """Return the settings the arguments ask for."""
    default = TrainingConfig(data=Path())
    parser = command_parser("benchmarks.training", __doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the corpus")
    add("--label-map", default="", help="Old=New,Drop= as for train")
    add("--model", default=default.model, help=f"base model ({default.model})")
    add("--epochs", type=at_least(1), default=default.epochs, metavar="N",
        help="epochs (%(default)s)")  # fmt: skip
    add("--batch-size", type=at_least(1), default=default.batch_size, metavar="N",
        help="lines of a step (%(default)s)")  # fmt: skip
    add_shared(parser, default, "output")
    return TrainingConfig(**vars(parser.parse_args(argv)))


def measure(config: TrainingConfig) -> Speed:
    """Train on a corpus's train lines and score on its dev lines, with a clock inside."""
    products = number_format(Arithmetic.AUTO, torch.device("cpu"))
    machine, peaks = describe_machine(), [(matrix_peak_flops(products), memory_bytes_per_s())]
    with tempfile.TemporaryDirectory() as folder:
        training = TrainConfig(
            data=config.data,
            label_map=parse_label_map(config.label_map),
            model=config.model,
            epochs=config.epochs,
            batch_size=config.batch_size,
            patience=config.epochs,
            output=Path(folder, "checkpoint"),
        )
        task, num_windows = _task(training)
        need, watch = need_of(task, products), Watch()
        plan = tagging_plan(training, num_windows, "")
        fit = Fit(watch.over(task), plan, Processes(), Progress("dev F1"))
        started = time.perf_counter()
        fit.run()
        total_s = time.perf_counter() - started
    peaks.append((matrix_peak_flops(products), memory_bytes_per_s()))
    flops, memory = zip(*peaks, strict=True)
    parts = {"backward and the rest": total_s - sum(watch.seconds.values()), **watch.seconds}
    return Speed(
        machine=machine,
        data=config.data.name,
        num_epochs=config.epochs,
        batch_size=config.batch_size,
        total_s=total_s,
        parts_s=parts,
        need=need,
        number_format=str(products).removeprefix("torch."),
        peak_flops=(flops[0], flops[1]),
        memory_bytes_per_s=(memory[0], memory[1]),
        bound_s=config.epochs * (need.flops / max(flops) + need.bytes_moved / max(memory)),
    )


def format_speed(speed: Speed) -> str:
    """Return the table as text."""
    need, epochs = speed.need, speed.num_epochs
    training_s = speed.total_s - speed.parts_s.get("dev F1", 0.0)
    products_s = epochs * need.flops / max(speed.peak_flops)
    lines = [
        f"{epochs} epochs of {speed.data} on {speed.machine.cores}: {speed.total_s:.1f} s",
        f"one: {need.num_steps} steps, {need.num_tokens} tokens, {need.num_padding} of padding",
    ]
    lines += [f"{name:>24}  {s:6.1f} s" for name, s in speed.parts_s.items()]
    return "\n".join(
        [
            *lines,
            f"{'products at the peak':>24}  {products_s:6.1f} s  ({need.flops / 1e12:.2f} TFLOP an "
            f"epoch at {max(speed.peak_flops) / 1e9:.0f} GFLOP/s in {speed.number_format})",
            f"{'weights in memory':>24}  {speed.bound_s - products_s:6.1f} s  "
            f"({need.bytes_moved / 1e9:.0f} GB an epoch at "
            f"{max(speed.memory_bytes_per_s) / 1e9:.0f} GB/s)",
            f"{'bound, without dev F1':>24}  {speed.bound_s:6.1f} s  "
            f"({speed.bound_s / training_s:.0%} of what was measured)",
        ]
    )


def _task(config: TrainConfig) -> tuple[Task, int]:  # type: ignore[type-arg]
    """Return the task of a training run, and its number of windows."""
    corpus, base = read_corpus(config), find_base(config.model)
    material = gold_material(config, corpus, base.encoder())
    torch.manual_seed(config.seed)
    model = base.load_model(corpus.tags)
    learner = Learner(prepare(model, config), material.objective).to(Processes().device)
    return tagging_task(config, corpus, material, base, learner), len(material.windows)


if __name__ == "__main__":
    raise SystemExit(main())
