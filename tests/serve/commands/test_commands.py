"""Tests the command line: what goes to standard output, what to standard error, and the exits."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from benchmarks.triton import TritonServer
from serve.__main__ import VERBS, main
from serve.client.requests import MAX_REQUEST_TEXTS
from serve.commands.publish import PublishConfig
from serve.commands.publish import parse_args as parse_publish
from serve.commands.start import StartConfig
from serve.commands.start import parse_args as parse_start
from serve.commands.tag import TagConfig
from serve.commands.tag import parse_args as parse_tag
from serve.limits import MAX_CHARS
from serve.tagger import Tagger
from tests.serve.fake_triton import fake_triton, proper_answer, texts_of
from tests.serve.tiny import noisy_lines, overflowing, write_bundle

ROOT = Path(__file__).resolve().parents[3]
LINES = ["fix pump 🔧", "", "e\u0301tat hose"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project folder with a bundle and lines, in which the commands run."""
    write_bundle(tmp_path / "build" / "bundle")
    (tmp_path / "lines.txt").write_text("\n".join(LINES))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def serve(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "serve", *arguments]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=cwd, env=variables, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def shell(line: str, *, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does, which can close streams."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
    return subprocess.run(
        f'"$PYTHON" -m serve {line}',
        cwd=cwd,
        env=variables,
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )


def test_lines_become_json_in_their_order(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tag", "lines.txt"]) == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in rows] == LINES
    for row, expected in zip(rows, Tagger.load("build/bundle").tag(LINES), strict=True):
        assert row["entities"] == [
            {**entity.to_json(), "text": row["text"][entity.start : entity.end]}
            for entity in expected
        ]
    assert rows[0]["entities"]
    assert err == "build/bundle/model_fp32.onnx: fp32 on CPUExecutionProvider\n"


def test_standard_input_is_read_without_files(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"fix\n")))
    assert main(["tag"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == "fix"


def test_colour_is_for_those_who_ask(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tag", "--color", "lines.txt"]) == 0
    out = capsys.readouterr().out
    assert "\x1b[38;5;16;48;5;" in out
    assert out.splitlines()[-2] == ""
    assert not out.startswith("{")


def test_no_color_is_respected_on_a_terminal(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["tag", "lines.txt"]) == 0
    assert "\x1b[" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["tag", "lines.txt"]) == 0
    out = capsys.readouterr().out
    assert "\x1b[" not in out
    assert "[fix" in out


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"x" * (MAX_CHARS + 1), f"bad.txt:2: expected at most {MAX_CHARS} characters"),
        (b"\xff", "bad.txt:2: expected UTF-8, got byte 0"),
    ],
)
def test_a_bad_line_ends_it_after_the_lines_before(
    project: Path, capsys: pytest.CaptureFixture[str], bad: bytes, message: str
) -> None:
    (project / "bad.txt").write_bytes(b"fix\n" + bad + b"\nhose\n")
    assert main(["tag", "bad.txt"]) == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["fix"]
    assert err.splitlines()[-1].startswith(f"error: {message}")


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_line_that_the_graph_fails_on_is_named_after_the_lines_before(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = overflowing(project / "overflowing")
    (project / "first.txt").write_text("fix\nhose\n")
    (project / "second.txt").write_text("pump\nreplace motor\nhose\n")
    assert main(["tag", "--bundle", str(bundle), "first.txt", "second.txt"]) == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["fix", "hose", "pump"]
    assert err.splitlines()[-1].startswith("error: second.txt:2: expected finite logits, got NaN")


def test_a_line_that_a_triton_refuses_is_named_after_the_lines_before(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"pump {number}" for number in range(MAX_REQUEST_TEXTS + 10)]
    (project / "many.txt").write_text("\n".join([*lines, "sick", "pump"]))
    asked: list[list[str]] = []

    def answer(
        request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        asked.append(texts_of(request))
        if "sick" in asked[-1]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not this one")
        return proper_answer(request)

    with fake_triton(answer) as url:
        assert main(["tag", "--url", url, "many.txt"]) == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == lines
    assert f"error: many.txt:{len(lines) + 1}: {url} refused: not this one" in err
    assert asked.count(lines[:MAX_REQUEST_TEXTS]) == 1, "what was answered is not asked again"


def test_what_a_triton_answered_is_written_before_a_later_request_fails(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"pump {number}" for number in range(MAX_REQUEST_TEXTS)]
    (project / "many.txt").write_text("\n".join([*lines, "sick"]))

    def answer(
        request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        if "sick" in texts_of(request):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not this one")
        return proper_answer(request)

    with fake_triton(answer) as url:
        assert main(["tag", "--url", url, "many.txt"]) == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == lines
    assert "not this one" in err.splitlines()[-1]


def test_nothing_that_a_server_says_steers_the_terminal(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(
        request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        if texts_of(request) == [LINES[0]]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no\r\x1b[2J\u202eone")
        answered = proper_answer(request)
        for number, content in enumerate(answered.raw_output_contents):
            hostile = content.replace(b"fake.onnx", b"\\u001b]0;")  # as long
            answered.raw_output_contents[number] = hostile
        return answered

    (project / "one.txt").write_text(LINES[0])
    with fake_triton(answer) as url:
        assert main(["tag", "--url", url, "one.txt"]) == 1
    said, error = capsys.readouterr().err.splitlines()
    assert said == f"{url}: \ufffd]0;, fp32 on CPU"
    assert error.startswith("error: ")
    assert "no\ufffd\ufffd[2J\ufffdone" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tag", "none.txt"], "none.txt: expected a readable file, got No such file"),
        (["tag", "--bundle", "none"], "none/manifest.json: expected a readable file"),
        (["tag", "--precision", "int8"], "expected a graph in int8, got fp32; export with --int8"),
        (["tag", "--url", "127.0.0.1:1"], "127.0.0.1:1: expected a Triton that answers"),
        (["tag", "--public-key", "none"], "none: expected an Ed25519 key in PEM, got No such"),
        (["publish", "--public-key", "none"], "none: expected an Ed25519 key in PEM, got No such"),
        (
            ["publish", "--plan", "none"],
            "bundle: expected a graph for TensorRT that none was built",
        ),
        (["publish", "--bundle", "none"], "none/manifest.json: expected a readable file"),
        (["start", "--triton", "none"], "none/bin/python: expected a Python that runs"),
    ],
)
def test_a_failure_is_one_line_and_exit_1(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["tag", "--unknown"],
        ["tag", "--precision", "fp8"],
        ["tag", "--json", "--color"],
        ["tag", "--url", "a:1", "--bundle", "b"],
        ["tag", "--url", "a:1", "--precision", "int8"],
        ["tag", "--url", "a:1", "--public-key", "k"],
        ["tag", "--url", "a:1", "--tls-key", "k"],
        ["tag", "--tls-authority", "a", "--tls-certificate", "c", "--tls-key", "k"],
        ["start", "--grpc-port", "65536"],
        ["stop", "now"],
        ["publish", "--timeout", "inf"],
        ["publish", "--timeout", "86401"],
        ["promote", "--timeout", "nan"],
        ["promote", "--timeout=-1"],
        ["rollback", "--timeout", "0"],
        ["rollback", "--timeout", "soon"],
    ],
)
def test_misuse_is_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    assert f"    python -m serve {verb}" in capsys.readouterr().out


def test_the_configs_hold_every_default() -> None:
    assert parse_tag([]) == TagConfig()
    assert parse_publish([]) == PublishConfig()
    assert parse_start([]) == StartConfig()


def test_tagging_with_triton_needs_no_onnx_runtime(project: Path) -> None:
    script = (
        "import sys; sys.modules['onnxruntime'] = None; from serve.__main__ import main;"
        "raise SystemExit(main(sys.argv[1:]))"
    )

    def tag(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, "tag", *arguments, "lines.txt"]
        variables = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)

    remote, embedded = tag("--url", "127.0.0.1:1"), tag()
    assert (remote.returncode, embedded.returncode) == (1, 1)
    assert remote.stderr.startswith("error: 127.0.0.1:1: expected a Triton that answers")
    (message,) = embedded.stderr.splitlines()
    expected = "the package onnxruntime, or --url of a Triton"
    assert message.startswith(f"error: expected {expected}, got ")
    assert message.endswith("; pip install '.[cpu]' in linetag's folder")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return status and standard error of commands where only what a client needs is installed."""
    script = """
import contextlib, io, json, sys
for name in ("tritonclient", "grpc", "google", "prometheus_client", "rich", "onnxruntime", "torch"):
    sys.modules[name] = None
from export.__main__ import main as export
from serve.__main__ import VERBS, main
told = {}
commands = [f"{verb} {rest}".strip() for verb in (*VERBS, "export") for rest in ("", "--help")]
for words in map(str.split, commands):
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(said):
        try:
            status = export(words[1:]) if words[0] == "export" else main(words)
        except SystemExit as end:
            status = end.code
        except Exception as error:
            status = repr(error)
    told[" ".join(words)] = status, said.getvalue()
print(json.dumps(told))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path_factory.mktemp("bare"),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("command", [*VERBS, "export"])
def test_help_needs_no_package(bare: dict[str, Any], command: str) -> None:
    status, said = bare[f"{command} --help"]
    assert (status, said[:6]) == (0, "usage:")


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("status", 1, "ready       no: not started; "),
        ("restart", 1, "error: build/triton: expected a supervisor, got none"),
        ("stop", 0, "no server to stop"),
        ("history", 0, "no history in model_repository: nothing published\n"),
    ],
)
def test_a_command_that_needs_no_package_runs_without(
    bare: dict[str, Any], command: str, status: int, said: str
) -> None:
    assert bare[command][0] == status
    assert bare[command][1].startswith(said)


