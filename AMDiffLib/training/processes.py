"""Several processes that train one model together, as torchrun starts them; a lone process needs none of it.

Each process holds the whole model and takes its share of every batch. The losses divide by counts of the
whole batch (see `losses`), so that the gradients of the processes add up to that of the batch, and every
process makes the same step. Only the first one writes.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch
from torch import Tensor, distributed

from AMDiffLib.errors import AMDiffError, BadInput

# The others wait while the first process validates; a process that dies is noticed at once all the same.
PATIENCE = timedelta(hours=2)


class ProcessLost(AMDiffError):
    """Another process of the training ended before this one."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among `count`, numbered `rank`; `device` is where tensors are exchanged."""

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def slots(self, batch_size: int) -> range:
        """Return which patches of a batch are this process's.

        Raises BadInput where the batch cannot be shared out evenly.
        """
        if batch_size % self.count:
            raise BadInput(
                f"A batch of {batch_size} patches cannot be shared evenly by {self.count} processes. "
                f"Give --batch-size a multiple of {self.count}."
            )
        return range(self.rank, batch_size, self.count)

    def total(self, x: Tensor) -> Tensor:
        """Return the sum of `x` over the processes, without gradient."""
        if self.count == 1:
            return x.detach()
        summed = x.detach().to(self.device, copy=True)
        with _all_present():
            distributed.all_reduce(summed)
        return summed.to(x.device)

    def largest(self, *values: float) -> list[float]:
        """Return for each of the values the largest among the processes: what all of them then act upon."""
        if self.count == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        with _all_present():
            distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return tensor.tolist()

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its sum over the processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        # In one message: hundreds of small ones would cost their latency each.
        summed = self.total(torch.cat([g.flatten() for g in gradients]))
        for gradient, part in zip(gradients, summed.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))


ALONE = Processes()


def started_by_torchrun() -> bool:
    """Whether torchrun started this process, also as one of one."""
    return distributed.is_available() and distributed.is_torchelastic_launched()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Within the context this process belongs to those that torchrun started; alone without torchrun.

    Over `gloo` on processors and `nccl` on NVIDIA GPUs, where each process takes the GPU of its number.
    """
    if not started_by_torchrun():
        yield Processes(device=device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        if device.index >= torch.cuda.device_count():
            raise BadInput(
                f"torchrun started {os.environ['LOCAL_WORLD_SIZE']} processes here, and there are "
                f"{torch.cuda.device_count()} GPUs. Give --nproc-per-node at most that number."
            )
        torch.cuda.set_device(device)
    # This module takes the group there is when it is first imported, which an optimiser's first step does, as
    # the default of its functions, and never lets go of it. The group's threads would then outlive the group,
    # and one that still holds a tensor while Python shuts down aborts the process.
    importlib.import_module("torch.distributed.nn.functional")
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(rank=distributed.get_rank(), count=distributed.get_world_size(), device=device)
    finally:
        distributed.destroy_process_group()


@contextmanager
def _all_present() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost(
            "Another process of this training ended, or cannot be reached "
            f"({str(error).splitlines()[0]}). Look at what it wrote; continue with --resume."
        ) from error
