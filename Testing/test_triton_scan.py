"""The Triton kernels of the selective scan against the recurrence: interpreted, and on a GPU if there is one.

Without a GPU this shows that they compute the right thing and compile; with one, run it to check them there.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses import FakeTensorMode

from AMDiffLib.networks import selective_scan as scans
from AMDiffLib.networks.selective_scan import backend_for, triton_usable

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed: its kernels are not tested", allow_module_level=True)

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton_cases import CASES, Case, error_of_views, errors

from AMDiffLib.networks import triton_kernels

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")

# In half precision a unit in the last place of what is returned, which the interpreter cuts off.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2**-7, torch.float16: 2**-10}

AS_LAUNCHED = {
    "whole chunks": Case(size=(2, 128, 6, 4), small=False),
    "large": Case(size=(4, 40, 256, 32), small=False),
    "long": Case(size=(1, 5000, 100, 16), small=False),
    "long, in bfloat16": Case(size=(1, 5000, 100, 16), small=False, dtype=torch.bfloat16),
}


@pytest.fixture(scope="module")
def interpreted():
    """What the kernels give under Triton's interpreter, which must be chosen before Triton is imported."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("triton_cases.py"))],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", CASES)
def test_the_interpreted_kernels_and_their_gradients_are_the_recurrence(name, interpreted):
    for of, error in interpreted["errors"][name].items():
        assert error < TOLERANCE[CASES[name].dtype], of


def test_the_interpreted_kernels_take_views(interpreted):
    assert interpreted["views"] < 1e-12


def test_the_trial_of_the_interpreted_kernels_succeeds(interpreted):
    assert interpreted["usable"]


KERNELS = ("chunk_ends", "carry", "outputs", "chunk_fronts", "gradients")
CONSTANTS = {"REAL": tl.float32, "BLOCK_D": 32, "BLOCK_N": 16, "KEPT": 32, "KEEP": True, "REVERSE": True}
SIZES = ("length", "channels", "states", "chunks", "steps")


@pytest.mark.parametrize("name", KERNELS)
def test_the_kernels_compile_for_a_gpu_that_need_not_be_here(name, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(triton_kernels, name)
    constants = {key: value for key, value in CONSTANTS.items() if key in kernel.arg_names}
    types = dict.fromkeys(kernel.arg_names, "*fp32") | dict.fromkeys(constants, "constexpr")
    types |= {size: "i32" for size in SIZES if size in kernel.arg_names}
    compiled = triton.compile(
        ASTSource(kernel, types, constexprs=constants),
        target=GPUTarget("cuda", 80, 32),
        options={"num_warps": 1, "num_stages": 1},
    )
    assert compiled.asm["cubin"][:4] == b"\x7fELF"
    # Too little for a block of states: no step rearranges them among the threads.
    assert compiled.metadata.shared < 16 * 32 * 4


@pytest.fixture
def on_cuda():
    """Tensors that say they are on a GPU, without one."""
    with FakeTensorMode():
        return {dtype: torch.empty(1, 64, 8, device="cuda", dtype=dtype) for dtype in TOLERANCE}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an NVIDIA GPU here")
def test_where_triton_cannot_run_plain_pytorch_is_used_and_a_warning_says_why(on_cuda):
    triton_usable.cache_clear()
    with pytest.warns(RuntimeWarning, match="cannot be used on cuda.*CUDA"):
        assert backend_for(on_cuda[torch.float32], states=16) == "torch"


def test_kernels_that_give_something_else_are_not_used(monkeypatch):
    triton_usable.cache_clear()
    monkeypatch.setattr(scans, "_trial_error", lambda device, *, gradients: 0.5)
    with pytest.warns(RuntimeWarning, match=r"off by 5.0e-01"):
        assert not triton_usable(torch.device("cuda"), gradients=False)
    triton_usable.cache_clear()


def test_on_a_gpu_mamba_ssm_comes_before_triton_and_triton_before_plain_pytorch(on_cuda, monkeypatch):
    def chosen(dtype=torch.float32):
        return backend_for(on_cuda[dtype], states=16)

    monkeypatch.setattr(scans, "triton_usable", lambda device, *, gradients: True)
    monkeypatch.setattr(scans, "_cuda_scan", lambda: "a kernel")
    assert (chosen(), chosen(torch.bfloat16)) == ("mamba_ssm", "mamba_ssm")
    assert chosen(torch.float64) == "triton"  # which mamba_ssm does not take
    monkeypatch.setattr(scans, "_cuda_scan", lambda: None)
    assert chosen() == "triton"
    monkeypatch.setattr(scans, "triton_usable", lambda device, *, gradients: False)
    assert chosen() == "torch"


def test_triton_is_never_chosen_on_the_cpu(monkeypatch):
    monkeypatch.setattr(scans, "triton_usable", lambda device, *, gradients: True)
    assert backend_for(torch.zeros(4, 4096, 64), states=16) in ("numba", "torch")


@needs_gpu
@pytest.mark.parametrize("case", (CASES | AS_LAUNCHED).values(), ids=(CASES | AS_LAUNCHED).keys())
def test_the_kernels_and_their_gradients_are_the_recurrence_on_the_gpu(case):
    for of, error in errors(case, "cuda").items():
        assert error < TOLERANCE[case.dtype], of


@needs_gpu
def test_the_kernels_take_views_on_the_gpu():
    assert error_of_views("cuda") < 1e-12


@needs_gpu
@pytest.mark.parametrize("gradients", [False, True])
def test_the_trial_on_the_gpu_succeeds(gradients):
    assert triton_usable(torch.device("cuda"), gradients=gradients)
