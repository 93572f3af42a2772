"""The reading layout drawn without a screen: what a reader sees where."""

from __future__ import annotations

import ctypes.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reading_cases import add_results
from slicer_host import open_host

SCRIPT = Path(__file__).resolve().parent / "render_reading_layout.py"
WIDTH, HEIGHT = 800, 500


def draw(scene: Path, picture: Path, *options: str) -> np.ndarray:
    """Return the picture as (rows, columns, RGB), drawn by the script in a process of its own."""
    command = [sys.executable, str(SCRIPT), str(scene), str(picture), "--size", str(WIDTH), str(HEIGHT)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.asarray(Image.open(picture).convert("RGB")).astype(int)


def view(picture: np.ndarray, *, left: float, right: float) -> np.ndarray:
    """Return the patient in the MIP between two shares of the width, without the bar and the ruler."""
    return picture[25 : int(0.6 * HEIGHT), int(left * WIDTH) + 2 : int(right * WIDTH) - 5]


def count_dark(pixels: np.ndarray) -> int:
    return int((pixels.max(axis=-1) < 40).sum())


def count_outline(pixels: np.ndarray) -> int:
    """Return the number of pixels in the lesions' colour, (0.8, 0.2, 0.1)."""
    return int((np.abs(pixels - (204, 51, 26)).max(axis=-1) < 30).sum())


@pytest.mark.skipif(ctypes.util.find_library("EGL") is None, reason="no EGL to draw with on this computer")
def test_both_mips_show_both_lesions_dark_and_outlined(tmp_path):
    host = open_host(tmp_path / "cache")
    case = add_results(host.scene, tmp_path, "PET")
    host.write_bundle(tmp_path / "scene.mrb")
    picture = draw(tmp_path / "scene.mrb", tmp_path / "side by side.png")
    assert picture.shape == (HEIGHT, WIDTH, 3)
    low_count, denoised = view(picture, left=0.31, right=0.5), view(picture, left=0.81, right=1.0)
    # From the front, the lesions are 3 x 3 and 4 x 3 voxels of 4 x 3 mm; the body of 96 mm fills the width.
    mm = 1.04 * 96.0 / low_count.shape[1]
    expected = (9 + 12) * 4.0 * 3.0 / mm**2
    for mip in (low_count, denoised):
        assert count_dark(mip) == pytest.approx(expected, rel=0.35)
        assert count_outline(mip) > 50
    segmentation = case.segmentation.GetSegmentation()
    for name in ("Lesion 1", "Lesion 2"):
        identity = segmentation.GetSegmentIdBySegmentName(name)
        case.segmentation.GetDisplayNode().SetSegmentVisibility(identity, False)
    host.write_bundle(tmp_path / "hidden.mrb")
    hidden = draw(tmp_path / "hidden.mrb", tmp_path / "hidden.png", "--layout", "mips")
    assert count_outline(hidden) == 0
    assert count_dark(hidden) > 0
