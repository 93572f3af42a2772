"""What tiles, half precision and the compiled scan change in a result.

    python Testing/benchmarks/agreement.py --output agreement-benchmark.json

One scan is denoised and segmented in several ways. Those that only compute faster (bfloat16, the compiled
scan) are compared with single precision and plain PyTorch on the same tiles; other tiles, on which group
normalisation sees other voxels, with tiles that overlap by 48 voxels. Differences of the denoised SUV are
given over the body, also in units of the noise in the liver of the denoised image; regional means in the
regions of what is compared with; volumes in each one's own.
About six minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

import numpy as np  # noqa: E402
import SimpleITK as sitk  # noqa: E402
import torch  # noqa: E402
from passes import model_of  # noqa: E402
from scipy import ndimage  # noqa: E402

from AMDiffLib.image.volume import PetVolume  # noqa: E402
from AMDiffLib.inference.body_mask import body_mask  # noqa: E402
from AMDiffLib.inference.config import InferenceConfig  # noqa: E402
from AMDiffLib.inference.device import precision_of  # noqa: E402
from AMDiffLib.inference.lesions import label_lesions  # noqa: E402
from AMDiffLib.inference.pipeline import Result, denoise_and_segment  # noqa: E402
from AMDiffLib.labels import ORGANS  # noqa: E402
from AMDiffLib.networks.amdiff import AMDiff  # noqa: E402
from AMDiffLib.networks.selective_scan import numba_installed  # noqa: E402
from AMDiffLib.progress import SilentReporter  # noqa: E402

SAMPLE = REPOSITORY / "Resources" / "SampleData" / "simulated-low-count-fdg-pet.nrrd"
WIDEST = "single precision, overlap 48"
LIVER = 2


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--output", type=Path, metavar="FILE", help="write the figures there as JSON")
    p.add_argument("--model", default="amdiff-compact", metavar="NAME|FOLDER")
    p.add_argument("--scan", type=Path, default=SAMPLE, help="SUVbw (default: the sample)")
    p.add_argument("--first-slices", type=int, metavar="N", help="use only so many slices")
    p.add_argument("--tile", type=int, default=96, help="default: 96")
    p.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    p.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    return p


def main() -> None:
    """Compare all; print a table."""
    options = parser().parse_args()
    torch.set_num_threads(options.threads)
    scan = sitk.ReadImage(str(options.scan))[:, :, : options.first_slices]
    volume = PetVolume(
        suv=sitk.GetArrayFromImage(scan).astype(np.float32),
        spacing=scan.GetSpacing(),
        origin=scan.GetOrigin(),
        direction=scan.GetDirection(),
    )
    device = torch.device(options.device)
    model, half = model_of(options.model).to(device), precision_of(device)
    shipped = InferenceConfig().overlap
    plain = f"single precision, overlap {shipped}"
    ways = {WIDEST: Way(overlap=48)}
    ways |= {f"single precision, overlap {n}": Way(overlap=n, against=WIDEST) for n in (32, 16, 8, 0)}
    ways[f"{plain}, only cubes"] = Way(overlap=shipped, cubes=True, against=WIDEST)
    name = f"as shipped: {str(half).removeprefix('torch.')}, overlap {shipped}"
    ways[name] = Way(overlap=shipped, precision=half, compiled=numba_installed(), against=WIDEST)
    if numba_installed() and options.device == "cpu":
        ways[f"{plain}, compiled scan"] = Way(overlap=shipped, compiled=True, against=plain)
    results = {name: outcome(volume, model, options, way) for name, way in ways.items()}
    compared_with = [(name, way.against) for name, way in ways.items() if way.against]
    figures = {
        "model": options.model,
        "scan": options.scan.name,
        "tile": options.tile,
        **noise(volume, results[WIDEST]),
        "ways": [
            {"way": way, "against": other} | compared(results[way], results[other], volume)
            for way, other in [*compared_with, (name, plain)]
        ],
    }
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print_table(figures)


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a result is computed, and what it is compared `against`; `cubes`: in all networks, not only in the
    segmenter.
    """

    overlap: int
    precision: torch.dtype = torch.float32
    compiled: bool = False
    cubes: bool = False
    against: str | None = None


