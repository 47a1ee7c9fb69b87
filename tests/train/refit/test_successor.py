"""What a refit hears of the commands it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serve.errors import TaggingError
from tests.conftest import ROOT
from train.refit.successor import publish_bundle

POSIX = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_command_is_understood_in_a_locale_that_is_not_utf_8(tmp_path: Path) -> None:
    said = "Größe 设备"
    (tmp_path / "says.py").write_text(f"import sys\nsys.stdout.buffer.write({said!r}.encode())\n")
    script = (
        "from pathlib import Path\nfrom train.refit.successor import _run\n"
        "print(ascii(_run(['says'], Path())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, **POSIX, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode() == f"{said!a}\n", done.stderr


def test_what_publishes_an_accepted_challenger_later_is_told_whole(tmp_path: Path) -> None:
    """Without its flags the command would publish the bundle that is beaten."""
    bundle, repository = tmp_path / "next one" / "bundle", tmp_path / "models"
    with pytest.raises(TaggingError) as caught:
        publish_bundle(bundle, repository)
    command = f"serve publish --bundle '{bundle}' --repository {repository}"
    assert str(caught.value).endswith(f"was accepted, publish it with python -m {command}")
