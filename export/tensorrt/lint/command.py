"""Say whether an ONNX graph is ready for TensorRT 10 and 11, and what has to change if not.

Ready means: TensorRT's parser takes each operator and type (support matrix of TensorRT 10.15),
inputs and profiles are complete (profiles.json beside the graph), Q/DQ stand where they become INT8
products, and the weights fit FP16. It is no build: only trtexec on a GPU proves that.

Examples:
  python -m export lint build/bundle/tensorrt/model_fp16.onnx
  python -m export lint model.onnx --json

exit status: 0 ready, 1 not ready or not readable, 2 wrong usage
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from export.tensorrt.lint.finding import Finding, Severity
from export.tensorrt.lint.inputs import check_file, check_inputs
from export.tensorrt.lint.nodes import check_nodes
from export.tensorrt.lint.quantization import check_quantization
from export.tensorrt.lint.subject import read_subject
from export.tensorrt.lint.weights import check_weights
from export.tensorrt.matrix import SOURCE
from serve.commands import deliver, say
from serve.errors import TaggingError, in_words

RULES = (check_file, check_inputs, check_nodes, check_quantization, check_weights)


def lint(path: Path) -> list[Finding]:
    """Return what the rules find in a graph, errors first.

    Raises:
        GraphError: If the file is no ONNX graph.
        OSError: If it cannot be read.
    """
    subject = read_subject(path)
    findings = [finding for rule in RULES for finding in rule(subject)]
    return sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)


def is_ready(findings: Sequence[Finding]) -> bool:
    """Return whether no finding is an error."""
    return all(finding.severity is not Severity.ERROR for finding in findings)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the findings, one a line, and the verdict; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m export lint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("graph", type=Path, metavar="GRAPH.onnx")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    arguments = parser.parse_args(argv)
    shown = as_json if arguments.json else as_text
    try:
        findings = lint(arguments.graph)
        deliver(shown(arguments.graph, findings))
    except (TaggingError, OSError) as error:
        say(f"error: {in_words(error)}")
        return 1
    return 0 if is_ready(findings) else 1


def as_json(path: Path, findings: Sequence[Finding]) -> str:
    """Return the verdict and the findings as JSON."""
    rows = [asdict(finding) for finding in findings]
    verdict = {"graph": str(path), "ready": is_ready(findings), "matrix": SOURCE, "findings": rows}
    return json.dumps(verdict, indent=2)


def as_text(path: Path, findings: Sequence[Finding]) -> str:
    """Return a line for each kind of finding, the first of it, and the verdict as the last.

    A graph of another kind breaks the same rule in every layer.
    """
    kinds: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        kind = (finding.severity, finding.rule, finding.expected, finding.remedy)
        kinds.setdefault(kind, []).append(finding)
    lines = [
        f"{alike[0]}" + (f" and {len(alike) - 1} more; --json names all" if alike[1:] else "")
        for alike in kinds.values()
    ]
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    verdict = "ready for TensorRT" if not errors else "not ready for TensorRT"
    counts = f"{errors} errors, {len(findings) - errors} warnings"
    return "\n".join([*lines, f"{path}: {verdict} ({counts}; {SOURCE})"])
