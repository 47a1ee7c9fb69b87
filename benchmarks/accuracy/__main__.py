"""Measure how accurate taggers become, one run after the other, each appended to a results file.

An experiment is one row of benchmarks/accuracy/plan.py, a run one seed of it. Runs that the file
holds already are not made again, so a measurement may be stopped and gone on with. Test lines are
copied beside the others only with --test; without it no run can see them.

To begin with (corpora without splits are parted once, seed 1; then the unlabelled text is cleaned):
  python -m train split ../shared/data/maintie/gold_release.json --output build/accuracy/parts/maintie
  python -m train split ../shared/data/wikigold/wikigold.conll.txt --output build/accuracy/parts/wikigold
  python -m benchmarks.accuracy --domain-text
  python -m benchmarks.accuracy 'mwo2kg plain' --seeds 1 2 3
  python -m benchmarks.accuracy 'mwo2kg plain' --seeds 1 2 3 --test        when all is chosen
  python -m benchmarks.accuracy                                            the table so far

Strategies of fine-tuning, and an adapted base model, on mwo2kg:
  python -m train adapt ../shared/data/domain_text/{mwo2kg_texts,maintie_texts,maintnorm_normalised}.txt --leave-out ../shared/data/mwo2kg/{dev,test}.txt --epochs 6 --block-tokens 64 --batch-size 32 --output build/accuracy/adapted
  python -m benchmarks.accuracy --strategies --output benchmarks/results/accuracy/strategies.jsonl

exit status: 0 done, 1 failed (one line says why), 2 wrong usage
"""  # noqa: E501 (commands to copy)

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy.corpora import SOURCES, write_domain_text
from benchmarks.accuracy.plan import EXPERIMENTS, STRATEGIES
from benchmarks.accuracy.run import append, execute, put, read_rows, with_test_score
from benchmarks.accuracy.table import format_gains, format_machines, format_table, num_looks
from benchmarks.machine import describe_machine
from serve.commands import command_parser, exit_status


@dataclass(frozen=True, kw_only=True)
class AccuracyConfig:
    """What to measure.

    Attributes:
        names: Experiments to run, in order.
        seeds: Seeds of each.
        test: Whether to look at the test lines.
        output: The results, a run a line.
        domain_text: Write the unlabelled text first.
        strategies: Run every strategy of fine-tuning, besides what is named.
    """

    names: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (1, 2, 3)
    test: bool = False
    output: Path = Path("benchmarks/results/accuracy/runs.jsonl")
    domain_text: bool = False
    strategies: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for, print the table; the last line of stdout is it as JSON."""
    config = parse_args(argv)
    return exit_status(lambda: _main(config))


def _main(config: AccuracyConfig) -> int:
    if config.domain_text:
        for path, num_held in write_domain_text().items():
            print(f"{path}: {num_held} lines left out that dev or test holds", file=sys.stderr)
    try:
        for name in (*config.names, *(STRATEGIES if config.strategies else ())):
            for seed in config.seeds:
                _run(config, name, seed)
    except subprocess.CalledProcessError:
        return 1  # train has said why
    rows = read_rows(config.output)
    print(format_table(rows))
    if machines := format_machines(rows):
        print(f"\n{machines}")
    if gains := format_gains(rows):
        print(f"\n{gains}\n")
    print(f"runs that looked at test: {num_looks(rows)}")
    print(json.dumps(rows))
    return 0


def parse_args(argv: Sequence[str] | None = None) -> AccuracyConfig:
    """Return the settings the arguments ask for."""
    default = AccuracyConfig()
    parser = command_parser("benchmarks.accuracy", __doc__)
    add = parser.add_argument
    add("names", nargs="*", choices=[*EXPERIMENTS, []], metavar="EXPERIMENT",
        help="what to run; none: the table so far")  # fmt: skip
    add("--seeds", type=int, nargs="+", default=default.seeds, help="(1 2 3)")
    add("--test", action="store_true", help="look at the test lines: the last run only")
    add("--output", type=Path, default=default.output, help=f"({default.output})")
    add("--domain-text", action="store_true", help="write the unlabelled text")
    add("--strategies", action="store_true", help="run every strategy of fine-tuning")
    values = vars(parser.parse_args(argv))
    return AccuracyConfig(**values | {k: tuple(values[k]) for k in ("names", "seeds")})


def _run(config: AccuracyConfig, name: str, seed: int) -> None:
    known = [r for r in read_rows(config.output) if (r["name"], r["seed"]) == (name, seed)]
    if known and (not config.test or any(row["test"] for row in known)):
        return
    experiment, machine = EXPERIMENTS[name], describe_machine()
    source = SOURCES[experiment.corpus]
    if known:
        put(config.output, with_test_score(known[0], source))  # nothing to train
        return
    row = execute(experiment, source, seed, machine, test=config.test)
    append(config.output, row)
    print(f"{name}, seed {seed}: dev {row.dev.f1:.4f}, {row.wall_s:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
