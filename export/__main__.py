"""Turn a checkpoint into a bundle of fused graphs for ONNX Runtime, gated on entity F1.

Every graph is compared with PyTorch on real lines and scored on all dev lines. A graph that loses
more entity F1 than allowed (0.1 point for FP16, 0.5 for INT8; 1.5 on any label with 30 or more dev
entities, if chance does not explain it) is made again with less of it reduced, and if that does not
help the export stops: nothing is written. The bundle's report.html and report.json say what was
found.

Examples:
  python -m export                               FP32 only, build/checkpoint to build/bundle
  python -m export --fp16 --int8                 for GPUs and CPUs
  python -m export --fp16 --packed               for GPUs, batches without padding; on a GPU
  python -m export --int8 --allow-f1-loss 0.8    accept a loss; the manifest records it
  python -m export --tensorrt --int8             also build/bundle/tensorrt: graphs, build.sh
  python -m export lint GRAPH.onnx               is a graph ready for TensorRT, and if not why
  python -m export --model DIR --data dev.jsonl  a checkpoint from elsewhere
  python -m export verify build/bundle           is a bundle what its manifest says
  python -m export keygen FILE                   make keys, to sign bundles with
  python -m export sign build/bundle --key FILE  sign one

--model, --dtype, --device, --atol, --opset and --optimize are named as in optimum-cli.

exit status: 0 written, 1 refused (one line says why), 2 wrong usage
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path

from export.config import Device, ExportConfig
from export.optimum_flags import add_optimum_flags
from serve.bundle import Bundle, GraphInfo
from serve.commands import command_parser, deliver, exit_status, importing, number, say, write_utf8
from serve.errors import TaggingError, lacking

COMMANDS = {
    "keygen": "export.commands.keygen",
    "lint": "export.tensorrt.lint.command",
    "sign": "export.commands.sign",
    "verify": "export.commands.verify",
}
"""Commands by first argument: the module whose `main` takes the rest."""
_points = number("points of at least 0", lambda points: points >= 0)


def parse_args(argv: Sequence[str] | None = None) -> ExportConfig:
    """Return the settings a command line asks for."""
    parser = command_parser("export", __doc__)
    default = ExportConfig()
    text = f"checkpoint folder ({default.model})"
    parser.add_argument("--model", type=Path, default=default.model, help=text)
    text = f"bundle folder ({default.output})"
    parser.add_argument("--output", type=Path, default=default.output, help=text)
    text = "labelled JSON lines for the gate (the checkpoint's dev lines)"
    parser.add_argument("--data", type=Path, help=text)
    add_optimum_flags(parser)
    parser.add_argument(
        "--packed", action="store_true", help="add a FP16 graph without padding; needs a GPU"
    )
    parser.add_argument("--int8", action="store_true", help="add an INT8 graph, for CPUs")
    parser.add_argument(
        "--tensorrt", action="store_true", help="add graphs and settings for TensorRT and Triton"
    )
    parser.add_argument(
        "--allow-f1-loss",
        type=_points,
        metavar="POINTS",
        help="entity F1 points a FP16, packed, INT8 or TensorRT graph may cost (0.1, INT8 0.5)",
    )
    parser.add_argument(
        "--allow-label-f1-loss",
        type=_points,
        metavar="POINTS",
        help="the same for each label with 30 or more dev entities (1.5)",
    )
    parser.add_argument("--json", action="store_true", help="print the manifest's graphs as JSON")
    config = ExportConfig(**vars(parser.parse_args(argv)))
    _check(parser, config)
    return config


def _check(parser: argparse.ArgumentParser, config: ExportConfig) -> None:
    """Refuse flags that need another."""
    allowances = (config.allow_f1_loss, config.allow_label_f1_loss)
    reduced = config.fp16 or config.int8 or config.tensorrt
    if any(points is not None for points in allowances) and not reduced:
        parser.error("--allow-f1-loss and --allow-label-f1-loss need --fp16, --int8 or --tensorrt")
    if config.packed and not config.fp16:
        parser.error("--packed needs --fp16: single lines have no padding and run on that graph")
    if config.device is Device.CUDA and not config.fp16:
        parser.error("--device cuda needs --fp16: other graphs are compared on the CPU")


def main(argv: Sequence[str] | None = None) -> int:
    """Export and print what was written, or run a command; return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    write_utf8()
    try:
        if arguments and arguments[0] in COMMANDS:
            with importing():
                command = import_module(COMMANDS[arguments[0]])
            return int(command.main(arguments[1:]))
        return exit_status(partial(_export, parse_args(arguments)))
    except ModuleNotFoundError as error:
        say(f"error: {lacking(error, 'export')}")
        return 1


def _export(config: ExportConfig) -> int:
    try:
        from export.pipeline import export  # late: neither --help nor a command needs PyTorch

        bundle = export(config)
    except KeyboardInterrupt:
        raise TaggingError("interrupted; nothing was written") from None
    deliver(as_json(bundle) if config.json else as_table(bundle))
    return 0


def as_json(bundle: Bundle) -> str:
    """Return what the manifest says of the graphs."""
    return json.dumps([asdict(graph) for graph in bundle.manifest.graphs], indent=2)


def as_table(bundle: Bundle) -> str:
    """Return one row a graph."""
    head = f"{'graph':<18}{'for':<23}{'MB':>7}{'max diff':>10}{'same tags':>11}{'F1':>8}{'loss':>7}"
    rows = [_row(graph) for graph in bundle.manifest.graphs]
    graph = bundle.manifest.graphs[0]
    lines = bundle.manifest.source["num_dev_lines"]
    return "\n".join(
        [
            head,
            *rows,
            f"F1 on {lines} dev lines; PyTorch has {100 * graph.f1_before:.2f}; loss in points",
            *(f"{g.file}: {_operators(g)}" for g in bundle.manifest.graphs),
            *read_findings(bundle),
            f"wrote {bundle.folder}; open {bundle.folder / 'report.html'} for all figures",
        ]
    )


def read_findings(bundle: Bundle) -> list[str]:
    """Return what the report of a bundle just written says in sentences."""
    report = json.loads((bundle.folder / "report.json").read_text(encoding="utf-8"))
    return [str(finding) for finding in report["findings"]]


def _row(graph: GraphInfo) -> str:
    loss = 100 * (graph.f1_before - graph.f1_after)
    return (
        f"{graph.file:<18}{graph.provider:<23}{graph.size_bytes / 1e6:>7.1f}"
        f"{graph.max_abs_diff:>10.2g}{graph.tag_agreement:>11.2%}"
        f"{100 * graph.f1_after:>8.2f}{loss:>z7.2f}"
    )


def _operators(graph: GraphInfo) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in graph.operators.items())
    return f"{counts}; one text at a time" if graph.alone else counts


if __name__ == "__main__":
    raise SystemExit(main())
