"""Tests mutual TLS: both sides show a certificate, and nothing is said without."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.triton import bring_up
from serve.__main__ import main
from serve.client import AsyncTritonTagger, Policy, TritonTagger
from serve.commands.tls import tls_arguments
from serve.errors import ServerError, UnreachableError
from serve.supervisor.orders import prepare
from serve.tagger import Tagger
from serve.triton.ending import take_down
from serve.triton.launch import Order
from serve.triton.listening import Exposure, choose_ports
from serve.triton.tls import TlsFiles
from tests.serve.fake_triton import fake_triton, words

POLICY = Policy(deadline_s=10.0, max_tries=2)


def issue(
    folder: Path,
    name: str,
    authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    *,
    ends_in_days: int = 1,
    host: str = "",
    curve: ec.EllipticCurve | None = None,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Write NAME.pem and NAME.key for 127.0.0.1; signed by itself without an authority."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    names += [x509.DNSName(host)] if host else []
    issuer, signer = (authority[0].subject, authority[1]) if authority else (subject, key)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=ends_in_days))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), True)
        .add_extension(x509.SubjectAlternativeName(names), False)
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
        issue(folder, f"{plant}-expired", authority, ends_in_days=-1, host="localhost")
        issue(folder, f"{plant}-local", authority, host="localhost")
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


_ASKING = """
import sys, time
from pathlib import Path
from serve.client import Policy, TritonTagger
from serve.errors import TaggingError
from serve.triton.tls import TlsFiles

url, tls = sys.argv[1], TlsFiles(*map(Path, sys.argv[2:]))
with TritonTagger(url, policy=Policy(deadline_s=0.5), tls=tls) as client:
    client.tag(["fix pump"])
    print("answered", flush=True)
    is_gone = False
    while True:
        try:
            client.tag(["fix pump"])
            if is_gone:
                break
        except TaggingError:
            is_gone = is_gone or print("gone", flush=True) is None
        time.sleep(0.1)
