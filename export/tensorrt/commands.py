"""Owns the script that builds the engines: one `trtexec` call per graph, profiles and all.

They go into a folder beside the bundle, which is a model repository for Triton. In the bundle they
would be what no manifest names: it would not be sound, nor signed, and the next export would take
hours of building with it. A note beside each says from which graph it was built, and is there only
once it is whole: `serve publish --plan` goes by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from export.tensorrt.triton import CONFIG, REPOSITORY, model_name
from serve.bundle import Precision
from serve.triton.names import PLAN_FILE, PLAN_NOTE
from serve.triton.profiles import Profile, shapes_text

BUILD = "build.sh"
_HEADER = """\
#!/bin/sh
# Builds the engines with TensorRT 10 or 11, on the machine and GPU that will run them.
# The number types are in the graphs: there is no --fp16 or --int8, which TensorRT 11 removed.
# --stronglyTyped says so to TensorRT 10; TensorRT 11 ignores it.
#
# Usage: build.sh [FOLDER]
# FOLDER becomes a model repository for Triton. It is not in the bundle, whose content its manifest
# vouches for, but beside it: BUNDLE-engines, unless another one is named.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
engines=${1:-$(dirname "$here")-engines}
"""


def build_script(graphs: dict[Precision, str], profiles: Sequence[Profile]) -> str:
    """Return the script.

    Args:
        graphs: File name of each graph beside the script.
        profiles: The profiles of every engine, in the order Triton numbers them.
    """
    calls = [_build(model_name(precision), file, profiles) for precision, file in graphs.items()]
    return "\n".join([_HEADER, *(f"{call}\n" for call in calls)])


def _build(name: str, file: str, profiles: Sequence[Profile]) -> str:
    plan = f'"$engines/{name}/1/{PLAN_FILE}"'
    note = f'"$engines/{name}/1/{PLAN_FILE}{PLAN_NOTE}"'
    trtexec = [
        "trtexec --stronglyTyped --skipInference",
        f'--onnx="$here/{file}"',
        f"--saveEngine={plan}",
        *(f"--profile={i} {shape_flags(profile)}" for i, profile in enumerate(profiles)),
    ]
    return "\n".join(
        [
            f'mkdir -p "$engines/{name}/1"',
            f"rm -f {note}",
            f'cp "$here/{REPOSITORY}/{name}/{CONFIG}" "$engines/{name}/"',
            " \\\n  ".join(trtexec),
            f'sha256sum < "$here/{file}" > {note}',
        ]
    )


def shape_flags(profile: Profile) -> str:
    """Return the three flags of `trtexec` that state a profile."""
    shapes = partial(shapes_text, profile)
    return f"--minShapes={shapes('min')} --optShapes={shapes('opt')} --maxShapes={shapes('max')}"
