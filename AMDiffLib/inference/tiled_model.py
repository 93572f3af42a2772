"""The networks on whole volumes: tile by tile, with smaller tiles where memory is short."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from AMDiffLib.errors import OutOfMemory
from AMDiffLib.inference.device import autocast, free_memory, precision_of
from AMDiffLib.inference.memory import asked_for, is_out_of_memory
from AMDiffLib.inference.tile_memory import BYTES_PER_VOLUME_VOXEL, USABLE_SHARE, tile_bytes
from AMDiffLib.inference.tiling import SIZE_MULTIPLE, SMALLEST_TILE, TileFuser, Tiling, smaller_tile
from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.progress import Reporter

# Time of one tile in each network, relative to one denoising step of the compact model on a CPU, in the order
# in which they run.
STEP_COST = {"denoise": 1.0, "revise": 0.25, "uncertainty": 0.25, "segment": 2.2}
TILES_AT_ONCE_ON_GPU = 4
_SMALLER = "This is slower, and figures can differ slightly from those of larger tiles."

Sampler = Callable[[Callable[[Tensor, int], Tensor]], Tensor]


class WorkDone:
    """Turns tiles done into the job's progress, by what a tile costs in each network."""

    def __init__(self, reporter: Reporter, *, steps: int, uncertainty: bool, segment: bool = True) -> None:
        """`steps` of the sampler; `uncertainty`, `segment`: whether these stages are run."""
        costs = {**STEP_COST, "denoise": STEP_COST["denoise"] * steps}
        for stage, runs in (("uncertainty", uncertainty), ("segment", segment)):
            if not runs:
                del costs[stage]
        whole = sum(costs.values())
        self._share = {stage: cost / whole for stage, cost in costs.items()}
        self._before = dict(zip(costs, accumulate(self._share.values(), initial=0.0), strict=False))
        self._reporter = reporter

    def tell(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of the `total` tile evaluations of `stage` are finished; raises Cancelled."""
        self._reporter.progress(self._before[stage] + self._share[stage] * done / total)
        self._reporter.check_cancelled()


class TiledModel:
    """An AMDiff model that takes whole volumes (D, H, W) on the CPU and computes on `device`, tile by
    tile."""

    def __init__(
        self,
        model: AMDiff,
        body: np.ndarray,
        *,
        device: torch.device,
        tile: int,
        overlap: int,
        steps: int,
        work: WorkDone,
        reporter: Reporter,
    ) -> None:
        self.tiles_used: dict[str, int] = {}
        self.tile_count = 0
        # Twice as fast for 3D convolutions in half precision; the numbers stored stay the same.
        self._model = model.to(memory_format=torch.channels_last_3d)
        self._body = body
        self._device = device
        self._precision = precision_of(device)
        self._tile = tile
        self._batch = TILES_AT_ONCE_ON_GPU if device.type == "cuda" else 1
        self._told_tile = tile
        self._overlap = overlap
        self._steps = steps
        self._work = work
        self._reporter = reporter

    @property
    def device_name(self) -> str:
        if self._device.type == "cuda":
            return f"cuda: {torch.cuda.get_device_name(self._device)}"
        return f"cpu: {platform.machine()}"

    @property
    def gpu_memory_mb(self) -> float | None:
        """The most memory that tensors held on the GPU so far; None on a CPU."""
        if self._device.type != "cuda":
            return None
        return torch.cuda.max_memory_allocated(self._device) / 2**20

    @property
    def precision_name(self) -> str:
        return str(self._precision).removeprefix("torch.")

    def denoise(self, low_count_suv: Tensor, sampler: Sampler) -> Tensor:
        """P_HC (D, H, W) in SUV. x0-hat is fused over the whole volume at each step, before the sampler goes
        on."""
        air = float(self._model.to_normalised(torch.zeros(())))

        def run(fuser: TileFuser) -> Tensor:
            def predict_x0(x_t: Tensor, t: int) -> Tensor:
                def network(x_tile: Tensor, low_tile: Tensor) -> Tensor:
                    return self._model.predict_x0(
                        x_tile, low_tile, torch.full((len(x_tile),), t, device=x_tile.device)
                    )

                return fuser(network, (x_t, low_count_suv), fill=air)[0]

            return self._model.to_suv(sampler(predict_x0))

        return self._with_smaller_tiles("denoise", run, evaluations=self._steps)

    def revise(self, denoised_suv: Tensor, low_count_suv: Tensor) -> Tensor:
        """P_HCR (D, H, W) of Eq. (6), SUV."""
        return self._with_smaller_tiles(
            "revise", lambda fuser: fuser(self._model.revise, (denoised_suv, low_count_suv))[0]
        )

    def uncertainty_sd(self, revised_suv: Tensor, low_count_suv: Tensor) -> Tensor:
        """Standard deviation (D, H, W) of P_HCR, SUV; for a model with the uncertainty head.

        Where tiles overlap, variances are averaged: they speak of the same image, so that a second tile's
        opinion makes its error no smaller.
        """

        def variance(revised_tile: Tensor, low_tile: Tensor) -> Tensor:
            return self._model.uncertainty_sd(revised_tile, low_tile) ** 2

        return self._with_smaller_tiles(
            "uncertainty", lambda fuser: fuser(variance, (revised_suv, low_count_suv))[0].sqrt_()
        )

    def segment(self, revised_suv: Tensor, low_count_suv: Tensor) -> Tensor:
        """Class probabilities (9, D, H, W), float16, Eq. (8): lesion; organ background and labels 2..8."""

        def network(revised_tile: Tensor, low_tile: Tensor) -> Tensor:
            lesions, organs = self._model.segment(revised_tile, low_tile)
            return torch.cat([lesions.softmax(dim=1)[:, 1:], organs.softmax(dim=1)], dim=1)

        channels = 1 + self._model.config.segmenter.organ_classes
        return self._with_smaller_tiles(
            "segment",
            lambda fuser: fuser(
                network, (revised_suv, low_count_suv), channels=channels, dtype=torch.float16
            ),
            # It finds organs by what is around them, and best in cubes like those it was trained on.
            cubes=True,
        )

    def _with_smaller_tiles(
        self, stage: str, run: Callable[[TileFuser], Tensor], *, evaluations: int = 1, cubes: bool = False
    ) -> Tensor:
        """Do one stage with the largest tiles that fit into the free memory; where it runs out all the same,
        do it again with fewer tiles at once, then with smaller ones."""
        tried = []
        while True:
            tiling, tile, batch = self._largest_that_fits(stage, cubes=cubes)
            total = len(tiling.starts) * evaluations
            done = 0

            def count(tiles: int, *, total: int = total) -> None:
                nonlocal done
                done += tiles
                self._work.tell(stage, done, total)

            try:
                with autocast(self._device, self._precision):
                    result = run(TileFuser(tiling, device=self._device, batch=batch, after_tiles=count))
                self.tiles_used[stage] = tile
                self.tile_count = max(self.tile_count, len(tiling.starts))
                return result
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                tried.append(f"{batch} x {tile}")
                needed = asked_for(error)
            # Outside the handler, which keeps the failed tensors alive.
            self._free_cache()
            if not self._make_smaller(tile, batch):
                raise self._out_of_memory(needed, tried)
            self._reporter.warning(
                f"Memory ran out; going on with {self._batch} tile(s) of {self._tile} voxels at once. "
                f"{_SMALLER}"
            )

    def _largest_that_fits(self, stage: str, *, cubes: bool) -> tuple[Tiling, int, int]:
        """The tiling, its tile and the number of tiles at once for `stage`: as configured, or fewer tiles at
        once, then smaller ones, until their estimated need fits into what is free."""
        tile, batch = self._tile, self._batch
        free = free_memory(self._device)
        while True:
            tiling = Tiling.over(self._body, tile=tile, overlap=self._overlap, cubes=cubes)
            need = tile_bytes(
                stage, self._model.config, self._precision, batch * math.prod(tiling.tile_shape)
            )
            if free is None or need is None:
                break
            if self._device.type == "cpu":
                need += BYTES_PER_VOLUME_VOXEL * self._body.size
            if need <= USABLE_SHARE * free or (batch == 1 and tile == SMALLEST_TILE):
                break
            if batch > 1:
                batch -= 1
            else:
                tile -= SIZE_MULTIPLE
        if tile < min(self._tile, self._told_tile):
            self._told_tile = tile
            self._reporter.warning(
                f"Only {_megabytes(free)} of memory are free: tiles of {tile} voxels instead of "
                f"{self._tile}. {_SMALLER}"
            )
        return tiling, tile, batch

    def _make_smaller(self, tile: int, batch: int) -> bool:
        """Limit all that follows to less than `batch` tiles of `tile` voxels, which were too much."""
        smaller = tile if batch > 1 else smaller_tile(tile)
        if smaller is None:
            return False
        self._tile, self._batch = smaller, 1
        return True

    def _free_cache(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _out_of_memory(self, needed: int | None, tried: list[str]) -> OutOfMemory:
        free = free_memory(self._device)
        where = "graphics card" if self._device.type == "cuda" else "computer"
        return OutOfMemory(
            f"The {where} has not enough memory: needed in one piece {_megabytes(needed)}, free "
            f"{_megabytes(free)}, tried tiles (number x voxels): {', '.join(tried)}. Close other programs, "
            "or choose " + ("the CPU." if self._device.type == "cuda" else "a computer with more memory.")
        )


def _megabytes(size: int | None) -> str:
    return "an unknown amount" if size is None else f"{size / 2**20:.0f} MB"
