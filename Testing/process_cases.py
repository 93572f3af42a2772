"""Several real processes, started with the environment that torchrun gives them.

Started as a file this is what such a process does in the tests that need no training:
`batch_norm FOLDER` normalises a share of a batch, `exchange` sums for ever, `leave` makes an optimiser's step
and names the threads that are left after the group.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

REPOSITORY = Path(__file__).resolve().parents[1]


def start_together(arguments: list[str], count: int = 2) -> list[subprocess.Popen]:
    """Start `python ARGUMENTS` as the `count` processes of one group on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    common |= {"TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": 1, "PYTHONPATH": REPOSITORY}
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | {k: str(v) for k, v in (common | {"RANK": rank, "LOCAL_RANK": rank}).items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def end_all(processes: list[subprocess.Popen]) -> None:
    """Leave no process behind, whatever became of the test, and print what each wrote to stderr.

    pytest shows that where the test failed.
    """
    for rank, process in enumerate(processes):
        process.kill()
        _, errors = process.communicate()
        print(f"process {rank} ended with {process.returncode} and wrote to stderr:\n{errors}")


def a_batch() -> torch.Tensor:
    """Four patches of three channels with means and deviations of their own."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 4, 4, 4, generator=generator)
    return x * torch.tensor([1.0, 2.0, 5.0]).view(1, 3, 1, 1, 1) + torch.arange(4.0).view(4, 1, 1, 1, 1)


def loss_of(normalised: torch.Tensor, slots: range) -> torch.Tensor:
    """A sum over patches that weighs each patch and voxel differently."""
    weights = torch.linspace(-1.0, 2.0, 4 * 3 * 64).reshape(4, 3, 4, 4, 4)[list(slots)]
    return (weights * normalised.pow(3)).sum()


def _batch_norm(folder: Path) -> None:
    from AMDiffLib.training.processes import joined
    from AMDiffLib.training.shared_batch_norm import with_shared_batch_norms

    with joined(torch.device("cpu")) as processes:
        norm = with_shared_batch_norms(torch.nn.Sequential(torch.nn.BatchNorm3d(3)), torch.device("cpu"))
        slots = processes.slots(4)
        x = a_batch()[list(slots)].requires_grad_()
        y = norm(x)
        loss_of(y, slots).backward()
        processes.add_gradients(norm.parameters())
        content = {"y": y.detach(), "x_gradient": x.grad, "weight_gradient": norm[0].weight.grad}
        content |= {name: value.clone() for name, value in norm[0].state_dict().items()}
        torch.save(content, folder / f"{processes.rank}.pt")


def _exchange() -> None:
    from AMDiffLib.training.processes import joined

    with joined(torch.device("cpu")) as processes:
        print("joined", flush=True)
        while True:
            processes.total(torch.ones(3))


def _leave() -> None:
    from AMDiffLib.training.processes import joined

    with joined(torch.device("cpu")) as processes:
        weight = torch.nn.Parameter(torch.ones(3))
        weight.grad = processes.total(torch.ones(3))
        torch.optim.AdamW([weight]).step()
        print(*_threads())
    print(*_threads())


def _threads() -> list[str]:
    """Names of the threads of this process, on Linux."""
    return sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))


if __name__ == "__main__":
    if sys.argv[1] == "batch_norm":
        _batch_norm(Path(sys.argv[2]))
    elif sys.argv[1] == "leave":
        _leave()
    else:
        _exchange()
