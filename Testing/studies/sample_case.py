"""Make the sample that the Sample Data module offers: one simulated patient at a tenth of the counts.

SUV is rounded to 0.01, far below the noise, so that the file is small. Writes the volume and its picture
into Resources/SampleData; --low-count takes a volume that is simulated already.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import SimpleITK as sitk

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "Resources" / "SampleData" / "simulated-low-count-fdg-pet.nrrd"
SEED = 9_000_000  # that of `make demo`; no training cohort has it
COUNTS_PERCENT = 10
STEP_SUV = 0.01
WINDOW_SUV = (0.0, 7.0)


def simulate(folder: Path) -> Path:
    """Simulate the patient; return the file of the low-count scan."""
    command = [sys.executable, "-m", "AMDiffLib.simulate", "--scanner", "mct", "--subjects", "1"]
    command += ["--levels", str(COUNTS_PERCENT), "--seed", str(SEED), "--output", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return folder / manifest["cases"][0]["low_count"]


def main() -> None:
    """Write the sample and its picture."""
    parser = argparse.ArgumentParser(prog="sample_case.py", description=__doc__)
    parser.add_argument("--low-count", type=Path, help="a low-count volume of AMDiffLib.simulate, in SUV")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = sitk.ReadImage(str(options.low_count or simulate(Path(folder) / "cohort")))
    suv = sitk.GetArrayFromImage(image)
    suv = (np.round(suv / STEP_SUV) * STEP_SUV).astype(np.float32)
    sample = sitk.GetImageFromArray(suv)
    sample.CopyInformation(image)
    SAMPLE.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sample, str(SAMPLE), useCompression=True, compressionLevel=9)
    # Head up, as readers see it; the body fills the width.
    projection = suv.max(axis=1)[::-1]
    columns = np.flatnonzero((projection > 0.5).any(axis=0))
    projection = projection[:, max(columns[0] - 6, 0) : columns[-1] + 7]
    plt.imsave(SAMPLE.with_suffix(".png"), projection, cmap="gray_r", vmin=WINDOW_SUV[0], vmax=WINDOW_SUV[1])
    print(f"{SAMPLE} ({SAMPLE.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
