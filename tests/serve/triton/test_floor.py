"""Tests what is said of a Triton that is too old for production."""

from __future__ import annotations

import pytest

from serve.triton.floor import floor_warning


@pytest.mark.parametrize("triton", ["2.51.0", "2.72.9", "1.99.0", "", "main"])
def test_an_old_triton_is_for_trusted_callers_over_grpc_too(triton: str) -> None:
    said = floor_warning(triton)
    assert f"(release 26.09) or newer, got {triton or 'no version'}: it lacks" in said
    assert "one request over gRPC or HTTP can crash it" in said
    assert "callers you trust, on loopback or by mutual TLS" in said


@pytest.mark.parametrize("triton", ["2.73.0", "2.100.1", "3.0"])
def test_nothing_is_said_of_one_that_is_new_enough(triton: str) -> None:
    assert not floor_warning(triton)
