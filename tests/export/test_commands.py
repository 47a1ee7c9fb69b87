"""Tests `python -m export verify`, `sign` and `keygen`: what they print, write and refuse."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from export.__main__ import COMMANDS, main
from export.bundle import check_replaceable, package_versions
from export.signing import read_private_key, sign
from serve.bundle import Bundle
from serve.errors import BundleError
from serve.files import write_durably
from tests.serve.tiny import write_bundle

ROOT = Path(__file__).resolve().parents[2]
ErrorOf = Callable[..., str]
_HERE = {**os.environ, "PYTHONPATH": str(ROOT)}
PEM = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)


def test_a_bundle_says_which_linetag_made_it() -> None:
    assert package_versions()["linetag"] == version("linetag")


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a bundle in a folder with two pairs of keys, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    assert main(["keygen", "key"]) == main(["keygen", "other"]) == 0
    return write_bundle(Path("b"))


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str], bundle: Path) -> ErrorOf:
    """Return a function that runs a command which must fail, and gives its one line."""
    capsys.readouterr()

    def run(*arguments: str) -> str:
        assert main(arguments) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    return run


def test_a_signed_bundle_is_sound_with_the_right_key_only(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "b"]) == 0
    assert main(["verify", "b", "--public-key", "key.pub"]) == 1
    assert main(["sign", "b", "--key", "key"]) == 0
    assert main(["verify", "b", "--public-key", "key.pub"]) == 0
    assert main(["verify", "b", "--public-key", "other.pub"]) == 1
    assert main(["verify", "b"]) == 0
    remedy = "sign it with python -m export sign, or name the key of whoever signed it"
    assert capsys.readouterr().out.splitlines() == [
        "b: sound; not signed",
        "signature: b/manifest.sig: expected a signature by key.pub, got No such file or "
        f"directory; {remedy}",
        "b: not sound, 1 finding; signature not valid",
        "b/manifest.sig",
        "b: sound; signed",
        "signature: b/manifest.sig: expected a signature of the manifest by other.pub, got one of "
        f"another manifest or key; {remedy}",
        "b: not sound, 1 finding; signature not valid",
        "b: sound; signature not checked, name the key with --public-key",
    ]


def test_a_manifest_edited_under_a_new_seal_breaks_the_signature(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["sign", "b", "--key", "key"])
    path = bundle / "manifest.json"
    path.write_text(path.read_text() + "\n")  # the seal still holds
    assert main(["verify", "b"]) == 0
    capsys.readouterr()
    assert main(["verify", "b", "--public-key", "key.pub", "--json"]) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["is_sound"], verdict["signature"]) == (False, "invalid")
    assert [finding["check"] for finding in verdict["findings"]] == ["signature"]
    assert main(["sign", "b", "--key", "key"]) == 0, "an old signature is replaced"
    assert main(["verify", "b", "--public-key", "key.pub"]) == 0


@pytest.mark.parametrize("content", [b"", b"x" * 63, b"x" * 64, b"x" * 65])
def test_what_is_no_signature_is_told(bundle: Path, content: bytes) -> None:
    (bundle / "manifest.sig").write_bytes(content)
    assert main(["verify", "b", "--public-key", "key.pub"]) == 1
    assert main(["verify", "b"]) == (0 if len(content) == 64 else 1)


def test_a_bundle_that_is_not_sound_is_not_signed(bundle: Path, error_of: ErrorOf) -> None:
    (bundle / "labels.json").write_text("{}")
    (bundle / "more").write_text("")
    error = error_of("sign", "b", "--key", "key")
    assert "b/labels.json: expected SHA-256" in error
    assert "(1 of 2 findings; not signed)" in error
    assert not (bundle / "manifest.sig").exists()


def test_a_manifest_that_changes_while_it_is_checked_is_not_signed(bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json: expected it to stay as it was"):
        sign(bundle, b"what was checked", read_private_key(Path("key")))
    assert not (bundle / "manifest.sig").exists()


def test_a_signed_bundle_may_be_replaced_by_an_export(bundle: Path) -> None:
    (bundle / "model_fp32.onnx").rename(bundle / "model.onnx")  # as export names it
    main(["sign", "b", "--key", "key"])
    check_replaceable(bundle)


def test_what_a_killed_signer_left_hinders_neither_signing_nor_an_export(bundle: Path) -> None:
    (bundle / "model_fp32.onnx").rename(bundle / "model.onnx")  # as export names it
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom serve.files import staged_file\n"
        "with staged_file(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", code, str(bundle / "manifest.sig")]
    assert subprocess.run(command, cwd=Path.cwd(), env=_HERE, check=False).returncode < 0
    assert len(list(bundle.glob(".manifest.sig.*"))) == 1
    check_replaceable(bundle)
    (bundle / "model.onnx").rename(bundle / "model_fp32.onnx")
    assert main(["verify", "b"]) == 1, "nothing that is no part of it is passed over"
    assert main(["sign", "b", "--key", "key"]) == 0
    assert main(["verify", "b", "--public-key", "key.pub"]) == 0


def test_keys_are_private_and_never_overwritten(bundle: Path, error_of: ErrorOf) -> None:
    assert Path("key").stat().st_mode & 0o777 == 0o600
    assert Path("key").read_text() != Path("other").read_text()
    before = Path("key").read_bytes()
    assert "key: expected no file, got one" in error_of("keygen", "key")
    assert Path("key").read_bytes() == before
    Path("new.pub").write_text("somebody's")
    assert "new.pub: expected no file, got one" in error_of("keygen", "new")
    assert not Path("new").exists(), "both or neither"
    assert "No such file" in error_of("keygen", "none/key")


def test_a_private_key_that_others_can_read_is_refused(
    bundle: Path,
    error_of: ErrorOf,
) -> None:
    Path("key").chmod(0o640)
    assert "got mode 0640; chmod 600 key" in error_of("sign", "b", "--key", "key")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x" * 5000,
        ec.generate_private_key(ec.SECP256R1()).private_bytes(*PEM, serialization.NoEncryption()),
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            *PEM, serialization.BestAvailableEncryption(b"secret")
        ),
    ],
    ids=["empty", "long", "another kind", "with a passphrase"],
)
def test_what_is_no_private_key_is_refused(bundle: Path, error_of: ErrorOf, content: bytes) -> None:
    Path("odd").write_bytes(content)
    Path("odd").chmod(0o600)
    assert "odd: expected an Ed25519 " in error_of("sign", "b", "--key", "odd")


def test_what_is_no_public_key_is_refused(bundle: Path, error_of: ErrorOf) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    content = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_durably(Path("ec.pub"), content)
    for name, got in [
        ("key", "PEM that holds no public key"),
        ("ec.pub", "one of the kind ECPublicKey"),
        ("none", "No such file or directory"),
    ]:
        error = error_of("verify", "b", "--public-key", name)
        assert f"{name}: expected an Ed25519 key in PEM, got {got}" in error


@pytest.mark.parametrize("arguments", [["verify", "b", "--public-key", "key.pub"], ["keygen", "k"]])
def test_without_the_package_the_remedy_is_named(
    bundle: Path,
    error_of: ErrorOf,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    error = error_of(*arguments)
    assert "expected the package cryptography to use this key, got " in error
    assert error.endswith("; pip install '.[sign]' in linetag's folder\n")
    assert main(["verify", "b"]) == 0, "without a key nothing is missing"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_shows_examples_and_misuse_is_exit_2(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"  python -m export {command} " in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main([command])
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "extras", "command"),
    [
        ("onnx", ".[export]", ("lint", "graph.onnx")),
        ("onnxruntime", ".[export,cpu]", ()),
    ],
)
def test_a_missing_package_is_one_line_with_the_remedy(
    tmp_path: Path, package: str, extras: str, command: tuple[str, ...]
) -> None:
    source = f"raise ModuleNotFoundError('No {package}', name='{package}')"
    (tmp_path / f"{package}.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "export", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        1,
        f"error: expected the package {package}, got none installed; "
        f"pip install '{extras}' in linetag's folder\n",
    )


class FullDisk(io.StringIO):
    """Standard output as a full disk has it."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_export_whose_table_nobody_takes_is_told_in_a_line(
    bundle: Path, error_of: ErrorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `> /dev/full`: minutes of work are written, only the table is not."""
    made = Bundle.load(bundle)
    monkeypatch.setattr("export.pipeline.export", lambda config: made)
    monkeypatch.setattr(sys, "stdout", FullDisk())
    error = error_of("--json")
    assert error.startswith("error: standard output: No space left on device; ")
