"""Owns whether a CPU's integer products are exact: on x86 without VNNI ONNX Runtime's may saturate.

Its quickest kernel there adds pairs of products in 16 bits, which weights up to 127 may exceed.
A graph that passed the gate on another machine would then give other answers; a slower kernel does
not (`session.x64quantprecision` of ONNX Runtime). Where there is VNNI that kernel takes 1.2 to 2
times as long, and gives the same bits.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

from serve.running.processor import CPUINFO, cpu_flags

_X86 = ("x86_64", "AMD64")


@cache
def may_saturate(cpuinfo: Path = CPUINFO) -> bool:
    """Return whether this CPU is an x86 without VNNI, as far as it says."""
    if platform.machine() not in _X86:
        return False
    flags = cpu_flags(cpuinfo)
    return bool(flags) and not {"avx512_vnni", "avx_vnni"} & flags
