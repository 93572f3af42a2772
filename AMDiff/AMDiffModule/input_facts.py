"""What the background process found out about a scan, in words; nothing in it identifies the patient."""

from __future__ import annotations

from .translation import _

_LARGEST_SUV_DIFFERENCE = 0.01


def facts_text(scan: dict) -> str:
    """Return a few lines about the scan; `scan` is what `AMDiffLib.describe` says."""
    lines = [
        _tracer_and_scanner(scan),
        _grid(scan),
        _timing(scan),
        _conversion(scan),
        _noise(scan),
        _body(scan),
    ]
    return "\n".join(line for line in lines if line)


def warnings_text(scan: dict) -> str:
    """Return what is wrong with the scan, and what its reader should know; empty when there is nothing."""
    problem = scan.get("problem")
    found = [problem["text"]] if problem else []
    return "\n".join([*found, *(_("Note: {text}").format(text=text) for text in scan.get("warnings", []))])


def _tracer_and_scanner(scan: dict) -> str:
    tracer, nuclide = scan.get("tracer"), scan.get("radionuclide")
    if tracer and nuclide and nuclide.replace("-", "") not in tracer.replace("-", ""):
        tracer = f"{tracer} ({nuclide})"
    scanner = " ".join(part for part in (scan.get("manufacturer"), scan.get("model")) if part)
    return _joined(tracer or nuclide, scanner)


def _grid(scan: dict) -> str:
    if not scan.get("matrix") or not scan.get("spacing"):
        return ""
    matrix = " x ".join(str(length) for length in scan["matrix"])
    spacing = " x ".join(f"{step:.3g}" for step in scan["spacing"])
    return _("{matrix} voxels of {spacing} mm").format(matrix=matrix, spacing=spacing)


def _timing(scan: dict) -> str:
    dose, uptake, bed = (scan.get(name) for name in ("injected_dose_bq", "uptake_minutes", "minutes_per_bed"))
    return _joined(
        dose and _("{dose:.0f} MBq injected").format(dose=dose / 1e6),
        uptake and _("imaged {minutes:.0f} min later").format(minutes=uptake),
        bed and _("{minutes:.2g} min per bed position").format(minutes=bed),
    )


def _conversion(scan: dict) -> str:
    check, factor = scan.get("suv_cross_check"), scan.get("suv_factor")
    if not factor:
        return ""
    said = _("1 {units} = {factor:.4g} SUV").format(units=_UNITS.get(scan.get("units"), ""), factor=factor)
    if check and abs(check["difference"]) <= _LARGEST_SUV_DIFFERENCE:
        said = _joined(said, _("agrees with the real world value map"))
    return said


def _noise(scan: dict) -> str:
    noise = scan.get("noise")
    if not noise:
        return ""
    return _("Noise in a liver-like region: {percent:.0f} % at SUV {suv:.1f}").format(
        percent=100 * noise["coefficient_of_variation"], suv=noise["mean_suv"]
    )


def _body(scan: dict) -> str:
    if not scan.get("suv_factor"):
        return ""  # a file without headers cannot say it
    names = (("weight_kg", _("weight")), ("height_m", _("height")), ("sex", _("sex")))
    missing = [name for key, name in names if not scan.get(key)]
    if not missing:
        return _("Weight, height and sex are in the header")
    return _("Not in the header: {names}").format(names=", ".join(missing))


def _joined(*parts) -> str:
    return ", ".join(part for part in parts if part)


_UNITS = {"BQML": "Bq/mL", "CNTS": "count", "GML": "g/mL"}