print("answered", flush=True)
"""


def test_a_server_that_was_started_again_is_found_again(folder: Path) -> None:
    """Where only the thread of a call reads, no handshake gets through between calls that fail."""
    tls, credentials = files(folder), server_credentials(folder)
    with fake_triton(credentials=credentials) as url:
        command = [sys.executable, "-c", _ASKING, url, tls.authority, tls.certificate, tls.key]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        assert process.stdout.readline() == "answered\n"
    with process:
        assert process.stdout.readline() == "gone\n"
        time.sleep(1.5)
        with fake_triton(credentials=credentials, port=int(url.rsplit(":", 1)[1])):
            try:
                assert process.communicate(timeout=20.0)[0] == "answered\n"
            finally:
                process.kill()


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
    ("tls", "remedy"),
    [
        pytest.param(lambda folder: None, "or if it has TLS, give files of TLS", id="plain text"),
        pytest.param(
            lambda folder: files(folder, own="stranger"),
            "with a certificate that it accepts",
            id="a stranger's certificate",
        ),
        pytest.param(
            lambda folder: files(folder, trusts="stranger"),
            "that --tls-authority signed it",
            id="a strange server",
        ),
    ],
)
def test_without_them_nothing_is_answered(folder: Path, tls: object, remedy: str) -> None:
    with (
        fake_triton(credentials=server_credentials(folder)) as url,
        TritonTagger(url, policy=POLICY, tls=tls(folder)) as client,
        pytest.raises(UnreachableError, match=remedy),
    ):
        client.tag(["fix pump"])


def test_a_server_that_the_certificate_does_not_name_is_not_asked(folder: Path) -> None:
    with (
        fake_triton(credentials=server_credentials(folder)) as url,
        TritonTagger(
            url.replace("127.0.0.1", "localhost"), policy=POLICY, tls=files(folder)
        ) as client,
        pytest.raises(UnreachableError, match=r"see that .* its certificate names this host"),
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


def test_files_that_do_not_go_together_are_told_apart(folder: Path, tmp_path: Path) -> None:
    good = files(folder)
    with pytest.raises(ServerError, match=r"stranger-client\.key: expected the key of .*plant-cl"):
        TritonTagger("127.0.0.1:1", tls=replace(good, key=folder / "stranger-client.key"))
    with pytest.raises(ServerError, match=r"plant-client\.key: expected PEM with CERTIFICATE"):
        TritonTagger("127.0.0.1:1", tls=replace(good, certificate=good.key))
    with pytest.raises(ServerError, match=r"plant-client\.pem: expected PEM with PRIVATE KEY"):
        TritonTagger("127.0.0.1:1", tls=replace(good, key=good.certificate))
    damaged = tmp_path / "damaged.pem"
    damaged.write_bytes(good.authority.read_bytes()[:200])
    with pytest.raises(
        ServerError, match=r"damaged\.pem: expected a certificate in PEM, got a dam"
    ):
        TritonTagger("127.0.0.1:1", tls=replace(good, authority=damaged))


def test_a_key_with_a_password_is_refused_without_asking_for_it(
    folder: Path, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    key = serialization.load_pem_private_key((folder / "plant-client.key").read_bytes(), None)
    form, password = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, password))
    with pytest.raises(ServerError, match=r"locked\.key: expected a key without a password"):
        TritonTagger("127.0.0.1:1", tls=replace(files(folder), key=locked))


def of_server(folder: Path, name: str, *, authority: str = "plant") -> TlsFiles:
    return TlsFiles(folder / f"{authority}.pem", folder / f"{name}.pem", folder / f"{name}.key")


def test_a_certificate_that_expired_is_named_on_either_side(folder: Path) -> None:
    expired = of_server(folder, "plant-expired")
    with pytest.raises(
        ServerError,
        match=r"plant-expired\.pem: .*got: certificate has expired; have one issued that is, if "
        r"this machine's clock is right: 20\d\d-\d\d-\d\d \d\d:\d\d$",
    ):
        TritonTagger("127.0.0.1:1", tls=expired)
    with pytest.raises(ServerError, match=r"plant-expired\.pem: .*got: certificate has expired"):
        expired.check_server()


def test_a_servers_certificate_names_localhost_and_is_signed_by_its_authority(
    folder: Path,
) -> None:
    of_server(folder, "plant-local").check_server()
    with pytest.raises(ServerError, match=r"plant-server\.pem: expected .* for localhost by .*ism"):
        of_server(folder, "plant-server").check_server()
    with pytest.raises(
        ServerError, match=r"plant-local\.pem: expected .* by \S+stranger\.pem, got"
    ):
        of_server(folder, "plant-local", authority="stranger").check_server()


def test_a_key_that_tls_takes_none_of_is_named(tmp_path: Path) -> None:
    authority = issue(tmp_path, "plant", None)
    issue(tmp_path, "plant-odd", authority, host="localhost", curve=ec.SECP256K1())
    with pytest.raises(ServerError, match=r"plant-odd\.pem: expected one that TLS takes .*make an"):
        of_server(tmp_path, "plant-odd").check_server()


@pytest.mark.parametrize("name", ["plant.pem", "plant-local.key"])
def test_a_file_that_is_taken_away_as_it_is_read_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As when certificates are renewed."""
    for path in folder.glob("plant*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = Path.read_bytes

    def read(path: Path) -> bytes:
        content = whole(path)
        if path.name == "plant-local.key":  # the last of the three
            (tmp_path / name).unlink()
        return content

    monkeypatch.setattr(Path, "read_bytes", read)
    with pytest.raises(ServerError, match=rf"{name}: expected .*, got No such file"):
        of_server(tmp_path, "plant-local").check_server()


@pytest.mark.triton
def test_a_real_triton_answers_whoever_shows_a_certificate_of_its_authority_and_nobody_else(
    folder: Path, tmp_path: Path, repository: Path, environment: Path, served_bundle: Path
) -> None:
    installation, repository = prepare(environment, repository)
    exposure = Exposure(tls=of_server(folder, "plant-local"))
    order = Order(installation, repository, choose_ports(0, http=False), exposure)
    trusted = (folder / "plant.pem").read_bytes()
    nobody = grpc.ssl_channel_credentials(root_certificates=trusted)
    try:
        bring_up(order, tmp_path)
        with TritonTagger(order.client_url, policy=POLICY, tls=files(folder)) as client:
            assert client.tag(["fix pump"]) == Tagger.load(served_bundle).tag(["fix pump"])
        for tls in (None, files(folder, own="stranger")):
            with (
                TritonTagger(order.client_url, policy=POLICY, tls=tls) as client,
                pytest.raises(UnreachableError),
            ):
                client.tag(["fix pump"])
        with (
            grpc.secure_channel(order.client_url, nobody) as channel,
            pytest.raises(grpc.RpcError, match="UNAVAILABLE"),
        ):
            channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=10.0)
    finally:
        take_down(tmp_path)