@pytest.mark.parametrize(
    ("command", "package", "remedy"),
    [
        ("start", "s tritonclient and prometheus_client, got ", "'.[triton,metrics]'"),
        ("publish", " tritonclient, got ", "'.[triton]'"),
        ("promote", " tritonclient, got ", "'.[triton]'"),
        ("rollback", " tritonclient, got ", "'.[triton]'"),
        ("tune", " onnxruntime, got ", "'.[cpu]'"),
        ("tag", " onnxruntime, or --url of a Triton, got ", "'.[cpu]'"),
        ("top", " rich, got ", "'.[top]'"),
        ("export", " torch, got ", "'.[export]'"),
    ],
)
def test_a_package_that_lacks_is_one_line_with_the_remedy(
    bare: dict[str, Any], command: str, package: str, remedy: str
) -> None:
    status, said = bare[command]
    assert status == 1
    assert said.startswith(f"error: expected the package{package}")
    assert said.endswith(f"; pip install {remedy} in linetag's folder\n")
    assert said.count("\n") == 1


def test_a_reader_who_has_seen_enough_is_told_nothing(project: Path) -> None:
    (project / "long.txt").write_text("\n".join(noisy_lines(20_000)))
    with serve("tag", "long.txt", cwd=project) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(timeout=30) == 1
    assert "Traceback" not in errors
    assert "error" not in errors


