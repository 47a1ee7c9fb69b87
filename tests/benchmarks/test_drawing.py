import pytest

from benchmarks.drawing import needing_matplotlib
from serve.errors import DataError


def test_a_missing_matplotlib_is_told_with_what_installs_it() -> None:
    told = r"matplotlib, got No module named 'absent'; pip install '\.\[bench\]'"
    with pytest.raises(DataError, match=told), needing_matplotlib():
        import absent  # type: ignore[import-not-found]  # noqa: F401
