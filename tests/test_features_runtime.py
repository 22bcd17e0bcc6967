from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from mcn.errors import UserError
from mcn.features.runtime import _cpu_has_bf16, repeatable, resolve
from mcn.options.encoders import TimmOptions
from mcn.options.features import RuntimeOptions


def test_cpu_defaults_to_fp32():
    runtime = resolve(RuntimeOptions(device="cpu"), threads=3)
    assert (runtime.device.type, runtime.precision, runtime.workers) == ("cpu", "fp32", 3)
    assert runtime.recipe == {"device": "cpu", "precision": "fp32"}
    assert runtime.batch(4, 64) == 4
    assert resolve(RuntimeOptions(device="cpu", batch_size=9)).batch(4, 64) == 9


def test_fp16_on_a_cpu_is_refused():
    with pytest.raises(UserError, match="fp16"):
        resolve(RuntimeOptions(device="cpu", precision="fp16"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_absent_gpu_is_refused():
    with pytest.raises(UserError, match="0 GPUs"):
        resolve(RuntimeOptions(device="cuda:1"))
    assert resolve(RuntimeOptions()).device.type == "cpu"


@pytest.mark.parametrize(("flags", "expected"), [("fma avx512_bf16", True), ("fma avx2", False)])
def test_native_bf16_is_read_from_the_processor(tmp_path: Path, flags, expected):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\nflags\t\t: fpu {flags}\n")
    assert _cpu_has_bf16(cpuinfo) is expected
    assert _cpu_has_bf16(tmp_path / "none") is False


def test_native_bf16_falls_back_to_fp32(monkeypatch):
    monkeypatch.setattr("mcn.features.runtime._cpu_has_bf16", lambda: False)
    assert resolve(RuntimeOptions(device="cpu", precision="native_bf16")).precision == "fp32"
    monkeypatch.setattr("mcn.features.runtime._cpu_has_bf16", lambda: True)
    assert resolve(RuntimeOptions(device="cpu", precision="native_bf16")).precision == "bf16"


def test_repeatable_restores_what_was_set():
    torch.set_num_threads(2)
    with repeatable():
        assert torch.get_num_threads() == 1
        assert not torch.backends.cudnn.allow_tf32
    assert torch.get_num_threads() == 2


def test_options_are_strict():
    with pytest.raises(ValidationError):
        RuntimeOptions(devices="cpu")
    with pytest.raises(ValidationError):
        RuntimeOptions(device="gpu")
    with pytest.raises(ValidationError):
        TimmOptions(weights_sha256="abc")
    for model in (RuntimeOptions, TimmOptions):
        fields = [one for key, one in model.model_fields.items() if key not in ("kind", "encoder")]
        assert all(field.description for field in fields)