@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        (
            "lines.txt > /dev/full",
            "standard output: No space left on device; make room there, or choose another place",
        ),
        ("lines.txt >&-", "standard output: Bad file descriptor"),
        ("<&-", "standard input: expected a readable file, got Bad file descriptor"),
    ],
)
def test_a_stream_that_is_closed_or_full_is_told(
    project: Path, redirection: str, message: str
) -> None:
    done = shell(f"tag {redirection}", cwd=project)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [f"error: {message}"]


@pytest.mark.parametrize("verb", [["top"], ["top", "--json"], ["status"]])
def test_a_closed_standard_output_is_told_by_those_who_watch(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: list[str],
) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it after >&-
    assert main(verb) == 1
    assert capsys.readouterr().err == "error: standard output: Bad file descriptor\n"


def test_closed_streams_that_are_not_used_are_no_error(project: Path) -> None:
    done = shell("tag lines.txt <&- 2>&-", cwd=project)
    assert done.returncode == 0
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == LINES
    done = shell("tag none.txt 2>&-", cwd=project)
    assert (done.returncode, done.stdout) == (1, "")
    assert shell("stop >&-", cwd=project).returncode == 0


@pytest.mark.parametrize("verb", ["tag lines.txt", "publish", "tag none.txt"])
def test_remarks_that_nobody_takes_change_nothing_else(project: Path, verb: str) -> None:
    full, closed = shell(f"{verb} 2> /dev/full", cwd=project), shell(f"{verb} 2>&-", cwd=project)
    assert full.returncode == closed.returncode == (verb == "tag none.txt")
    if verb != "publish":
        assert full.stdout == closed.stdout
    assert bool(full.stdout) == (verb != "tag none.txt")


@pytest.mark.parametrize(
    ("package", "verb"),
    [
        ("numpy", ["start"]),
        ("numpy", ["publish"]),
        ("numpy", ["tag", "--url=127.0.0.1:1"]),
        ("onnxruntime", ["tag"]),
        ("onnxruntime", ["tune"]),
    ],
)
def test_ctrl_c_while_packages_are_imported_ends_without_a_word(
    project: Path, package: str, verb: list[str]
) -> None:
    script = """
import os, signal, sys
from serve.__main__ import main
class Interrupted:
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupted())
raise SystemExit(main(sys.argv[2:]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, package, *verb],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_folder_that_start_cannot_make_is_told(
    project: Path, environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["publish"])
    (project / "build" / "triton").symlink_to("gone/too")
    assert main(["start", "--detach", "--triton", str(environment)]) == 1
    (message,) = capsys.readouterr().err.splitlines()[1:]
    assert message == (
        "error: build/triton: expected a writable folder, got File exists; remove what is there"
    )


@pytest.mark.triton
def test_triton_tags_lines_as_the_bundle_does(
    server: TritonServer,
    served_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(noisy_lines(600, seed=7)))
    assert main(["tag", "--bundle", str(served_bundle), str(path)]) == 0
    embedded = capsys.readouterr()
    assert main(["tag", "--url", server.url, str(path)]) == 0
    behind = capsys.readouterr()
    assert behind.out == embedded.out
    assert behind.err == f"{server.url}: model_int8.onnx, int8 on CPUExecutionProvider\n"


@pytest.mark.parametrize("more", [[], ["--precision", "int8"], ["--public-key", "key.pub"]])
def test_an_empty_url_is_no_permission_to_tag_with_the_bundle(
    more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_tag(["--url", "", *more])
    assert caught.value.code == 2
    assert "error: --" in capsys.readouterr().err
