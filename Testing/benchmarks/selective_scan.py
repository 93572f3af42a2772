"""Seconds and peak memory of the selective scan: ours beside the usual ways to write it in PyTorch.

    python Testing/benchmarks/selective_scan.py --output scan-benchmark.json

The implementations take turns, so that other load on the computer falls on all of them; a ratio is the median
of those within one turn. Peak memory is what a process of its own holds more than its arguments.
mambapy (pip install mambapy) is measured where it is installed. About three minutes on two idle cores.
With `--device cuda` our Triton kernels are measured too, and mamba_ssm where it is installed.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

import torch  # noqa: E402
from measuring import peak_bytes, synchronize  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from AMDiffLib.networks.selective_scan import numba_installed, selective_scan, triton_usable  # noqa: E402

PASSES = ("forward", "forward+backward")
BASELINES = ("whole_tensors", "mambapy")
WARM_UP_LENGTH = 256


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--output", type=Path, metavar="FILE", help="write the figures there as JSON")
    p.add_argument("--length", type=int, default=32768, help="tokens (default: 32768)")
    p.add_argument("--channels", type=int, default=128, help="d_inner (default: 128)")
    p.add_argument("--states", type=int, default=16, help="d_state (default: 16)")
    p.add_argument("--turns", type=int, default=5, help="measurements of each (default: 5)")
    p.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    p.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    p.add_argument("--memory-of", nargs=2, metavar=("NAME", "PASS"), help=argparse.SUPPRESS)
    return p


def main() -> None:
    """Measure all; print a table."""
    options = parser().parse_args()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        print(json.dumps(memory_of(*options.memory_of, options)))
        return
    implementations, absent = available(options.device)
    figures = {
        "torch": torch.__version__,
        "device": options.device,
        "threads": options.threads,
        **{name: getattr(options, name) for name in ("length", "channels", "states", "turns")},
        "absent": absent,
        "passes": {
            kind: measured(kind, implementations, options) for kind in ("forward", "forward+backward")
        },
    }
    for kind, rows in figures["passes"].items():
        for name, row in rows.items():
            row["peak_mb"] = round(in_own_process(name, kind) / 1e6, 1)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print_table(figures)


def backend(name: str) -> Callable:
    """Return `selective_scan` by this backend."""
    return functools.partial(selective_scan, backend=name)


def available(device: str) -> tuple[dict[str, Callable], dict[str, str]]:
    """Return what can be measured here, by name, and why the others cannot."""
    found: dict[str, Callable] = {"ours, torch": backend("torch")}
    absent = {}
    if device == "cuda":
        absent["ours, numba"] = "compiles for CPUs only"
        if triton_usable(torch.device("cuda"), gradients=True):
            found["ours, triton"] = backend("triton")
        else:
            absent["ours, triton"] = "Triton is not installed, or cannot run here (a warning then says why)"
        if importlib.util.find_spec("mamba_ssm"):
            found["mamba_ssm"] = backend("mamba_ssm")
        else:
            absent["mamba_ssm"] = "mamba_ssm is not installed"
    else:
        absent["ours, triton"] = absent["mamba_ssm"] = "compiles for GPUs only"
        if numba_installed():
            found["ours, numba"] = backend("numba")
        else:
            absent["ours, numba"] = "numba is not installed"
    found["whole_tensors"] = whole_tensors
    try:
        from mambapy import pscan  # noqa: F401
    except ImportError:
        absent["mambapy"] = "mambapy is not installed (pip install mambapy)"
    else:
        found["mambapy"] = by_mambapy
    return found, absent


def whole_tensors(u, delta, A, B, C, D, z, delta_bias) -> Tensor:
    """The scan as in `selective_scan_ref` of mamba_ssm (Gu and Dao, 2023): decays and inputs of all steps as
    tensors of L x channels x N, then a loop over the steps.

    The steps are taken apart by `unbind`, whose gradient is one tensor; by indexing it would be L of them.
    """
    step = functional.softplus(delta + delta_bias)
    decays = torch.exp(step[..., None] * A)
    gains = (step * u)[..., None] * B[:, :, None]
    state = u.new_zeros(u.shape[0], *A.shape)
    y = []
    for decay, gain, weight in zip(decays.unbind(1), gains.unbind(1), C.unbind(1), strict=True):
        state = decay * state + gain
        y.append((state * weight[:, None]).sum(-1))
    return (torch.stack(y, dim=1) + D * u) * functional.silu(z)


def by_mambapy(u, delta, A, B, C, D, z, delta_bias) -> Tensor:
    """The same with the parallel scan of mambapy (Torres-Leguet, 2024)."""
    from mambapy.pscan import pscan

    step = functional.softplus(delta + delta_bias)
    states = pscan(torch.exp(step[..., None] * A), (step * u)[..., None] * B[:, :, None])
    return ((states @ C[..., None]).squeeze(-1) + D * u) * functional.silu(z)


def arguments(length: int, options: argparse.Namespace) -> list[Tensor]:
    """Return what a Mamba block at its start gives the scan."""
    generator = torch.Generator().manual_seed(0)
    channels, states = options.channels, options.states

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    A = -torch.arange(1.0, states + 1).repeat(channels, 1)
    u, delta, z = (normal(1, length, channels) for _ in range(3))
    B, C = normal(1, length, states), normal(1, length, states)
    values = [u, delta, A, B, C, torch.ones(channels), z, torch.full((channels,), -4.0)]
    return [x.to(options.device).requires_grad_() for x in values]


def run(scan: Callable, kind: str, values: list[Tensor]) -> Tensor:
    """Do one pass; return y."""
    if kind == "forward":
        with torch.inference_mode():
            return scan(*values)
    y = scan(*values)
    torch.autograd.grad(y, values, torch.ones_like(y))
    return y.detach()


def measured(kind: str, implementations: dict[str, Callable], options: argparse.Namespace) -> dict[str, dict]:
    """Return seconds, the largest error and the times of the others in units of its own, by name."""
    values = arguments(options.length, options)
    exact = selective_scan(*(x.detach().double() for x in values), backend="torch")
    rows: dict[str, dict] = {}
    for name, scan in implementations.items():
        run(scan, kind, arguments(WARM_UP_LENGTH, options))
        error = (run(scan, kind, values) - exact).abs().max() / exact.abs().max()
        rows[name] = {"error": float(error), "seconds": [], "cpu_seconds": []}
    for _ in range(options.turns):
        for name, scan in implementations.items():
            synchronize(options.device)
            began, cpu = time.perf_counter(), time.process_time()
            run(scan, kind, values)
            synchronize(options.device)
            rows[name]["seconds"].append(time.perf_counter() - began)
            rows[name]["cpu_seconds"].append(time.process_time() - cpu)
    unit = "seconds" if options.device == "cuda" else "cpu_seconds"
    for row in rows.values():
        row["faster_than"] = {
            other: statistics.median(a / b for a, b in zip(rows[other][unit], row[unit], strict=True))
            for other in BASELINES
            if other in rows
        }
    return rows


def in_own_process(name: str, kind: str) -> float:
    """Return the bytes that one pass of `name` takes beside its arguments."""
    command = [sys.executable, *sys.argv, "--memory-of", name, kind]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_of(name: str, kind: str, options: argparse.Namespace) -> float:
    """Return how much the most memory held grows in one pass."""
    scan = available(options.device)[0][name]
    run(scan, kind, arguments(WARM_UP_LENGTH, options))
    values = arguments(options.length, options)
    before = peak_bytes(options.device)
    run(scan, kind, values)
    return peak_bytes(options.device) - before


def print_table(figures: dict) -> None:
    """Print what was measured."""
    print(
        f"selective scan, {figures['length']} tokens, {figures['channels']} channels, {figures['states']} "
        f"states, {figures['device']}, {figures['threads']} thread(s), torch {figures['torch']}; medians of "
        f"{figures['turns']} turns; error: largest, of the largest value in double precision"
    )
    for name, reason in figures["absent"].items():
        print(f"not measured: {name}: {reason}")
    for kind, rows in figures["passes"].items():
        print(f"\n{kind:17s}     wall s     CPU s   peak MB     error   times as fast as")
        for name, row in rows.items():
            ratios = ", ".join(f"{other} {ratio:.1f}" for other, ratio in row["faster_than"].items())
            wall, cpu = (statistics.median(row[key]) for key in ("seconds", "cpu_seconds"))
            print(
                f"  {name:15s} {wall:10.3f} {cpu:9.3f} {row['peak_mb']:9.1f}   {row['error']:.1e}   {ratios}"
            )


if __name__ == "__main__":
    main()
