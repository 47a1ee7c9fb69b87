"""Owns where Triton lies in a virtual environment of its own, and what it needs to run there.

The wheel nvidia-pytriton carries a whole Triton with its Python backend. Three things it leaves to
whoever starts it (measured on 2.51.0):
* The stub process for this Python's version must lie beside the backend's library.
* The stub needs `libpython3.X.so.1.0`, which no virtual environment has: LD_LIBRARY_PATH must name
  its folder.
* The stub runs the first `python3` on PATH, whatever PYTHONPATH and VIRTUAL_ENV say.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve.errors import ServerError, in_words
from serve.files import staged_file

ENVIRONMENT = Path(".venv-triton")
STUB = "triton_python_backend_stub"
_REMEDY = "make it with make setup"
_PROBE = """
import ctypes, json, os, sys, sysconfig
version = sysconfig.get_config_var("py_version_short")
name = f"libpython{version}.so.1.0"
places = [sysconfig.get_config_var("LIBDIR") or "", os.path.join(sys.base_prefix, "lib")]
found = [place for place in places if os.path.exists(os.path.join(place, name))]
try:
    ctypes.CDLL(os.path.join(found[0], name) if found else name)
except OSError:
    name = None
print(json.dumps({
    "site": sysconfig.get_path("platlib"),
    "version": version,
    "library": name,
    "library_folder": found[0] if found else "",
}))
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """A Triton that can be started.

    Attributes:
        environment: The virtual environment.
        root: The wheel's folder with `bin`, `backends` and `python_backend_stubs`.
        python_version: The environment's, such as "3.11".
        library_folder: Where its libpython lies; empty where the system finds it.
    """

    environment: Path
    root: Path
    python_version: str
    library_folder: str

    @classmethod
    def find(cls, environment: Path) -> Installation:
        """Look a virtual environment over.

        Raises:
            ServerError: If it has no Python, no Triton, or a Python without a shared library.
        """
        environment = environment.absolute()
        facts = _probe(environment / "bin" / "python")
        root = Path(facts["site"]) / "pytriton" / "tritonserver"
        found = cls(environment, root, facts["version"], facts["library_folder"])
        found._check_server()
        if facts["library"] is None:
            raise ServerError(
                f"{environment}: expected libpython{facts['version']}.so.1.0, which Triton's stub "
                "links, got none; use a Python built with --enable-shared or install libpython"
            )
        return found

    @property
    def server(self) -> Path:
        """The program to start."""
        return self.root / "bin" / "tritonserver"

    @property
    def backends(self) -> Path:
        """The folder of Triton's backends."""
        return self.root / "backends"

    def variables(self) -> dict[str, str]:
        """Return the environment variables to start the server with."""
        libraries = [self.library_folder, os.environ.get("LD_LIBRARY_PATH", "")]
        programs = [str(self.environment / "bin"), os.environ.get("PATH", os.defpath)]
        return {
            # Weights in huge pages: a model that idles between lines finds its way to them faster.
            "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
            **os.environ,
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
            "PATH": os.pathsep.join(programs),
        }

    def make_ready(self) -> None:
        """Look whether Triton is there still, and put the stub where it has to be.

        An environment may be made anew, or Triton installed again, while servers run.

        Raises:
            ServerError: If there is no Triton, or as in `place_stub`.
        """
        self._check_server()
        self.place_stub()

    def _check_server(self) -> None:
        if not self.server.exists():
            raise ServerError(
                f"{self.environment}: expected Triton from nvidia-pytriton, got none; {_REMEDY}"
            )

    def place_stub(self) -> None:
        """Put the stub for this Python beside the backend's library, unless it is there.

        Raises:
            ServerError: If the wheel has no stub for this Python, or its folder cannot be written.
        """
        stub = self.root / "python_backend_stubs" / self.python_version / STUB
        target = self.backends / "python" / STUB
        if not stub.exists():
            have = sorted(path.name for path in stub.parent.parent.iterdir())
            raise ServerError(
                f"{self.environment}: expected a Python of {', '.join(have)}, "
                f"got {self.python_version}; {_REMEDY}"
            )
        if target.exists() and filecmp.cmp(stub, target):
            return
        try:
            with staged_file(target) as staging:
                shutil.copy2(stub, staging)
        except OSError as error:
            raise ServerError(
                f"{target}: expected a writable folder, got {in_words(error)}; "
                "its owner puts the stub there with python -m serve start"
            ) from error


def libpython_of(python: Path) -> str | None:
    """Return the name of an interpreter's shared library, or None if it has none to load.

    Raises:
        ServerError: If it does not run.
    """
    library: str | None = _probe(python)["library"]
    return library


def _probe(python: Path) -> dict[str, Any]:
    """Ask an interpreter where its parts lie."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", _PROBE], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerError(
            f"{python}: expected a Python that runs, got {error}; {_REMEDY}"
        ) from error
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts
