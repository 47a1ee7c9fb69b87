"""Answer for optimum: its own FP32 export of a checkpoint in its own pipeline, in its environment.

Started by `benchmarks.peer`, never by hand. The first line of stdin says what to load; each further
one is a request, answered by one line of JSON. It times itself, with the clock that times all
systems, so that no pipe is inside a measurement.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, TextIO

from benchmarks.pipeline import STRATEGY, TASK, PipelineTagger
from benchmarks.timing import frozen_set_up, time_all, time_lines
from serve.entities import AnyTagger
from serve.session import default_provider

CALLS: dict[str, Callable[[AnyTagger, Sequence[str]], Any]] = {
    "tag": lambda tagger, lines: [
        [(e.label, e.start, e.end, e.score) for e in entities] for entities in tagger.tag(lines)
    ],
    "time_lines": time_lines,
    "time_all": time_all,
}


def main() -> int:
    """Load, say what was loaded, then answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what others print is no answer
    task = json.loads(sys.stdin.readline())
    tagger, facts = load(task["checkpoint"], task["folder"], task["lines"])
    with frozen_set_up():
        _write(answers, facts)
        for request in map(json.loads, sys.stdin):
            _write(answers, CALLS[request["call"]](tagger, request["lines"]))
    return 0


def load(
    checkpoint: str, folder: str, lines: Sequence[str]
) -> tuple[PipelineTagger, dict[str, Any]]:
    """Export a checkpoint into a folder as optimum does; return its pipeline and what it is."""
    from optimum.exporters.onnx import main_export
    from optimum.onnxruntime import ORTModelForTokenClassification, pipeline
    from transformers import AutoTokenizer

    main_export(checkpoint, folder, task=TASK, dtype="fp32")
    model = ORTModelForTokenClassification.from_pretrained(folder, provider=str(default_provider()))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tagger = PipelineTagger(
        pipeline(TASK, model=model, tokenizer=tokenizer, aggregation_strategy=STRATEGY), lines
    )
    return tagger, {
        "provider": model.providers[0],
        "batch_size": tagger.batch_size,
        "versions": {name: version(name) for name in ("optimum-onnx", "transformers")},
    }


def _write(answers: TextIO, answer: object) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    raise SystemExit(main())
