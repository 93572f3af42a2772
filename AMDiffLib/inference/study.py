"""One study from its volume to its files; the model, once loaded, serves as many studies as come."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from AMDiffLib.errors import BadInput
from AMDiffLib.inference.config import DEFAULT_TILE, InferenceConfig
from AMDiffLib.inference.weights import check_model, load_model, model_folder, read_calibration
from AMDiffLib.progress import PartOfJob, SilentReporter
from AMDiffLib.quantification.count_consistency import CountConsistency
from AMDiffLib.quantification.removed_uptake import removal_warning, removed_hot_spots

if TYPE_CHECKING:
    import torch

    from AMDiffLib.image.volume import PetVolume
    from AMDiffLib.networks.amdiff import AMDiff
    from AMDiffLib.quantification.calibration import Calibration

# Shares of a study's time; between them the networks run.
READING_SHARE = 0.05
WRITING_SHARE = 0.05
EXPORT_SHARE = 0.04


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is written for other systems beside the results: DICOM objects (seg, sr, pet), the page."""

    dicom: tuple[str, ...] = ()
    pdf: bool = False

    def __bool__(self) -> bool:
        return bool(self.dicom or self.pdf)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a volume was read from, as `read_pet` takes it."""

    path: Path
    units: str | None = None
    series_uid: str | None = None


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """What can be chosen about a study's run beside the model and the device; `steps` None: the model's."""

    steps: int | None = None
    seed: int = 0
    tile: int = DEFAULT_TILE
    conserve_counts: bool = InferenceConfig().conserve_counts
    export: ExportOptions = field(default_factory=ExportOptions)


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model ready on its device.

    `config` is the content of its config.json; `calibration` makes intervals of its uncertainty map, None
    where it has not been calibrated.
    """

    config: dict[str, Any]
    network: AMDiff
    device: torch.device
    calibration: Calibration | None = None

    @classmethod
    def load(cls, name_or_folder: str | Path, device: str, reporter: SilentReporter) -> LoadedModel:
        """Load an installed model or a folder's onto `device` (auto, cpu, cuda).

        Raises BadCheckpoint, NoKernelImage.
        """
        folder = model_folder(name_or_folder)
        config, calibration = check_model(folder), read_calibration(folder)
        from AMDiffLib.inference.device import choose_device

        chosen = choose_device(device, reporter)
        network = load_model(folder, chosen)
        return cls(config=config, network=network, device=chosen, calibration=calibration)


def process_study(
    volume: PetVolume,
    model: LoadedModel,
    options: StudyOptions,
    *,
    source: Source,
    folder: Path,
    reporter: SilentReporter,
    seconds: dict[str, float],
) -> list[str]:
    """Denoise, segment, measure, and write the files of a result into `folder`; returns their names.

    `volume` was read from `source`. `seconds` says how long what came before took, by stage; it goes into the
    report with the rest, as do the warnings that `reporter` has heard.

    Raises BadInput (also where DICOM objects are asked for and the source is not DICOM), OutOfMemory,
    Cancelled.
    """
    if options.export.dicom and volume.source["format"] != "DICOM":
        raise BadInput(
            f"The input is a {volume.source['format']} file; DICOM objects (--dicom) can only be made for a "
            "DICOM series. Give the series, or leave them out."
        )
    _hold_against_training(volume, model, reporter)
    from AMDiffLib.inference.pipeline import denoise_and_segment
    from AMDiffLib.inference.provenance import count_facts, uncertainty_facts
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
    consistency = CountConsistency.of(volume.suv, result.denoised, volume.spacing)
    removed = removed_hot_spots(consistency, volume.suv, result.denoised, volume)
    if text := removal_warning(removed):
        reporter.warning(text)
    counts = count_facts(consistency, removed, seconds=round(time.monotonic() - began, 3))
    began = time.monotonic()
    files = write_results(folder, volume, result, reporter, model.calibration, consistency)
    seconds = (
        seconds
        | result.details["seconds"]
        | {
            "count_consistency": counts["seconds"],
            "write": round(time.monotonic() - began, 3),
        }
    )

    def report() -> None:
        write_report(
            folder,
            volume,
            model_config=model.config,
            run={**result.details, "seconds": seconds},
            uncertainty=uncertainty_facts(result, model.calibration),
            count_consistency=counts,
            warnings=reporter.warnings,
            files=files,
        )

    report()
    if options.export:
        began = time.monotonic()
        files += _export(folder, source, options.export, PartOfJob(reporter, 1.0 - EXPORT_SHARE, 1.0))
        seconds["export"] = round(time.monotonic() - began, 3)
        report()
    reporter.check_cancelled()
    return [*files, REPORT]


def _hold_against_training(volume: PetVolume, model: LoadedModel, reporter: SilentReporter) -> None:
    """Warn of what is outside the model's envelope; refuse, as BadInput, what no model can make sense of."""
    from AMDiffLib.description.measures import ScanMeasures
    from AMDiffLib.inference.envelope import Envelope, outside, refuse_meaningless

    measures = ScanMeasures.of(volume)
    refuse_meaningless(measures)
    for text in outside(measures, Envelope.of_model(model.config)):
        reporter.warning(text)


def _export(folder: Path, source: Source, options: ExportOptions, reporter: PartOfJob) -> list[str]:
    from AMDiffLib.export.bundle import ExportRequest, write_export

    return write_export(
        folder,
        ExportRequest(dicom=frozenset(options.dicom), page=options.pdf),
        results=folder,
        source=source.path,
        units=source.units,
        series_uid=source.series_uid,
        reporter=reporter,
    )
