from pathlib import Path

import pytest
import torch

from train.config import Arithmetic
from train.loop.device import autocast, has_bf16, number_format

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 avx512vl", True),
        ("flags\t\t: fpu amx_bf16 amx_tile", True),
        ("Features\t: fp asimd bf16 sve", True),
        ("flags\t\t: fpu avx512f avx512_vnni", False),
        ("Features\t: fp asimd", False),
        ("model name\t: avx512_bf16", False),
    ],
)
def test_bfloat16_is_used_where_the_processor_has_it(
    tmp_path: Path, line: str, expected: bool
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{line}\nbugs\t\t: none\n")
    assert has_bf16(CPU, cpuinfo) is expected


def test_a_system_without_cpuinfo_gets_float32(tmp_path: Path) -> None:
    assert not has_bf16(CPU, tmp_path / "none")


def test_matrix_products_follow_the_hardware_unless_asked_otherwise() -> None:
    fastest = torch.bfloat16 if has_bf16(CPU) else torch.float32
    expected = {Arithmetic.AUTO: fastest, Arithmetic.BF16: torch.bfloat16}
    for arithmetic in (Arithmetic.AUTO, Arithmetic.BF16, Arithmetic.FP32):
        with autocast(CPU, number_format(arithmetic, CPU)):
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == expected.get(arithmetic, torch.float32)
