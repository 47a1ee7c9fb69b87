"""The Makefile: names reach the commands whole, and a venv has the ONNX Runtime of the hardware.

Only make is real: Python and nvidia-smi are stand-ins in a folder of their own.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

PYTHON = """#!/bin/sh
# Stands in for Python: makes venvs, and notes what pip is asked for.
case "$*" in *"print(*sys.version_info"*) echo 3.11; exit ;; esac
echo "$@" >> "$CALLS"
case "$*" in
"-m venv "*)
    for folder; do :; done
    case "$*" in *--clear*) rm -rf "$folder" ;; esac
    mkdir -p "$folder/bin" "$folder/lib/python3.11/site-packages"
    cp "$0" "$folder/bin/python" ;;
*"onnxruntime-gpu["*"]=="*) name=onnxruntime_gpu ;;
*"onnxruntime=="*) name=onnxruntime ;;
esac
if [ "${name:-}" ]; then
    for wanted; do :; done
    mkdir -p "$(dirname "$0")/../lib/python3.11/site-packages/$name-${wanted##*==}.dist-info"
fi
"""
GPU = "#!/bin/sh\necho 'GPU 0: made up'\n"
NO_GPU = "#!/bin/sh\nexit 9\n"


class Checkout:
    """A folder with the Makefile and what it asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(ROOT / "Makefile", folder)
        for name in ("pyproject.toml", ".ci/lock/main.txt", ".ci/lock/triton.txt"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        self.program("stub/python3", PYTHON)
        self.program("stub/nvidia-smi", NO_GPU)

    def program(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def make(self, *arguments: str) -> str:
        path = f"{self.folder / 'stub'}:{os.environ['PATH']}"
        environment = {"PATH": path, "CALLS": str(self.folder / "calls")}
        return subprocess.run(
            ["make", *arguments], cwd=self.folder, env=environment, check=True, text=True,
            capture_output=True,
        ).stdout  # fmt: skip

    def runtimes(self) -> list[str]:
        infos = self.folder.glob(".venv*/lib/*/site-packages/onnxruntime*.dist-info")
        return sorted(f"{info.parts[-5]}: {info.name.partition('-')[0]}" for info in infos)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_names_with_blanks_and_quotes_reach_the_commands_whole(checkout: Checkout) -> None:
    given = {
        "DATA": "my lines, mwo2kg",
        "MODEL": "it's my model",
        "LABEL_MAP": "My label=It's,Other=",
        "PYTHON": str(checkout.folder / "my stub" / "python3"),
    }
    checkout.program("my stub/python3", PYTHON)
    printed = checkout.make("-n", "run", *(f"{name}={value}" for name, value in given.items()))
    commands = [shlex.split(line) for line in printed.splitlines()]
    (train,) = [command for command in commands if command[1:3] == ["-m", "train"]]
    assert train[3:] == [
        "--data", given["DATA"], "--model", given["MODEL"], "--label-map", given["LABEL_MAP"]
    ]  # fmt: skip
    assert [c[1:3] for c in commands if c and c[0] == given["PYTHON"]].count(["-m", "venv"]) == 2


@pytest.mark.parametrize(
    ("data", "is_mapped"),
    [
        ("../shared/data/mwo2kg", True),
        ("/data/mwo2kg/", True),
        ("/home/me/mwo2kg-new/mine", False),
        ("/home/me/mwo2kg/mine", False),
        ("mwo2kg-clean", False),
    ],
)
def test_mwo2kgs_label_map_is_for_the_folder_of_that_name(
    checkout: Checkout, data: str, is_mapped: bool
) -> None:
    assert ("--label-map" in checkout.make("-n", "run", f"DATA={data}")) is is_mapped
    mine = checkout.make("-n", "run", f"DATA={data}", "LABEL_MAP=Mine=Yours")
    assert "--label-map 'Mine=Yours'" in mine


def test_a_second_setup_does_nothing(checkout: Checkout) -> None:
    checkout.make("setup")
    assert checkout.runtimes() == [".venv-triton: onnxruntime", ".venv: onnxruntime"]
    done = (checkout.folder / "calls").read_text()
    assert checkout.make("setup").startswith("make: Nothing to be done for 'setup'")
    assert (checkout.folder / "calls").read_text() == done


def test_what_builds_this_package_is_locked_too(checkout: Checkout) -> None:
    checkout.make("setup")
    calls = (checkout.folder / "calls").read_text().splitlines()
    builds = [call for call in calls if "--editable" in call]
    assert len(builds) == 2
    assert all("--no-build-isolation" in call for call in builds)
    for name in ("main", "triton"):
        assert "\nsetuptools==" in (ROOT / f".ci/lock/{name}.txt").read_text()


def test_a_gpu_that_came_later_is_used_and_a_driver_that_fails_costs_nothing(
    checkout: Checkout,
) -> None:
    """Each venv has one of the two ONNX Runtimes, whose files lie in the same folder."""
    checkout.make("setup")
    checkout.program("stub/nvidia-smi", GPU)
    checkout.make("setup")
    assert checkout.runtimes() == [".venv-triton: onnxruntime_gpu", ".venv: onnxruntime_gpu"]
    assert checkout.make("setup").startswith("make: Nothing to be done for 'setup'")
    checkout.program("stub/nvidia-smi", NO_GPU)
    assert checkout.make("setup").startswith("make: Nothing to be done for 'setup'")
    later = (checkout.folder / ".venv/ready").stat().st_mtime + 1
    os.utime(checkout.folder / "pyproject.toml", (later, later))
    checkout.make("setup")
    assert checkout.runtimes() == [".venv-triton: onnxruntime_gpu", ".venv: onnxruntime_gpu"]


def test_what_servers_run_on_is_not_made_anew_under_them(checkout: Checkout) -> None:
    checkout.make("setup")
    program = checkout.folder / ".venv-triton/bin/tritonserver"
    shutil.copy("/bin/sleep", program)
    checkout.program("stub/nvidia-smi", GPU)
    with subprocess.Popen([program, "600"]) as server:
        try:
            with pytest.raises(subprocess.CalledProcessError) as refused:
                checkout.make("setup")
        finally:
            server.kill()
    assert "expected no server of .venv-triton while .venv is made anew" in refused.value.stdout
    assert checkout.runtimes() == [".venv-triton: onnxruntime", ".venv: onnxruntime"]
    checkout.make("setup")
    assert checkout.runtimes() == [".venv-triton: onnxruntime_gpu", ".venv: onnxruntime_gpu"]


def test_a_python_of_several_words_is_a_command(checkout: Checkout) -> None:
    printed = checkout.make("-n", "setup", "PYTHON=/usr/bin/env python3")
    assert "\n/usr/bin/env python3 -m venv --clear .venv\n" in printed


def test_other_packages_are_installed_over_those_that_are_there(checkout: Checkout) -> None:
    checkout.make("setup")
    later = (checkout.folder / ".venv/ready").stat().st_mtime + 1
    os.utime(checkout.folder / ".ci/lock/main.txt", (later, later))
    (checkout.folder / "calls").unlink()
    checkout.make("setup")
    calls = (checkout.folder / "calls").read_text()
    assert "-m venv .venv\n" in calls
    assert "--clear" not in calls


def test_a_python_of_another_version_is_used_if_it_is_named(checkout: Checkout) -> None:
    checkout.make("setup")
    checkout.program("stub/python3.12", PYTHON.replace("echo 3.11;", "echo 3.12;"))
    for _ in range(2):
        printed = checkout.make("-n", "setup", "PYTHON=python3.12")
        assert printed.count("'python3.12' -m venv --clear .venv") == 2
        assert checkout.make("setup").startswith("make: Nothing to be done for 'setup'")
    checkout.make("setup", "PYTHON=python3.12")
    for again in (["PYTHON=python3.12"], []):  # named once
        assert checkout.make("setup", *again).startswith("make: Nothing to be done for 'setup'")


@pytest.mark.parametrize("name", [".venv", ".venv-triton"])
def test_a_venv_whose_python_has_gone_is_made_anew(checkout: Checkout, name: str) -> None:
    checkout.make("setup")
    python = checkout.folder / name / "bin" / "python"
    python.unlink()
    python.symlink_to("/no/such/python3")
    (checkout.folder / "calls").unlink()
    checkout.make("setup")
    calls = (checkout.folder / "calls").read_text().splitlines()
    assert [call for call in calls if call.startswith("-m venv")] == [f"-m venv --clear {name}"]
    assert not python.is_symlink()
    assert checkout.make("setup").startswith("make: Nothing to be done for 'setup'")


def test_a_home_stays_one(checkout: Checkout) -> None:
    """Not every shell reads the ~ in DATA=~/lines."""
    printed = checkout.make("-n", "run", "DATA=~/my lines")
    assert """ --data "$HOME"/'my lines' """ in printed


def test_a_python_that_triton_cannot_link_is_told_before_anything_is_installed(
    checkout: Checkout,
) -> None:
    checkout.program(
        "stub/python3",
        PYTHON.replace("case", 'case "$*" in *libpython_of*) exit 1 ;; esac\ncase', 1),
    )
    with pytest.raises(subprocess.CalledProcessError) as error:
        checkout.make("setup")
    assert "expected a libpython beside python3" in error.value.stdout
    assert not (checkout.folder / ".venv").exists()
