from pathlib import Path

import pytest

from benchmarks.word_policy import main


def test_what_train_refuses_is_one_line_and_writes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "figures" / "policy.json"
    assert main(["--data", str(tmp_path / "none"), "--output", str(output)]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"error: {tmp_path}/none: expected a folder with train, dev and test")
    assert err.count("\n") == 1
    assert not output.parent.exists()
