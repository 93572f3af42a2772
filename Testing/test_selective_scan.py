"""The selective scan against the recurrence, step by step in float64; the Mamba block's published layout."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from AMDiffLib.networks import chunked_scan
from AMDiffLib.networks import selective_scan as scans
from AMDiffLib.networks.chunked_scan import chunk_length
from AMDiffLib.networks.mamba import Mamba
from AMDiffLib.networks.selective_scan import backend_for, selective_scan

# batch, length, channels, states: whole chunks, a remainder, less than a chunk, one chunk for large steps.
SIZES = [(2, 128, 6, 4), (3, 101, 5, 8), (1, 3, 4, 2), (4, 40, 256, 32)]


@pytest.fixture(params=["torch", "numba"])
def backend(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="numba is not installed: the compiled scan is not tested")
    return request.param


def step_by_step(u, delta, A, B, C, D, z, delta_bias):
    """The recurrence of Gu and Dao (2023), discretised as in `mamba_ssm`, one token at a time."""
    delta = functional.softplus(delta + delta_bias)
    state = u.new_zeros(u.shape[0], u.shape[2], A.shape[1])
    outputs = []
    for step in range(u.shape[1]):
        decay = torch.exp(delta[:, step, :, None] * A)
        state = decay * state + (delta[:, step] * u[:, step])[:, :, None] * B[:, step, None, :]
        outputs.append((state * C[:, step, None, :]).sum(-1) + D * u[:, step])
    return torch.stack(outputs, dim=1) * functional.silu(z)


def arguments(batch, length, channels, states, dtype=torch.float64):
    generator = torch.Generator().manual_seed(length)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    A = -torch.arange(1, states + 1, dtype=torch.float64).repeat(channels, 1)
    sequences = [normal(batch, length, channels), normal(batch, length, channels)]
    exact = [*sequences, A, normal(batch, length, states), normal(batch, length, states), normal(channels)]
    exact += [normal(batch, length, channels), normal(channels) - 3]
    return [x.to(dtype).requires_grad_() for x in exact]


NAMES = ["u", "delta", "A", "B", "C", "D", "z", "delta_bias"]


def relative_error(value: torch.Tensor, exact: torch.Tensor) -> float:
    return float(((value.double() - exact).abs().max() / exact.abs().max()).detach())


@pytest.mark.parametrize("size", SIZES)
def test_the_scan_is_the_recurrence_to_single_precision(size, backend):
    exact = step_by_step(*arguments(*size))
    result = selective_scan(*arguments(*size, dtype=torch.float32), backend=backend)
    assert relative_error(result, exact) < 1e-5


def assert_gradients_are_those_of_the_recurrence(size, backend):
    exact_arguments = arguments(*size)
    weights = torch.randn(size[:3], dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    exact = torch.autograd.grad(step_by_step(*exact_arguments), exact_arguments, weights)
    in_double = torch.autograd.grad(
        selective_scan(*exact_arguments, backend=backend), exact_arguments, weights
    )
    single_arguments = arguments(*size, dtype=torch.float32)
    in_single = torch.autograd.grad(
        selective_scan(*single_arguments, backend=backend), single_arguments, weights.float()
    )
    for name, value, double, single in zip(NAMES, exact, in_double, in_single, strict=True):
        assert relative_error(double, value) < 1e-12, name
        assert relative_error(single, value) < 2e-5, name


@pytest.mark.parametrize("size", SIZES)
def test_the_gradients_are_those_of_the_recurrence(size, backend):
    assert_gradients_are_those_of_the_recurrence(size, backend)


@pytest.mark.parametrize("size", SIZES)
def test_the_gradients_are_the_same_sequence_by_sequence(size, monkeypatch):
    monkeypatch.setattr(chunked_scan, "KEPT_ELEMENTS", 1)
    assert_gradients_are_those_of_the_recurrence(size, "torch")


@pytest.mark.parametrize("threads", [1, 3])
def test_the_gradients_are_the_same_however_channels_are_shared_among_threads(threads, monkeypatch):
    compiled_scan = pytest.importorskip(
        "AMDiffLib.networks.compiled_scan", reason="numba is not installed: the compiled scan is not tested"
    )
    monkeypatch.setattr(compiled_scan, "WIDEST_BLOCK", 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert_gradients_are_those_of_the_recurrence((2, 70, 12, 4), "numba")


def test_the_compiled_exponential_is_that_of_single_precision():
    numba = pytest.importorskip("numba", reason="numba is not installed: the compiled scan is not tested")
    from AMDiffLib.networks import scan_kernels

    @numba.njit
    def evaluate(x, exponentials, logarithms):
        for i in range(x.size):
            exponentials[i] = scan_kernels.exponential(x[i])
            logarithms[i] = scan_kernels.log_one_plus(exponentials[i])

    x = torch.linspace(-86, 0, 200_001)
    exponentials, logarithms = torch.empty_like(x), torch.empty_like(x)
    evaluate(x.numpy(), exponentials.numpy(), logarithms.numpy())
    exact = x.double().exp()
    assert float((exponentials / exact - 1).abs().max()) < 1e-7
    assert float((logarithms / torch.log1p(exponentials.double()) - 1).abs().max()) < 3e-7
    # Beyond what float32 holds: a decay of 1e-38 instead of 0, and nothing infinite.
    evaluate(torch.tensor([-1e4, 1e4]).numpy(), exponentials.numpy(), logarithms.numpy())
    assert float(exponentials[0]) < 2e-38 and torch.isfinite(exponentials[1])


def test_the_kernels_are_compiled_even_where_no_folder_can_hold_them(monkeypatch):
    numba = pytest.importorskip("numba", reason="numba is not installed: the compiled scan is not tested")
    from AMDiffLib.networks import scan_kernels

    def without_folder(*, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")  # numba's words
        return compile_with(**options)

    compile_with = numba.njit
    monkeypatch.setattr(numba, "njit", without_folder)
    twice = scan_kernels._compiled(fastmath={"contract"})(lambda x: x + x)
    assert twice(2.0) == 4.0


def test_the_scan_stays_exact_within_half_precision(backend):
    exact = step_by_step(*arguments(2, 64, 6, 4))
    with torch.autocast("cpu", torch.bfloat16):
        result = selective_scan(*arguments(2, 64, 6, 4, dtype=torch.float32), backend=backend)
    assert relative_error(result, exact) < 1e-5


def test_numba_is_used_for_long_sequences_where_it_is_installed(monkeypatch):
    long, short = torch.zeros(4, 4096, 64), torch.zeros(4, 16, 64)
    monkeypatch.setattr(scans, "numba_installed", lambda: True)
    assert [backend_for(u, states=16) for u in (long, short)] == ["numba", "torch"]
    monkeypatch.setattr(scans, "numba_installed", lambda: False)
    assert backend_for(long, states=16) == "torch"


def test_a_long_memory_neither_overflows_nor_fades(backend):
    # A -> 0: the state sums all inputs, here 5,000 of 1/5000.
    length = 5000
    ones, zero = torch.ones(1, length, 1), torch.zeros(1)
    step = torch.full((1, length, 1), 1 / length)
    raw_step = torch.log(torch.expm1(step))
    A, gate = torch.full((1, 1), -1e-9), torch.full_like(ones, 30.0)
    y = selective_scan(ones, raw_step, A, ones, ones, zero, gate, zero, backend=backend)
    assert float(y[0, -1, 0]) == pytest.approx(30.0, rel=1e-3)
    assert float(y[0, length // 2 - 1, 0]) == pytest.approx(15.0, rel=1e-3)


@pytest.mark.parametrize(("length", "elements", "chunk"), [(4096, 2048, 45), (4096, 10**6, 4096), (6, 64, 6)])
def test_the_chunk_keeps_the_number_of_steps_least(length, elements, chunk):
    assert chunk_length(length, elements) == chunk


# The layout of mamba_ssm.Mamba(d_model, d_state=16, d_conv=4, expand=2): 2 d_model channels, steps of rank
# d_model / 16.
PUBLISHED = {
    64: {
        "A_log": (128, 16),
        "D": (128,),
        "in_proj.weight": (256, 64),
        "conv1d.weight": (128, 1, 4),
        "conv1d.bias": (128,),
        "x_proj.weight": (36, 128),
        "dt_proj.weight": (128, 4),
        "dt_proj.bias": (128,),
        "out_proj.weight": (64, 128),
    },
    256: {
        "A_log": (512, 16),
        "D": (512,),
        "in_proj.weight": (1024, 256),
        "conv1d.weight": (512, 1, 4),
        "conv1d.bias": (512,),
        "x_proj.weight": (48, 512),
        "dt_proj.weight": (512, 16),
        "dt_proj.bias": (512,),
        "out_proj.weight": (256, 512),
    },
}


@pytest.mark.parametrize("d_model", PUBLISHED)
def test_the_mamba_block_has_the_published_parameter_names_and_shapes(d_model):
    assert {name: tuple(p.shape) for name, p in Mamba(d_model).state_dict().items()} == PUBLISHED[d_model]


def test_the_mamba_block_starts_with_the_published_steps_and_decays():
    torch.manual_seed(0)
    mamba = Mamba(256)
    steps = functional.softplus(mamba.dt_proj.bias.detach())
    assert 1e-3 * 0.999 < float(steps.min()) < 2e-3
    assert 5e-2 < float(steps.max()) < 0.1 * 1.001
    torch.testing.assert_close(-mamba.A_log[7].exp(), -torch.arange(1.0, 17.0))
    assert float(mamba.dt_proj.weight.detach().abs().max()) <= 16**-0.5


def test_a_token_of_the_mamba_block_sees_only_the_tokens_before_it():
    torch.manual_seed(0)
    mamba = Mamba(16, d_state=4)
    tokens = torch.randn(1, 30, 16)
    changed = tokens.clone()
    changed[:, 20:] += 1.0
    before, after = mamba(tokens), mamba(changed)
    torch.testing.assert_close(before[:, :20], after[:, :20])
    assert float((before[:, 20:] - after[:, 20:]).abs().max()) > 1e-3
