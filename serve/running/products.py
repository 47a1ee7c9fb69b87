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

_X86 = ("x86_64", "AMD64")
_CPUINFO = Path("/proc/cpuinfo")


@cache
def may_saturate() -> bool:
    """Return whether this CPU is an x86 without VNNI, as far as it says."""
    if platform.machine() not in _X86:
        return False
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return False
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return bool(flags) and not {"avx512_vnni", "avx_vnni"} & set(flags)
