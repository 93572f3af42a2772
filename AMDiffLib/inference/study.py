"""One study from its volume to its files; the model, once loaded, serves as many studies as come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from AMDiffLib.inference.config import DEFAULT_TILE, InferenceConfig
from AMDiffLib.inference.weights import check_model, load_model, model_folder
from AMDiffLib.progress import PartOfJob, SilentReporter

if TYPE_CHECKING:
    import torch

    from AMDiffLib.image.volume import PetVolume
    from AMDiffLib.networks.amdiff import AMDiff

# Shares of a study's time; between them the networks run.
READING_SHARE = 0.05
WRITING_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """What can be chosen about a study's run beside the model and the device; `steps` None: the model's."""

    steps: int | None = None
    seed: int = 0
    tile: int = DEFAULT_TILE
    conserve_counts: bool = InferenceConfig().conserve_counts


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model ready on its device; `config` is the content of its config.json."""

    config: dict[str, Any]
    network: AMDiff
    device: torch.device

    @classmethod
    def load(cls, name_or_folder: str | Path, device: str, reporter: SilentReporter) -> LoadedModel:
        """Load an installed model or a folder's onto `device` (auto, cpu, cuda).

        Raises BadCheckpoint, NoKernelImage.
        """
        folder = model_folder(name_or_folder)
        config = check_model(folder)
        from AMDiffLib.inference.device import choose_device

        chosen = choose_device(device, reporter)
        return cls(config=config, network=load_model(folder, chosen), device=chosen)


def process_study(
    volume: PetVolume,
    model: LoadedModel,
    options: StudyOptions,
    *,
    folder: Path,
    reporter: SilentReporter,
    seconds: dict[str, float],
) -> list[str]:
    """Denoise, segment, measure, and write the files of a result into `folder`; returns their names.

    `seconds` says how long what came before took, by stage; it goes into the report with the rest, as do the
    warnings that `reporter` has heard. Raises BadInput, OutOfMemory, Cancelled.
    """
    from AMDiffLib.inference.pipeline import denoise_and_segment
    from AMDiffLib.inference.result_files import REPORT, write_report, write_results

    result = denoise_and_segment(
        volume,
        model.network,
        steps=options.steps,
        seed=options.seed,
        device=model.device,
        tile=options.tile,
        reporter=PartOfJob(reporter, READING_SHARE, 1.0 - WRITING_SHARE),
        config=InferenceConfig(conserve_counts=options.conserve_counts),
    )
    reporter.stage("write")
    began = time.monotonic()
    files = write_results(folder, volume, result, reporter)
    seconds = seconds | result.details["seconds"] | {"write": round(time.monotonic() - began, 3)}
    run = {**result.details, "seconds": seconds}
    write_report(folder, volume, model_config=model.config, run=run, warnings=reporter.warnings, files=files)
    reporter.check_cancelled()
    return [*files, REPORT]