def outcome(volume: PetVolume, model: AMDiff, options: argparse.Namespace, way: Way) -> Result:
    """Denoise and segment in one of the ways."""

    def cube(body: np.ndarray, tile: int, overlap: int) -> tuple[int, ...]:
        return tuple(min(tile, size) for size in body.shape)

    with ExitStack() as patches:
        for name, value in (
            ("inference.tiled_model.precision_of", lambda device: way.precision),
            ("networks.selective_scan.numba_installed", lambda: way.compiled),
        ):
            patches.enter_context(mock.patch(f"AMDiffLib.{name}", value))
        if way.cubes:
            patches.enter_context(mock.patch("AMDiffLib.inference.tiling._least_work", cube))
        return denoise_and_segment(
            volume,
            model,
            steps=None,
            seed=0,
            device=options.device,
            tile=options.tile,
            reporter=SilentReporter(),
            config=InferenceConfig(overlap=way.overlap),
        )


def noise(volume: PetVolume, result: Result) -> dict[str, float]:
    """Return the standard deviation inside the liver, of the scan and of the denoised image."""
    inside = ndimage.binary_erosion(result.organs == LIVER, iterations=2)
    return {
        "liver_sd_low_count": float(volume.suv[inside].std()),
        "liver_sd_denoised": float(result.denoised[inside].std()),
    }


def compared(result: Result, plain: Result, volume: PetVolume) -> dict:
    """Return how `result` differs from the `plain` one; shares, not per cent."""
    body = body_mask(volume.suv, volume.spacing)
    difference = np.abs(result.denoised - plain.denoised)[body]
    lesions = label_lesions(plain.lesions, spacing=volume.spacing, suv=plain.denoised)
    of_organs = _relative(result.denoised, plain.denoised, plain.organs)
    of_lesions = _relative(result.denoised, plain.denoised, lesions)
    return {
        "tiles": result.details["tiles"],
        "largest_suv": float(difference.max()),
        "largest_suv_relative": float((difference / (plain.denoised[body] + 0.1)).max()),
        "rms_suv": float(np.sqrt((difference**2).mean())),
        "organ_mean": max(of_organs, default=0.0),
        "lesion_mean": max(of_lesions, default=0.0),
        "mtv": _change(result.lesions.sum(), plain.lesions.sum()),
        "tlg": _change(result.denoised[result.lesions].sum(), plain.denoised[plain.lesions].sum()),
        "lesion_dice": _dice(result.lesions, plain.lesions),
        "organ_dice": min(
            _dice(result.organs == organ.label, plain.organs == organ.label) for organ in ORGANS
        ),
    }


def _relative(suv: np.ndarray, plain_suv: np.ndarray, regions: np.ndarray) -> list[float]:
    found = np.unique(regions[regions > 0])
    means = zip(ndimage.mean(suv, regions, found), ndimage.mean(plain_suv, regions, found), strict=True)
    return [abs(_change(mean, plain)) for mean, plain in means]


def _change(value: float, plain: float) -> float:
    return float(value / plain - 1.0) if plain else 0.0


def _dice(mask: np.ndarray, other: np.ndarray) -> float:
    both = mask.sum() + other.sum()
    return float(2.0 * (mask & other).sum() / both) if both else 1.0


def print_table(figures: dict) -> None:
    """Print what was found."""
    noise_suv = figures["liver_sd_denoised"]
    print(
        f"{figures['model']}, {figures['scan']}, tiles of {figures['tile']}\n"
        f"noise in the liver (SD): {figures['liver_sd_low_count']:.3f} SUV before, {noise_suv:.4f} after\n\n"
        f"{'':48s}tiles  largest     RMS     RMS    largest change, %       change, %      Dice\n"
        f"{'':48s}           SUV     SUV  /noise  organ mean  lesion mean     MTV    TLG  lesion organ"
    )
    for against in dict.fromkeys(row["against"] for row in figures["ways"]):
        print(f"against {against}:")
        for row in (row for row in figures["ways"] if row["against"] == against):
            percent = {key: 100 * row[key] for key in ("organ_mean", "lesion_mean", "mtv", "tlg")}
            print(
                f"  {row['way']:46s}{row['tiles']:5d} {row['largest_suv']:8.3f} {row['rms_suv']:7.4f} "
                f"{row['rms_suv'] / noise_suv:7.3f} {percent['organ_mean']:11.3f} "
                f"{percent['lesion_mean']:12.3f} {percent['mtv']:7.2f} {percent['tlg']:6.2f}  "
                f"{row['lesion_dice']:.4f} {row['organ_dice']:.4f}"
            )


if __name__ == "__main__":
    main()
