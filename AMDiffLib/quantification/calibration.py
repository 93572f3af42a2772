"""What was learnt about a model's errors on simulated people: the constants behind its intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

CALIBRATION_FORMAT, CALIBRATION_VERSION = "amdiff-calibration", 1
CONFIDENCE = 0.9
EVERY_SIZE = "all"
_TERMS = 3


@dataclass(frozen=True, kw_only=True)
class Features:
    """What the place and the width of an interval depend on; all positive.

    Attributes:
        volume_ml: volume of the region.
        relative_sd: the uncertainty map's SD in the region / the region's mean SUV.
        rim: mean SUV of the tissue around the region / the region's mean SUV; near 1 where only a part of a
            lesion was marked.
    """

    volume_ml: float
    relative_sd: float
    rim: float

    def logarithms(self) -> tuple[float, float, float]:
        """Return the natural logarithms, in the order above."""
        return math.log(self.volume_ml), math.log(self.relative_sd), math.log(self.rim)


@dataclass(frozen=True, kw_only=True)
class ErrorModel:
    """The distribution of one quantity's logarithmic error, e = ln(true / measured).

    z = (e - location) / scale, with location and ln(scale) linear in the features' logarithms (a constant
    first), has the quantiles `quantiles`: by size class or organ (`EVERY_SIZE` for those not listed),
    probability -> z. Beyond `lowest` and `highest`, the logarithms that were seen, the features are taken as
    these: a line is not followed to where nothing is known.
    """

    location: tuple[float, ...]
    log_scale: tuple[float, ...]
    lowest: tuple[float, ...]
    highest: tuple[float, ...]
    quantiles: Mapping[str, Mapping[float, float]]

    def factors(self, features: Features, group: str, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return what the measured value is multiplied by for the interval's lower and upper end."""
        seen = zip(features.logarithms(), self.lowest, self.highest, strict=True)
        terms = [1.0, *(min(max(value, low), high) for value, low, high in seen)]
        location = _dot(self.location, terms)
        scale = math.exp(_dot(self.log_scale, terms))
        quantiles = self.quantiles.get(group, self.quantiles[EVERY_SIZE])
        low, high = (quantiles[round(p, 4)] for p in tails(confidence))
        return math.exp(location + scale * low), math.exp(location + scale * high)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The error models of one model's weights.

    Attributes:
        model_sha256: of the weights they were found with, and hold for.
        reference: whose intervals are shown: "high_count", the image of the whole scan time, or "truth", the
            noise-free activity as it is before the scanner blurs it.
        references: error model by reference and by quantity, which `quantification.intervals` names.
        cohort: whom it was found with: subjects, count levels, scanners, numbers.
    """

    model_sha256: str
    reference: str
    references: Mapping[str, Mapping[str, ErrorModel]]
    cohort: Mapping[str, Any]

    def model_of(self, name: str, reference: str | None = None) -> ErrorModel | None:
        """Return a quantity's error model, against the shown reference or another; None where it has none."""
        return self.references[reference or self.reference].get(name)

    def to_dict(self) -> dict[str, Any]:
        """Return what `json.dumps` takes and `from_dict` reads."""
        return {"format": CALIBRATION_FORMAT, "version": CALIBRATION_VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, content: object) -> Calibration:
        """Read what `to_dict` wrote. Raises ValueError that says what is wrong."""
        if not isinstance(content, dict) or content.get("format") != CALIBRATION_FORMAT:
            raise ValueError(f'its "format" is not "{CALIBRATION_FORMAT}"')
        if content.get("version") != CALIBRATION_VERSION:
            raise ValueError(
                f"its version is {content.get('version')!r}; this software reads version "
                f"{CALIBRATION_VERSION}"
            )
        try:
            found = cls(
                model_sha256=str(content["model_sha256"]),
                reference=str(content["reference"]),
                references={
                    reference: {name: _error_model(each) for name, each in models.items()}
                    for reference, models in content["references"].items()
                },
                cohort=dict(content["cohort"]),
            )
            found.references[found.reference]  # the one that is shown must be there
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it lacks or misstates {error}") from error
        return found


def tails(confidence: float) -> tuple[float, float]:
    """Return the probabilities below the two ends of a central interval."""
    return (1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0


def _dot(coefficients: Sequence[float], terms: Sequence[float]) -> float:
    return math.fsum(c * t for c, t in zip(coefficients, terms, strict=True))


def _error_model(content: Mapping[str, Any]) -> ErrorModel:
    quantiles = {
        group: {round(float(p), 4): float(z) for p, z in of_group.items()}
        for group, of_group in content["quantiles"].items()
    }
    model = ErrorModel(
        location=tuple(float(n) for n in content["location"]),
        log_scale=tuple(float(n) for n in content["log_scale"]),
        lowest=tuple(float(n) for n in content["lowest"]),
        highest=tuple(float(n) for n in content["highest"]),
        quantiles=quantiles,
    )
    wanted = {round(p, 4) for p in tails(CONFIDENCE)}
    if EVERY_SIZE not in quantiles or not all(wanted <= set(of_group) for of_group in quantiles.values()):
        raise ValueError(f"quantiles of {CONFIDENCE:g} intervals, or those of '{EVERY_SIZE}', are missing")
    numbers = [*model.location, *model.log_scale, *model.lowest, *model.highest]
    numbers += [z for of_group in quantiles.values() for z in of_group.values()]
    lengths = [len(each) for each in (model.location, model.log_scale, model.lowest, model.highest)]
    if not all(map(math.isfinite, numbers)) or lengths != [_TERMS + 1, _TERMS + 1, _TERMS, _TERMS]:
        raise ValueError("its numbers are not finite, or not as many as there should be")
    return model
