"""Does the published configuration train? A short run of it on a processor, with its loss curves.

Objective, network sizes, noise prediction over 250 timesteps, batch normalisation, warm-up of Eq. (11) over
800 epochs, and rates that fall to a tenth at half time are as published. What differs, because a processor
has minutes and the paper had an H100: patches of 32^3 instead of 128^3, voxels of the cohort, a denoiser's
rate of 1e-4 instead of 1e-5, and 80 steps instead of 800 epochs of them.

    python Testing/studies/paper_training.py --manifest data/test/manifest.json --output runs/paper

writes a run's folder; losses.png there is the figure. The same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from AMDiffLib.networks.config import PAPER
from AMDiffLib.training.config import PAPER_TRAINING
from AMDiffLib.training.dataset import load_cohort, read_manifest
from AMDiffLib.training.run_settings import RunSettings
from AMDiffLib.training.trainer import Trainer


def main() -> None:
    """Train and say where the curves are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--subjects", type=int, default=3, help="the manifest's first so many (default 3)")
    parser.add_argument("--patch", type=int, default=32)
    options = parser.parse_args()

    cases = read_manifest(options.manifest)
    names = list(dict.fromkeys(case.subject for case in cases))[: options.subjects]
    subjects = load_cohort([case for case in cases if case.subject in names])
    training = replace(
        PAPER_TRAINING,
        patch_size=options.patch,
        optimiser=replace(PAPER_TRAINING.optimiser, denoiser_rate=1e-4),
    )
    model = replace(PAPER, voxel_size_mm=float(subjects[0].spacing[0]))
    settings = RunSettings(output=options.output, steps=options.steps, log_every=1)
    Trainer(model, training, settings, subjects).run(resume=True)
    print(f"loss curves: {options.output / 'losses.png'}")


if __name__ == "__main__":
    main()
