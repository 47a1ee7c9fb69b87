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

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from export.tensorrt.lint.finding import Finding, Severity
from export.tensorrt.lint.inputs import check_file, check_inputs
from export.tensorrt.lint.nodes import check_nodes
from export.tensorrt.lint.quantization import check_quantization
from export.tensorrt.lint.subject import read_subject
from export.tensorrt.lint.weights import check_weights
from export.tensorrt.matrix import SOURCE
from serve.commands import command_parser, deliver, exit_status

RULES = (check_file, check_inputs, check_nodes, check_quantization, check_weights)


@dataclass(frozen=True)
class LintConfig:
    """What to look at.

    Attributes:
        graph: The ONNX file.
        json: Print the findings as JSON.
    """

    graph: Path
    json: bool = False


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


def parse_args(argv: Sequence[str]) -> LintConfig:
    """Return the command line as a config."""
    parser = command_parser("export lint", __doc__)
    parser.add_argument("graph", type=Path, metavar="GRAPH.onnx", help="a single-file ONNX graph")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return LintConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str]) -> int:
    """Print the findings, one a line, and the verdict; return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _run(config))


def _run(config: LintConfig) -> int:
    findings = lint(config.graph)
    shown = as_json if config.json else as_text
    deliver(shown(config.graph, findings))
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
