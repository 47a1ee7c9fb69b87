"""Owns asking with Triton's perf_analyzer, a C++ client: what the server does without Python's.

`make .venv-perf/ready` fetches it. The program lies in tritonclient's wheel of Triton 2.51; two
libraries that it needs lie in the wheel of the server, under longer names.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load.calls import Closed
from benchmarks.load.checks import Check
from serve.errors import ServerError
from serve.triton.installation import ENVIRONMENT
from serve.triton.names import MODEL, TEXT

TOOL = "perf_analyzer"
MIN_CALLS = 1_000
"""Of a window; it measures windows until three in a row agree."""
MAX_WINDOWS = 10
STABLE_PERCENT = 50
"""How far windows may differ: its 10 % is asked of machines that have nothing else to do."""
TIMEOUT_S = 120.0
_LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12*"}


def analyze(program: Path, url: str, lines: Sequence[str], load: Closed) -> Check:
    """Return what callers of one line see, by perf_analyzer's clock.

    Raises:
        ServerError: If it cannot run, or finds nothing stable.
    """
    with tempfile.TemporaryDirectory(prefix="linetag-perf-") as name:
        folder = Path(name)
        data, output = folder / "data.json", folder / "output.csv"
        data.write_text(json.dumps({"data": [{TEXT: [line]} for line in lines]}))
        command = [
            *(str(program), "-m", MODEL, "-u", url, "-i", "grpc", "--input-data", str(data)),
            *("--concurrency-range", str(load.num_callers), "--percentile", "99"),
            *("--measurement-mode", "count_windows", "-s", str(STABLE_PERCENT)),
            *("--measurement-request-count", str(MIN_CALLS), "--max-trials", str(MAX_WINDOWS)),
            *("-f", str(output)),
        ]
        libraries = place_libraries(folder / "lib", Path(ENVIRONMENT))
        _run(command, {**os.environ, "LD_LIBRARY_PATH": str(libraries)})
        return read_csv(output, load)


def place_libraries(folder: Path, environment: Path) -> Path:
    """Link the libraries that the program needs under the names it knows; return the folder.

    Raises:
        ServerError: If the server's wheel has them not.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    wheel = environment.absolute() / "lib" / version / "site-packages" / "nvidia_pytriton.libs"
    folder.mkdir()
    for name, pattern in _LIBRARIES.items():
        found = next(wheel.glob(pattern), None)
        if found is None:
            raise ServerError(f"{wheel}: expected {pattern}, got none; make it with make setup")
        (folder / name).symlink_to(found)
    return folder


def read_csv(path: Path, load: Closed) -> Check:
    """Return what the program wrote; it only counts calls that were answered, and fails otherwise.

    Raises:
        ServerError: If it wrote something else.
    """
    try:
        with path.open(newline="") as file:
            (row,) = csv.DictReader(file)
        p50, p90, p99 = (float(row[f"p{percent} latency"]) / 1e3 for percent in (50, 90, 99))
        rate = float(row["Inferences/Second"])
    except (OSError, ValueError, KeyError) as error:
        raise ServerError(f"{TOOL}: expected a row of figures, got {error!r}") from error
    return Check(
        tool=TOOL, load=str(load), lines_per_s=rate,
        p50_ms=p50, p90_ms=p90, p99_ms=p99, num_failures=0,
    )  # fmt: skip


def _run(command: Sequence[str], variables: dict[str, str]) -> None:
    try:
        subprocess.run(
            command, env=variables, check=True, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[0]
        raise ServerError(f"{command[0]}: expected stable figures, got {last}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(
            f"{command[0]}: expected perf_analyzer, got {error}; "
            "fetch it with make .venv-perf/ready, or leave out --perf-analyzer"
        ) from error
