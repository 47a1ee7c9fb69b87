"""Tests mutual TLS: both sides show a certificate, and nothing is said without."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serve.__main__ import main
from serve.client import AsyncTritonTagger, Policy, TritonTagger
from serve.commands.tls import tls_arguments
from serve.errors import ServerError, UnreachableError
from serve.triton.tls import TlsFiles
from tests.serve.fake_triton import fake_triton, words

POLICY = Policy(deadline_s=10.0, max_tries=2)


def issue(
    folder: Path, name: str, authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Write NAME.pem and NAME.key; signed by itself without an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    issuer, signer = (authority[0].subject, authority[1]) if authority else (subject, key)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(signer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, form, none))
    return certificate, key


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    for plant in ("plant", "stranger"):
        authority = issue(folder, plant, None)
        for side in ("server", "client"):
            issue(folder, f"{plant}-{side}", authority)
    return folder


def files(folder: Path, *, own: str = "plant", trusts: str = "plant") -> TlsFiles:
    return TlsFiles(
        authority=folder / f"{trusts}.pem",
        certificate=folder / f"{own}-client.pem",
        key=folder / f"{own}-client.key",
    )


def server_credentials(folder: Path) -> grpc.ServerCredentials:
    key, certificate, authority = (
        (folder / name).read_bytes()
        for name in ("plant-server.key", "plant-server.pem", "plant.pem")
    )
    return grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=authority, require_client_auth=True
    )


def test_threads_and_asyncio_are_answered_with_the_right_certificates(folder: Path) -> None:
    tls = files(folder)

    async def ask(url: str) -> object:
        async with AsyncTritonTagger(url, policy=POLICY, tls=tls) as client:
            return await client.tag(["fix pump"])

    with fake_triton(credentials=server_credentials(folder)) as url:
        with TritonTagger(url, policy=POLICY, tls=tls) as client:
            assert client.tag(["fix pump"]) == [words("fix pump")]
        assert asyncio.run(ask(url)) == [words("fix pump")]


def test_tag_shows_the_certificate_that_it_is_given(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("fix pump")
    with fake_triton(credentials=server_credentials(folder)) as url:
        assert main(["tag", "--url", url, *tls_arguments(files(folder)), str(lines)]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert [entity["text"] for entity in row["entities"]] == ["fix", "pump"]


@pytest.mark.parametrize(
    "tls",
    [
        pytest.param(lambda folder: None, id="plain text"),
        pytest.param(lambda folder: files(folder, own="stranger"), id="a stranger's certificate"),
        pytest.param(lambda folder: files(folder, trusts="stranger"), id="a strange server"),
    ],
)
def test_without_them_nothing_is_answered(folder: Path, tls: object) -> None:
    with (
        fake_triton(credentials=server_credentials(folder)) as url,
        TritonTagger(url, policy=POLICY, tls=tls(folder)) as client,  # type: ignore[operator]
        pytest.raises(UnreachableError),
    ):
        client.tag(["fix pump"])


def test_a_file_that_is_not_there_or_no_pem_is_named(folder: Path, tmp_path: Path) -> None:
    good = files(folder)
    with pytest.raises(ServerError, match=r"gone\.pem: expected a readable file, got No such file"):
        TritonTagger("127.0.0.1:1", tls=replace(good, authority=tmp_path / "gone.pem"))
    binary = tmp_path / "key.der"
    binary.write_bytes(b"\x30\x82")
    with pytest.raises(ServerError, match=r"key\.der: expected PEM, got none; convert it"):
        TritonTagger("127.0.0.1:1", tls=replace(good, key=binary))
