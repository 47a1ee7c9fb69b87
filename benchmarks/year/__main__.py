"""Live through a simulated year of a tagger: new lines, drift, refit, one month poisoned.

Months that the results file holds are not lived again, so it may be stopped and gone on with; a
month takes about a minute on two cores. mwo2kg has no dates: see benchmarks/year/slices.py for what
the year is made of. Prints a table; the last line of stdout is one JSON document.

  python -m benchmarks.year                 all months that are missing
  python -m benchmarks.year --months 1      one more

exit status: 0 done, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.arguments import json_file
from benchmarks.delivery import write_json
from benchmarks.machine import describe_machine
from benchmarks.year.month import Month, first_month, next_month
from benchmarks.year.plot import plot
from benchmarks.year.slices import MONTHS
from serve.commands import command_parser, exit_status
from serve.errors import DataError
from train.flags.numbers import at_least
from train.scores.tables import Table, aligned


@dataclass(frozen=True)
class YearConfig:
    """How far to go.

    Attributes:
        months: Most months to add.
        output: The results; the picture lies beside them.
    """

    months: int = MONTHS + 1
    output: Path = Path("benchmarks/results/year/year.json")


def parse_args(argv: Sequence[str] | None = None) -> YearConfig:
    """Return the settings the arguments ask for."""
    default = YearConfig()
    parser = command_parser("benchmarks.year", __doc__)
    add = parser.add_argument
    add("--months", type=at_least(1), default=default.months, help="most months to add (all)")
    add("--output", type=json_file, default=default.output, metavar="FILE.json",
        help="the months, gone on with (%(default)s)")  # fmt: skip
    return YearConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> int:
    """Live the months, draw them, print the table; return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _main(config))


def _main(config: YearConfig) -> int:
    try:
        months = read(config.output)
        for _ in range(min(config.months, MONTHS + 1 - len(months))):
            months.append(next_month(months[-1]) if months else first_month())
            write(config.output, months)
    except subprocess.CalledProcessError:
        return 1  # the command has said why
    plot(months, config.output.with_suffix(".png"))
    print(table(months))
    print(json.dumps([asdict(month) for month in months]))
    return 0


def read(path: Path) -> list[Month]:
    """Return the months of a results file, none where there is no file.

    Raises:
        DataError: If the file is none of this form.
    """
    if not path.is_file():
        return []
    try:
        return [Month(**row) for row in json.loads(path.read_text(encoding="utf-8"))["months"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: expected months of python -m benchmarks.year as this release writes them, "
            f"got {error!r}; name another file with --output"
        ) from error


def write(path: Path, months: Sequence[Month]) -> None:
    """Write the months and the machine they were lived on, whole or not at all."""
    rows = [asdict(month) for month in months]
    body = {"machine": asdict(describe_machine()), "months": rows}
    write_json(path, body, indent=1)


def table(months: Sequence[Month]) -> str:
    """Return a row a month."""
    head = ("month", "slices offered", "drift", "decision", "F1", "on the new machine", "s")
    rows = [
        [
            str(m.month), ", ".join(m.offered), "due" if m.is_due else "",
            _decision(m), f"{100 * m.f1:.2f}",
            f"{100 * m.f1_arriving:.2f}", f"{m.refit_s:.0f}",
        ]
        for m in months
    ]  # fmt: skip
    return aligned(Table(head, rows))


def _decision(month: Month) -> str:
    """Return what was decided in a few words."""
    if month.accepted:
        return "accepted"
    return month.outcome.partition(":")[0].partition(" of ")[0]


if __name__ == "__main__":
    raise SystemExit(main())
