"""What test_triton_scan.py checks, in a process of its own: Triton's interpreter is chosen before the import.

    TRITON_INTERPRET=1 python Testing/triton_cases.py

prints the errors of each case as JSON. On a GPU the test calls `errors` itself.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from test_selective_scan import NAMES, arguments, relative_error, step_by_step  # noqa: E402

from AMDiffLib.networks import triton_scan  # noqa: E402
from AMDiffLib.networks.selective_scan import selective_scan, triton_usable  # noqa: E402


@dataclass(frozen=True, kw_only=True)
class Case:
    """A scan: its size, type and direction, and whether its launch is made `SMALL`, to divide a short one."""

    size: tuple[int, int, int, int]  # batch, length, channels, states
    dtype: torch.dtype = torch.float32
    backwards: bool = False
    small: bool = True


# Blocks of 4 channels; chunks of 8 steps in parts of 4. Neither divides what it is to divide.
SMALL = {"BLOCK_D": 4, "KEPT": 4, "PROGRAMS": 10}

CASES = {
    "several chunks of two parts": Case(size=(2, 13, 5, 3)),
    "several chunks in double precision": Case(size=(2, 13, 5, 3), dtype=torch.float64),
    "from the last to the first": Case(size=(1, 13, 5, 3), backwards=True),
    "less than a part": Case(size=(1, 3, 4, 2)),
    "one state": Case(size=(1, 5, 1, 1)),
    "in bfloat16": Case(size=(1, 9, 5, 3), dtype=torch.bfloat16),
    "in float16": Case(size=(1, 9, 5, 3), dtype=torch.float16),
}


def errors(case: Case, device: str) -> dict[str, float]:
    """Return the largest error of y and of each gradient, of its largest value, against the recurrence."""
    # The recurrence is given what the type holds of the arguments.
    values = [x.detach().to(case.dtype) for x in arguments(*case.size)]
    exact_arguments = [x.double().requires_grad_() for x in values]
    weights = torch.randn(case.size[:3], generator=torch.Generator().manual_seed(1)).to(case.dtype)
    given = [x.to(device).requires_grad_() for x in values]

    def directed(scan, these):
        # As nnMamba's caller would: the sequences reversed before, y after.
        if not case.backwards:
            return scan(*these)
        return scan(*(x.flip(1) if x.dim() == 3 else x for x in these)).flip(1)

    exact_y = directed(step_by_step, exact_arguments)
    exact = torch.autograd.grad(exact_y, exact_arguments, weights.double())
    with mock.patch.multiple(triton_scan, **SMALL) if case.small else nullcontext():
        y = directed(lambda *these: selective_scan(*these, backend="triton"), given)
        gradients = torch.autograd.grad(y, given, weights.to(device))
    assert all(g.dtype == x.dtype and g.shape == x.shape for g, x in zip(gradients, given, strict=True))
    pairs = zip(("y", *NAMES), (y, *gradients), (exact_y, *exact), strict=True)
    return {name: relative_error(value.cpu(), against) for name, value, against in pairs}


def error_of_views(device: str) -> float:
    """Return the error for arguments that are not contiguous, as those a Mamba block gives."""
    u, delta, A, B, C, D, z, delta_bias = (x.detach().to(device) for x in arguments(2, 9, 5, 3))
    exact = step_by_step(u, delta, A, B, C, D, z, delta_bias)
    u = u.transpose(1, 2).contiguous().transpose(1, 2)
    B, C = torch.cat([B, C], dim=2).chunk(2, dim=2)
    delta, z = torch.cat([delta, z], dim=2).chunk(2, dim=2)
    with mock.patch.multiple(triton_scan, **SMALL):
        y = selective_scan(u, delta, A, B, C, D, z, delta_bias, backend="triton")
    return relative_error(y, exact)


def main() -> None:
    """Print all that is measured on the CPU, which the interpreter alone can do."""
    results = {
        "errors": {name: errors(case, "cpu") for name, case in CASES.items()},
        "views": error_of_views("cpu"),
        "usable": triton_usable(torch.device("cpu"), gradients=True),
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
