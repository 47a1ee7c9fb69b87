"""Tests where a channel leads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serve.client import Policy, TritonTagger
from serve.errors import UnreachableError
from serve.triton.channels import open_channel
from tests.serve.fake_triton import fake_triton


class Package:
    """Takes where a channel is to lead, and how."""

    def __init__(self) -> None:
        self.options: dict[str, int] = {}

    def insecure_channel(self, target: str, options: list[tuple[str, int]]) -> str:
        self.options = dict(options)
        return target


@pytest.mark.parametrize("url", ["line-3.plant:8001", "[::1]:8001", "127.0.0.1:8001", "unix:8001"])
def test_a_host_is_a_host_whatever_it_is_called(url: str) -> None:
    package: Any = Package()
    assert open_channel(url, None, package=package) == f"dns:///{url}"


def test_a_name_that_leads_elsewhere_now_is_looked_up_whenever_a_connection_is_tried() -> None:
    package: Any = Package()
    open_channel("line-3.plant:8001", None, package=package)
    looked_up_ms = package.options["grpc.dns_min_time_between_resolutions_ms"]
    assert looked_up_ms <= package.options["grpc.max_reconnect_backoff_ms"] == 1_000


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_addresses_and_names_lead_there(host: str) -> None:
    with fake_triton() as url, TritonTagger(f"{host}:{url.rpartition(':')[2]}") as client:
        assert len(client.tag(["fix pump"])[0]) == 2


def test_a_host_of_a_schemes_name_is_looked_for(tmp_path: Path, monkeypatch: Any) -> None:
    """As a scheme of gRPC it would be a socket's file, of this folder."""
    monkeypatch.chdir(tmp_path)
    with (
        TritonTagger("unix:8001", policy=Policy(deadline_s=2.0)) as client,
        pytest.raises(UnreachableError, match="resolving unix:8001"),
    ):
        client.tag(["fix pump"])
