"""SUL, the SUV by lean body mass: SUL = SUVbw x lean body mass / body weight.

Source: Janmahasatian et al., Quantification of lean bodyweight, Clin Pharmacokinet 2005;44:1051.
"""

from __future__ import annotations

from dataclasses import dataclass

_PLAUSIBLE_HEIGHT_M = (0.5, 2.5)
_PLAUSIBLE_WEIGHT_KG = (3.0, 500.0)


@dataclass(frozen=True, kw_only=True)
class BodyMeasures:
    """Height in m, weight in kg and sex ("M" or "F") of the patient; None where not known."""

    height_m: float | None = None
    weight_kg: float | None = None
    sex: str | None = None

    def reason_no_sul(self) -> str:
        """Return why there is no SUL; empty when there is one."""
        missing = []
        if not self.height_m:
            missing.append("height")
        if not self.weight_kg:
            missing.append("weight")
        if self.sex not in ("M", "F"):
            missing.append("sex (M or F)")
        if missing:
            return f"SUL needs the patient's height, weight and sex; not known: {', '.join(missing)}."
        if not _PLAUSIBLE_HEIGHT_M[0] <= self.height_m <= _PLAUSIBLE_HEIGHT_M[1]:
            return f"The height {self.height_m:g} m is not between 0.5 and 2.5 m."
        if not _PLAUSIBLE_WEIGHT_KG[0] <= self.weight_kg <= _PLAUSIBLE_WEIGHT_KG[1]:
            return f"The weight {self.weight_kg:g} kg is not between 3 and 500 kg."
        return ""

    def lean_body_mass_kg(self) -> float:
        """Return the lean body mass. Raises ValueError where `reason_no_sul` has a reason."""
        if reason := self.reason_no_sul():
            raise ValueError(reason)
        bmi = self.weight_kg / self.height_m**2
        if self.sex == "M":
            return 9270.0 * self.weight_kg / (6680.0 + 216.0 * bmi)
        return 9270.0 * self.weight_kg / (8780.0 + 244.0 * bmi)

    def sul_per_suv(self) -> float:
        """Return the factor from SUVbw to SUL. Raises ValueError where `reason_no_sul` has a reason."""
        return self.lean_body_mass_kg() / self.weight_kg
