"""Owns whether a graph's integer products are exact: on x86 without VNNI they may not be.

ONNX Runtime's quickest kernel there adds pairs of products in 16 bits, which weights up to 127 may
exceed. Export fits weights to it and says so in the graph (`export.precision.steps`). Others, of an
older export, take a slower kernel that is exact (`session.x64quantprecision` of ONNX Runtime): 1.1
to 1.25 times as long there. With VNNI every graph is exact, and that kernel up to twice as slow.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

from serve.artefacts.onnx_file import metadata
from serve.running.processor import CPUINFO, cpu_flags

FITS = "linetag.products_fit_16_bits"
"""The entry of a graph's metadata that says so."""
_X86 = ("x86_64", "AMD64")


def needs_exact_kernel(graph: bytes) -> bool:
    """Return whether a graph's products could be wrong on this CPU without the slower kernel."""
    return may_saturate() and FITS not in metadata(graph)


@cache
def may_saturate(cpuinfo: Path = CPUINFO) -> bool:
    """Return whether this CPU is an x86 without VNNI, as far as it says."""
    if platform.machine() not in _X86:
        return False
    flags = cpu_flags(cpuinfo)
    return bool(flags) and not {"avx512_vnni", "avx_vnni"} & flags
