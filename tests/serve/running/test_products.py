"""Tests when integer products take the slower kernel that is exact everywhere."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import onnx
import pytest

from serve import session
from serve.bundle import Provider
from serve.running import products
from serve.running.products import FITS, may_saturate, needs_exact_kernel
from serve.session import OrtBackend
from tests.serve.tiny import tiny_graph


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", "flags : fma avx2 avx512f", True),
        ("AMD64", "flags : avx2", True),
        ("x86_64", "flags : avx512f avx512_vnni", False),
        ("x86_64", "flags : avx2 avx_vnni", False),
        ("aarch64", "Features : fp asimd", False),
        ("x86_64", "model name : of a system that tells no flags", False),
    ],
)
def test_an_x86_without_vnni_may_saturate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, flags: str, expected: bool
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\n{flags}\n")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert may_saturate(cpuinfo) is expected


@pytest.mark.parametrize("saturates", [False, True])
@pytest.mark.parametrize("fits", [False, True])
def test_only_a_graph_that_does_not_say_its_products_fit_needs_the_slower_kernel(
    monkeypatch: pytest.MonkeyPatch, saturates: bool, fits: bool
) -> None:
    monkeypatch.setattr(products, "may_saturate", lambda: saturates)
    assert needs_exact_kernel(marked(tiny_graph()) if fits else tiny_graph()) is (
        saturates and not fits
    )


@pytest.mark.parametrize("exact", [False, True])
def test_sessions_are_told(monkeypatch: pytest.MonkeyPatch, exact: bool) -> None:
    seen: list[str] = []
    opened = session._open

    def watched(graph: bytes, options: Any, *others: Any) -> Any:
        try:
            seen.append(options.get_session_config_entry("session.x64quantprecision"))
        except RuntimeError:  # not set
            seen.append("")
        return opened(graph, options, *others)

    monkeypatch.setattr(session, "_open", watched)
    monkeypatch.setattr(session, "needs_exact_kernel", lambda graph: exact)
    OrtBackend(tiny_graph(), provider=Provider.CPU)
    assert seen == ["1" if exact else ""]


def marked(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    model.metadata_props.add(key="before", value="another")
    model.metadata_props.add(key=FITS)
    content: bytes = model.SerializeToString()
    return content
