"""The training loop, end to end on three tiny cases."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from AMDiffLib import train
from AMDiffLib.errors import BadInput, Cancelled
from AMDiffLib.inference.weights import load_model
from AMDiffLib.networks.config import COMPACT, DenoiserConfig, SegmenterConfig
from AMDiffLib.progress import Cancellation
from AMDiffLib.training.checkpoint import load_tensors
from AMDiffLib.training.config import FAST_TRAINING, OptimiserConfig
from AMDiffLib.training.dataset import load_cohort, read_manifest
from AMDiffLib.training.optimiser import learning_rate_factor
from AMDiffLib.training.run_settings import RunSettings
from AMDiffLib.training.trainer import Trainer

REPOSITORY = Path(__file__).resolve().parents[1]
TINY_MODEL = replace(
    COMPACT,
    name="tiny",
    denoiser=DenoiserConfig(channels=(8, 8, 8, 16), num_head_channels=8),
    segmenter=SegmenterConfig(channels=4, blocks=3, d_state=2, full_resolution_channels=2),
)
TINY_TRAINING = replace(
    FAST_TRAINING,
    patch_size=16,
    epochs=6,
    warm_up_first_epoch=1,
    warm_up_last_epoch=4,
    optimiser=OptimiserConfig(ramp_steps=2),
)


@pytest.fixture(scope="module")
def a_cohort(tmp_path_factory) -> Path:
    """A manifest of three warm ellipsoids with a liver and a hot spot, at 10 and 20 % counts."""
    folder = tmp_path_factory.mktemp("cohort")
    random = np.random.default_rng(0)
    z, y, x = np.mgrid[:32, :32, :32]
    body = (z - 16) ** 2 + (y - 16) ** 2 + (x - 16) ** 2 < 14**2
    cases = []
    for number in range(3):
        high = np.where(body, 1.0, 0.0)
        organs = np.where(body & (x > 18), 2, 0)
        lesions = ((z - 12) ** 2 + (y - 16) ** 2 + (x - 10 - number) ** 2 < 9).astype(np.uint8)
        high = high + 1.5 * (organs == 2) + 6.0 * lesions
        files = {"high_count": high.astype(np.float32), "organs": organs.astype(np.uint8), "lesions": lesions}
        for level in (10, 20):
            files["low_count"] = random.poisson(high * level).astype(np.float32) / level
            entry = {"subject": f"case-{number}", "scanner": "toy", "counts_percent": level}
            for key, array in files.items():
                suffix = f"-{level}" if key == "low_count" else ""
                entry[key] = f"{number}-{key}{suffix}.nrrd"
                image = sitk.GetImageFromArray(array)
                image.SetSpacing((4.0, 4.0, 4.0))
                sitk.WriteImage(image, folder / entry[key], useCompression=True)
            cases.append(entry)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({"format": "amdiff-manifest", "version": 1, "cases": cases}))
    return manifest


@pytest.fixture(scope="module")
def a_config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.json"
    path.write_text(json.dumps({"model": TINY_MODEL.to_dict(), "training": TINY_TRAINING.to_dict()}))
    return path


def command(manifest: Path, config: Path, output: Path, *more: str, steps: int = 6) -> list[str]:
    return [
        "--manifest",
        str(manifest),
        "--config",
        str(config),
        "--output",
        str(output),
        "--steps",
        str(steps),
        "--threads",
        "1",
        "--device",
        "cpu",
        "--log-every",
        "1",
        *more,
    ]


def test_a_training_ends_with_logs_and_a_model_that_loads(a_cohort, a_config, tmp_path):
    run = tmp_path / "run"

    code = train.main(
        command(
            a_cohort,
            a_config,
            run,
            "--validation-subjects",
            "case-2",
            "--validation-levels",
            "20",
        )
    )

    assert code == 0
    with (run / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert float(rows[0]["segmentation"]) == 0.0  # epoch 0 trains the denoiser alone
    assert float(rows[1]["segmentation"]) > 0.5
    settings = json.loads((run / "config.json").read_text())
    assert settings["run"]["subjects"] == ["case-0", "case-1"]
    assert load_model(run / "model").config == TINY_MODEL
    with (run / "validation.csv").open() as file:
        assert float(next(csv.DictReader(file))["body_error"]) > 0.0


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_tensors(run / "checkpoint.safetensors")[0]


def test_a_stopped_and_resumed_training_ends_with_the_same_weights(a_cohort, tmp_path):
    subjects = load_cohort(read_manifest(a_cohort))
    cancellation = Cancellation()

    def stop_after_three(text: str) -> None:
        if text.startswith("step 3/"):
            cancellation.request("it has done enough")

    def trainer(folder: str, say=lambda text: None, cancellation=None) -> Trainer:
        settings = RunSettings(output=tmp_path / folder, steps=6, log_every=1, say=say)
        return Trainer(TINY_MODEL, TINY_TRAINING, settings, subjects, cancellation=cancellation)

    trainer("unbroken").run()
    with pytest.raises(Cancelled, match="--resume"):
        trainer("broken", stop_after_three, cancellation).run()
    assert load_tensors(tmp_path / "broken" / "checkpoint.safetensors")[1]["progress"]["step"] == 3

    assert trainer("broken").run(resume=True).step == 6

    unbroken, resumed = weights_of(tmp_path / "unbroken"), weights_of(tmp_path / "broken")
    assert unbroken.keys() == resumed.keys()
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)


def test_a_killed_training_resumes_from_its_last_checkpoint_to_the_same_weights(a_cohort, a_config, tmp_path):
    arguments = [sys.executable, "-m", "AMDiffLib.train"]
    killed = command(a_cohort, a_config, tmp_path / "killed", "--checkpoint-minutes", "0")
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen([*arguments, *killed], stdout=subprocess.PIPE, text=True, env=environment)
    for line in process.stdout:
        if line.startswith("step 3/"):
            process.kill()
            break
    process.communicate()
    # A step may have been under way; what counts is that fewer than all were saved.
    assert load_tensors(tmp_path / "killed" / "checkpoint.safetensors")[1]["progress"]["step"] in (2, 3, 4, 5)

    assert train.main([*killed, "--resume"]) == 0
    assert train.main(command(a_cohort, a_config, tmp_path / "unbroken")) == 0

    unbroken, resumed = weights_of(tmp_path / "unbroken"), weights_of(tmp_path / "killed")
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)


def test_the_loss_falls_on_the_cohort(a_cohort, tmp_path):
    rates = OptimiserConfig(denoiser_rate=3e-3, segmenter_rate=3e-3, ramp_steps=0)
    config = replace(TINY_TRAINING, epochs=1, warm_up_first_epoch=0, warm_up_last_epoch=1, optimiser=rates)
    settings = RunSettings(output=tmp_path, steps=30, log_every=5, say=lambda text: None)
    Trainer(TINY_MODEL, config, settings, load_cohort(read_manifest(a_cohort))).run()

    with (tmp_path / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["diffusion"]) < 0.7 * float(rows[0]["diffusion"])
    assert float(rows[-1]["segmentation"]) < 0.95 * float(rows[0]["segmentation"])


def test_a_folder_with_another_run_is_not_overwritten(a_cohort, a_config, tmp_path, capsys):
    assert train.main(command(a_cohort, a_config, tmp_path, steps=1)) == 0
    assert train.main(command(a_cohort, a_config, tmp_path, steps=1)) == BadInput.exit_code
    assert "--resume" in capsys.readouterr().err


def test_a_run_is_not_resumed_with_other_settings(a_cohort, a_config, tmp_path, capsys):
    assert train.main(command(a_cohort, a_config, tmp_path, steps=1)) == 0
    assert train.main(command(a_cohort, a_config, tmp_path, "--resume", "--seed", "5", steps=1)) == 2
    assert "seed 0, now 5" in capsys.readouterr().err


def test_learning_rates_fall_as_configured():
    step_down = OptimiserConfig(schedule="half_time_step", ramp_steps=0)
    assert [learning_rate_factor(step_down, 0, p) for p in (0.0, 0.49, 0.5, 0.99)] == [1.0, 1.0, 0.1, 0.1]
    cosine = OptimiserConfig(ramp_steps=4, final_fraction=0.1)
    assert learning_rate_factor(cosine, 0, 0.0) == 0.25
    assert learning_rate_factor(cosine, 10, 0.5) == pytest.approx(0.55)
    assert learning_rate_factor(cosine, 10, 1.0) == pytest.approx(0.1)


def test_each_stage_trains_its_parts_and_keeps_the_others(a_cohort, a_config, tmp_path):
    joint = tmp_path / "joint"
    assert train.main(command(a_cohort, a_config, joint, steps=3)) == 0
    before, _ = load_tensors(joint / "last.safetensors")
    for name, trained in (
        ("denoiser", {"denoiser", "revision"}),
        ("segmentation", {"segmenter", "uncertainty"}),
    ):
        more = ("--stage", name, "--initial", str(joint), "--patch", "16")
        assert train.main(command(a_cohort, a_config, tmp_path / name, *more, steps=3)) == 0
        after, _ = load_tensors(tmp_path / name / "last.safetensors")
        changed = {key.partition(".")[0] for key in before if not torch.equal(before[key], after[key])}
        assert changed == trained


def test_parts_start_from_the_run_or_the_model_that_is_named(a_cohort, a_config, tmp_path):
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    assert train.main(command(a_cohort, a_config, first, steps=2)) == 0
    assert train.main(command(a_cohort, a_config, second, "--seed", "1", steps=2)) == 0
    # Nothing but the denoiser moves in this stage: the other parts show where they came from.
    more = ("--stage", "denoiser", "--initial", str(first), "--initial-segmenter", str(second / "model"))
    assert train.main(command(a_cohort, a_config, third, *more, steps=1)) == 0
    found, of_second = weights_of(third), weights_of(second)
    for name in found:
        if name.startswith("segmenter."):
            assert torch.allclose(found[name], of_second[name], atol=1e-3, rtol=1e-3)  # float16 in a model
        elif name.startswith("uncertainty."):
            assert torch.equal(found[name], weights_of(first)[name])


def test_the_segmentation_stage_needs_a_trained_denoiser(a_cohort, a_config, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        train.main(command(a_cohort, a_config, tmp_path / "run", "--stage", "segmentation"))
    assert ended.value.code == 2
    assert "--initial" in capsys.readouterr().err


def test_validation_levels_that_nobody_was_scanned_at_are_named(a_cohort, a_config, tmp_path, capsys):
    more = ("--validation-subjects", "case-2", "--validation-levels", "7,20")
    assert train.main(command(a_cohort, a_config, tmp_path, *more)) == BadInput.exit_code
    assert "7 % counts; the held-out cohort has 10, 20" in capsys.readouterr().err
