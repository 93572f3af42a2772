"""The envelope of a model: the scans it was trained on, and what to say of a scan that is unlike them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from AMDiffLib.description.measures import ScanMeasures
from AMDiffLib.errors import BadCheckpoint, BadInput

KEY = "envelope"
TRACER = "18F-FDG"

# A rat's cross-section is below; a newborn's trunk is above.
_SMALLEST_CROSS_SECTION_CM2 = 45.0
_SMALLEST_BODY_ML = 800.0
# Calibration, dose and weight are wrong by some per cent, never by half.
_LARGEST_DOSE_SHARE = 1.5
_SUSPICIOUS_DOSE_SHARE = 1.15
# Without a weight, that of the heaviest patient.
_HEAVIEST_KG = 250.0


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """Least and greatest of each measure over the training images, and what these images were.

    Attributes:
        voxel_mm, axial_mm, liver_noise, cross_section_cm2, mean_suv, highest_suv: as in `ScanMeasures`.
        tracer, attenuation_corrected: of all images.
        counts_percent: count levels. scanners: their names. subjects: how many people. simulated: whether
            all are simulated.
    """

    voxel_mm: tuple[float, float]
    axial_mm: tuple[float, float]
    liver_noise: tuple[float, float]
    cross_section_cm2: tuple[float, float]
    mean_suv: tuple[float, float]
    highest_suv: tuple[float, float]
    counts_percent: tuple[float, ...]
    scanners: tuple[str, ...]
    subjects: int
    simulated: bool
    tracer: str = TRACER
    attenuation_corrected: bool = True

    @classmethod
    def around(cls, measures: Iterable[ScanMeasures], **what: Any) -> Envelope:
        """Return the envelope of some scans; `what` are the fields that no image tells."""
        found = list(measures)

        def span(name: str) -> tuple[float, float]:
            values = [value for m in found if (value := getattr(m, name)) is not None]
            return round(min(values), 4), round(max(values), 4)

        return cls(
            voxel_mm=(min(m.voxel_mm[0] for m in found), max(m.voxel_mm[1] for m in found)),
            **{name: span(name) for name in _RANGES},
            **what,
        )

    @classmethod
    def of_model(cls, config: dict[str, Any]) -> Envelope | None:
        """Read it from the content of a model's config.json; None where that states none.

        Raises BadCheckpoint where it is not an envelope.
        """
        values = config.get(KEY)
        if values is None:
            return None
        try:
            given = {f.name: values[f.name] for f in fields(cls)}
            envelope = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
            for name in ("voxel_mm", *_RANGES):
                low, high = getattr(envelope, name)
                if not 0 <= low <= high:
                    raise ValueError(f"{name} is {low} to {high}")
        except (KeyError, TypeError, ValueError) as error:
            raise BadCheckpoint(
                f"The envelope in the model's config.json is not valid ({error}). Install the model again."
            ) from error
        return envelope

    def to_dict(self) -> dict[str, Any]:
        """Return what config.json takes."""
        return asdict(self)


_RANGES = ("axial_mm", "liver_noise", "cross_section_cm2", "mean_suv", "highest_suv")


def refuse_meaningless(scan: ScanMeasures) -> None:
    """Refuse what no model of human PET can make anything of, whatever it was trained on.

    Raises:
        BadInput: an object of an animal's size; more activity in the image than was injected, so that the
        values are no SUV.
    """
    if scan.body_ml < _SMALLEST_BODY_ML or scan.cross_section_cm2 < _SMALLEST_CROSS_SECTION_CM2:
        raise BadInput(
            f"What is in the image measures {scan.body_ml / 1000:.1f} L and {scan.cross_section_cm2:.0f} cm2 "
            "in cross-section, like an animal or a small phantom; the models are made for people. Choose a "
            "scan of a patient."
        )
    if scan.dose_share is not None and scan.dose_share > _LARGEST_DOSE_SHARE:
        raise BadInput(
            f"The image holds {scan.dose_share:.1f} times the activity that was injected, so its values are "
            "no SUV of this patient. Check unit, rescale slope, dose, weight and times of the series."
        )
    heaviest_g = 1000.0 * _HEAVIEST_KG
    if scan.dose_share is None and scan.mean_suv * scan.body_ml > _LARGEST_DOSE_SHARE * heaviest_g:
        raise BadInput(
            f"The mean over the body is {scan.mean_suv:.0f}, more than all of the dose could make of it even "
            f"in a patient of {_HEAVIEST_KG:.0f} kg, so the values are no SUV. Check their unit."
        )


def outside(scan: ScanMeasures, envelope: Envelope | None) -> list[str]:
    """Return a sentence for each way in which `scan` is unlike what the model was trained on.

    Some room is left around the trained ranges (a half to 1.5 times for voxels, which are resampled, and
    less for the others): a judgement. Testing/studies/outside_envelope.py measures what happens beyond.
    """
    if envelope is None:
        return [
            "The model does not state which scans it was trained on, so nothing was checked against them."
        ]
    said = []
    trained = envelope
    if scan.voxel_mm[0] < 0.5 * trained.voxel_mm[0] or scan.voxel_mm[1] > 1.5 * trained.voxel_mm[1]:
        said.append(
            f"voxels of {_span(scan.voxel_mm)} mm (trained: {_span(trained.voxel_mm)} mm), so that its noise "
            "is another"
        )
    if scan.axial_mm < 0.8 * trained.axial_mm[0]:
        said.append(
            f"an image of {scan.axial_mm / 10:.0f} cm along the body (trained: "
            f"{_span(trained.axial_mm, 10)} cm); organs that are cut or missing are often misjudged"
        )
    if scan.liver_noise is None:
        said.append("no liver-like region, so that its noise is not known")
    elif not 0.67 * trained.liver_noise[0] <= scan.liver_noise <= 1.5 * trained.liver_noise[1]:
        said.append(
            f"{100 * scan.liver_noise:.0f} % noise in the liver (trained: "
            f"{_span(trained.liver_noise, 0.01)} %)"
        )
    low, high = trained.cross_section_cm2
    if not 0.7 * low <= scan.cross_section_cm2 <= 1.3 * high:
        said.append(
            f"a body of {scan.cross_section_cm2:.0f} cm2 in cross-section (trained: {_span((low, high))} cm2)"
        )
    if not 0.67 * trained.mean_suv[0] <= scan.mean_suv <= 1.5 * trained.mean_suv[1]:
        said.append(
            f"a mean SUV of {scan.mean_suv:.2f} over the body (trained: {_span(trained.mean_suv)}); check "
            "that it is attenuation-corrected, and in SUV by body weight"
        )
    if scan.highest_suv > 3.0 * trained.highest_suv[1]:
        said.append(f"an SUV of up to {scan.highest_suv:.0f} (trained: up to {trained.highest_suv[1]:.0f})")
    warnings = [f"The scan is unlike those that the model was trained on: it has {text}." for text in said]
    if scan.dose_share is not None and scan.dose_share > _SUSPICIOUS_DOSE_SHARE:
        warnings.append(
            f"The image holds {100 * scan.dose_share:.0f} % of the injected activity: dose, weight or times "
            "of the series must be wrong, and with them all SUVs."
        )
    return warnings


def _span(values: tuple[float, float], unit: float = 1.0) -> str:
    low, high = (value / unit for value in values)
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
