"""Measure what to train a word's tokens on: the first one only, or all of them.

Runs `python -m train` once for each policy and seed, one after the other, and writes every figure
and command. The last line of stdout is the same as one JSON document.

To begin with:
  python -m benchmarks.word_policy --data ../shared/data/mwo2kg \
      --label-map Observed_state=Observation,Event= --output benchmarks/results/word_policy.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve.files import write_durably

POLICIES = {"first token": (), "all tokens": ("--label-all-tokens",)}


@dataclass(frozen=True, kw_only=True)
class WordPolicyConfig:
    """Settings of the measurement.

    Attributes:
        data: Folder of the corpus.
        label_map: Passed on to train.
        seeds: Number of seeds, from 1.
        output: The JSON file.
    """

    data: Path
    label_map: str = ""
    seeds: int = 3
    output: Path = Path("benchmarks/results/word_policy.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure both policies, print a table and write the figures; return 1 if train fails."""
    config = parse_args(argv)
    seeds = range(1, config.seeds + 1)
    try:
        runs = [_run(config, policy, seed) for seed in seeds for policy in POLICIES]
    except subprocess.CalledProcessError:
        return 1  # train has said why
    for policy in POLICIES:
        rows = [run for run in runs if run["policy"] == policy]
        print(f"{policy:12}", *(f"{split} {_summary(rows, split)}" for split in ("dev", "test")))
    document = json.dumps({"runs": runs}, indent=2)
    config.output.parent.mkdir(parents=True, exist_ok=True)
    write_durably(config.output, (document + "\n").encode())
    print(json.dumps({"runs": runs}))
    return 0


def parse_args(argv: Sequence[str] | None = None) -> WordPolicyConfig:
    """Return the settings the arguments ask for."""
    default = WordPolicyConfig(data=Path())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.word_policy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--label-map", default="", help="Old=New,Drop= as for train")
    parser.add_argument("--seeds", type=int, default=default.seeds, help="number of seeds")
    parser.add_argument("--output", type=Path, default=default.output, help="the JSON file")
    return WordPolicyConfig(**vars(parser.parse_args(argv)))


def _run(config: WordPolicyConfig, policy: str, seed: int) -> dict[str, Any]:
    arguments = ["--data", str(config.data), "--seed", str(seed), *POLICIES[policy]]
    if config.label_map:
        arguments += ["--label-map", config.label_map]
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "train", *arguments, "--json", "--output", f"{folder}/checkpoint"]
        done = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, check=True)
        record = json.loads(Path(folder, "checkpoint", "train.json").read_text(encoding="utf-8"))
    figures = json.loads(done.stdout)
    return {
        "policy": policy,
        "seed": seed,
        "command": " ".join(["python", "-m", "train", *arguments]),
        "dev": figures["dev"]["entities"]["micro"],
        "test": figures["test"]["entities"]["micro"] if "test" in figures else None,
        "epochs": record["epochs"],
        "settings": record["settings"],
        "versions": record["versions"],
    }


def _summary(rows: list[dict[str, Any]], split: str) -> str:
    values = [row[split]["f1"] for row in rows if row[split]]
    if not values:
        return "none"
    each = ", ".join(f"{value:.4f}" for value in values)
    return f"F1 mean {statistics.mean(values):.4f} ({each})"


if __name__ == "__main__":
    raise SystemExit(main())
