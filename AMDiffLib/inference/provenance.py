"""What report.json says about a result: from which data, with which model and software, how."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

import AMDiffLib
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.inference.memory import peak_memory_mb
from AMDiffLib.quantification.calibration import CONFIDENCE, Calibration
from AMDiffLib.quantification.count_consistency import UNSUPPORTED_Z, CountConsistency
from AMDiffLib.quantification.removed_uptake import REMOVED_Z, RemovedHotSpot

if TYPE_CHECKING:
    from AMDiffLib.inference.pipeline import Result

PACKAGES = (
    "torch",
    "monai",
    "SimpleITK",
    "pydicom",
    "numpy",
    "scipy",
    "safetensors",
    "slicerio",
    "mamba-ssm",
    "numba",
    "triton",
)


def provenance(
    *,
    volume: PetVolume,
    model_config: dict[str, Any],
    run: dict[str, Any],
    uncertainty: dict[str, Any] | None = None,
    count_consistency: dict[str, Any] | None = None,
    warnings: list[str],
    files: list[str],
) -> dict[str, Any]:
    """Return the content of report.json; nothing in it identifies the patient.

    `model_config` is the content of the model's config.json, `run` the details of the pipeline's result,
    `uncertainty` what `uncertainty_facts` returns, `count_consistency` what `count_facts` does.
    """
    return {
        "format": "amdiff-report",
        "version": 1,
        "software": {
            "name": "AMDiff",
            "version": AMDiffLib.__version__,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            "packages": installed_versions(),
        },
        "input": dict(volume.source),
        "model": {
            "name": model_config.get("name"),
            "sha256": model_config["sha256"],
            "configuration": model_config["model"],
        },
        "run": {**run, "peak_memory_mb": peak_memory_mb()},
        "uncertainty": uncertainty,
        "count_consistency": count_consistency,
        "warnings": warnings,
        "files": files,
    }


def uncertainty_facts(result: Result, calibration: Calibration | None) -> dict[str, Any]:
    """Return what the report says of a result's uncertainty map and intervals, and why there are none.

    With intervals it holds their confidence and the calibration's constants, so that edited lesions can be
    measured anew.
    """
    if result.sd is None:
        return {
            "map": None,
            "intervals": None,
            "note": "The model has no uncertainty head: no uncertainty map and no intervals.",
        }
    facts = {
        "map": "voxel-wise standard deviation of the denoised SUVbw, g/mL",
        "seconds": result.details.get("seconds", {}).get("uncertainty"),
        "intervals": None,
    }
    if calibration is None:
        return {**facts, "note": "The model has not been calibrated: its map makes no intervals."}
    return {
        **facts,
        "intervals": {"confidence": CONFIDENCE, "reference": calibration.reference},
        "calibration": calibration.to_dict(),
        "note": "Intervals hold for marked regions that touch a true lesion, not for false positives.",
    }


def count_facts(
    consistency: CountConsistency, removed: tuple[RemovedHotSpot, ...], *, seconds: float
) -> dict[str, Any]:
    """Return what the report says of the comparison with the counts."""
    return {
        "map": "z-score of the denoised less the low-count mean of a Gaussian region of 10 mm FWHM",
        "seconds": seconds,
        "unsupported_z": UNSUPPORTED_Z,
        "removed_z": -REMOVED_Z,
        "slow_error": consistency.noise.slow_error,
        "removed_hot_spots": [spot.to_dict() for spot in removed],
    }


def installed_versions() -> dict[str, str]:
    """Versions of the packages that have a say in the result, of those that are installed."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            # Slicer's own SimpleITK comes without metadata.
            version = getattr(sys.modules.get(name), "__version__", None)
            if version:
                versions[name] = str(version)
    return versions
