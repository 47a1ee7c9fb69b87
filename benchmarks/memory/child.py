"""One tagger in a process of its own, that nothing else's memory is counted: no torch in it.

    python -m benchmarks.memory.child curve BUNDLE PRECISION LINES    its memory curve
    python -m benchmarks.memory.child first BUNDLE PRECISION          times to the first answer

Prints one JSON object.
"""

from __future__ import annotations

import time

_BEGAN = time.perf_counter()  # before the imports that are measured

import json  # noqa: E402
import sys  # noqa: E402
from dataclasses import asdict  # noqa: E402

from benchmarks.memory.curve import Curve, follow, resident_bytes  # noqa: E402
from benchmarks.memory.lines import batches  # noqa: E402
from serve.errors import TaggingError  # noqa: E402
from serve.tagger import Tagger  # noqa: E402

FIRST_LINE = "replace blown hydraulic hose on left hand side"


def main(what: str, bundle: str, precision: str, num_lines: str = "0") -> int:
    """Measure and print; return the exit status."""
    imported = time.perf_counter()
    try:
        tagger = Tagger.load(bundle, precision=precision)
    except TaggingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    loaded = time.perf_counter()
    if what == "first":
        tagger.tag([FIRST_LINE])
        answered = time.perf_counter()
        times = {"import_s": imported - _BEGAN, "load_s": loaded - imported}
        print(json.dumps(times | {"answer_s": answered - loaded}))
    else:
        print(json.dumps(asdict(_curve(tagger, precision, int(num_lines)))))
    return 0


def _curve(tagger: Tagger, precision: str, num_lines: int) -> Curve:
    return follow(precision, tagger.tag, batches(num_lines), resident_bytes)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
