"""A benchmark that a service manager ends undoes what it has begun: no Triton is left."""

from __future__ import annotations

import os
import signal
import time
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "name", ["tour", "latency", "load.__main__", "path.__main__", "memory.__main__"]
)
def test_ended_from_outside_it_undoes_what_it_began(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    undone: list[str] = []

    def measure(_: object) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10.0)
        finally:
            undone.append("all")
        return 0

    module = import_module(f"benchmarks.{name}")
    monkeypatch.setattr(module, "_main", measure)
    assert module.main([]) == 1
    assert undone == ["all"]
    assert capsys.readouterr().err == "error: interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
