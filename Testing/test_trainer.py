"""The training loop, end to end on three tiny cases."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_cases import (
    TINY_MODEL,
    TINY_PAPER_MODEL,
    TINY_TRAINING,
    command,
    environment,
    weights_of,
    write_cohort,
    write_config,
)

from AMDiffLib import train
from AMDiffLib.errors import BadInput, Cancelled
from AMDiffLib.inference.weights import load_model
from AMDiffLib.progress import Cancellation
from AMDiffLib.training.checkpoint import load_tensors
from AMDiffLib.training.config import PAPER_TRAINING, OptimiserConfig
from AMDiffLib.training.csv_log import read_rows
from AMDiffLib.training.dataset import load_cohort, read_manifest
from AMDiffLib.training.run_folder import RunFolder
from AMDiffLib.training.run_settings import RunSettings
from AMDiffLib.training.trainer import Trainer


@pytest.fixture(scope="module")
def a_cohort(tmp_path_factory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def a_config(tmp_path_factory) -> Path:
    return write_config(tmp_path_factory.mktemp("config"))


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
            "--validation-steps",
            "4",
            "--tensorboard",
            "on",
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
        validated = list(csv.DictReader(file))
    assert [int(row["step"]) for row in validated] == [4, 6]  # and the last step
    assert float(validated[0]["body_error"]) > 0.0
    for picture in ("losses.png", "validation.png"):
        assert imread(run / picture).std() > 0.05

    logged = EventAccumulator(str(run / "tensorboard")).Reload()
    scalars = set(logged.Tags()["scalars"])
    assert {"loss/segmentation", "schedule/warm_up", "learning_rate/denoiser"} <= scalars
    assert {"gradient_norm/segmenter", "validation/score"} <= scalars
    segmentation = [(event.step, event.value) for event in logged.Scalars("loss/segmentation")]
    assert segmentation[1] == (2, pytest.approx(float(rows[1]["segmentation"]), rel=1e-5))
    assert [event.step for event in logged.Images("validation/scan")] == [4, 6]


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
    process = subprocess.Popen([*arguments, *killed], stdout=subprocess.PIPE, text=True, env=environment())
    for line in process.stdout:
        if line.startswith("step 3/"):
            process.kill()
            break
    process.communicate()
    # A step may have been under way; what counts is that fewer than all were saved.
    assert load_tensors(tmp_path / "killed" / "checkpoint.safetensors")[1]["progress"]["step"] in (2, 3, 4, 5)

    assert train.main([*killed, "--resume"]) == 0
    assert train.main(command(a_cohort, a_config, tmp_path / "unbroken")) == 0
    with (tmp_path / "killed" / "losses.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == list("123456")

    unbroken, resumed = weights_of(tmp_path / "unbroken"), weights_of(tmp_path / "killed")
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)


def test_a_run_is_repeated_by_its_seed(a_cohort, tmp_path):
    subjects = load_cohort(read_manifest(a_cohort))

    def trained(folder: str, seed: int) -> dict[str, torch.Tensor]:
        settings = RunSettings(output=tmp_path / folder, steps=2, seed=seed, say=lambda text: None)
        training = replace(TINY_TRAINING, epochs=2, warm_up_first_epoch=1, warm_up_last_epoch=2)
        Trainer(TINY_MODEL, training, settings, subjects).run()
        return weights_of(tmp_path / folder)

    first, again, other = trained("first", 3), trained("again", 3), trained("other", 4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(
        first["model.denoiser.unet.conv_in.conv.weight"], other["model.denoiser.unet.conv_in.conv.weight"]
    )


def test_best_weights_that_are_newer_than_the_checkpoint_keep_their_score(a_cohort, tmp_path):
    subjects = load_cohort(read_manifest(a_cohort))
    settings = RunSettings(output=tmp_path, steps=2, say=lambda text: None)
    stop = Cancellation()
    stop.request("nothing to do")
    trainer = Trainer(TINY_MODEL, TINY_TRAINING, settings, subjects, cancellation=stop)
    with pytest.raises(Cancelled):
        trainer.run()
    facts = {"subjects": [s.name for s in subjects], "processes": 1}
    folder = RunFolder(settings, TINY_MODEL, TINY_TRAINING, **facts)
    folder.save_best(trainer.average, 1, {"score": 0.25})

    progress = folder.restore(trainer.model, trainer.average, trainer.optimiser, resume=True)

    assert (progress.step, progress.best_step, progress.best_score) == (0, 1, 0.25)


def test_the_loss_falls_on_the_cohort(a_cohort, tmp_path):
    rates = OptimiserConfig(denoiser_rate=3e-3, segmenter_rate=3e-3, ramp_steps=0)
    config = replace(TINY_TRAINING, epochs=1, warm_up_first_epoch=0, warm_up_last_epoch=1, optimiser=rates)
    settings = RunSettings(output=tmp_path, steps=30, log_every=5, say=lambda text: None)
    Trainer(TINY_MODEL, config, settings, load_cohort(read_manifest(a_cohort))).run()

    rows = read_rows(tmp_path / "losses.csv")
    assert float(rows[-1]["diffusion"]) < 0.7 * float(rows[0]["diffusion"])
    assert float(rows[-1]["segmentation"]) < 0.95 * float(rows[0]["segmentation"])


def test_false_lesions_begin_to_cost_in_their_epoch(a_cohort, tmp_path):
    healthy = [
        replace(subject, lesions=np.zeros_like(subject.lesions), lesion_voxels=())
        for subject in load_cohort(read_manifest(a_cohort))
    ]

    def course(first_epoch: int) -> list[float]:
        training = replace(
            TINY_TRAINING,
            epochs=2,
            warm_up_first_epoch=0,
            warm_up_last_epoch=1,
            absent_lesion_first_epoch=first_epoch,
            loss=replace(TINY_TRAINING.loss, absent_lesion_ml=3.2),
        )
        folder = tmp_path / str(first_epoch)
        settings = RunSettings(output=folder, steps=4, log_every=1, say=lambda text: None)
        Trainer(TINY_MODEL, training, settings, healthy).run()
        return [float(row["segmentation"]) for row in read_rows(folder / "losses.csv")]

    at_once, half_way, never = course(0), course(1), course(2)
    assert at_once[0] > never[0]
    assert half_way[:2] == never[:2]
    assert half_way[2] > never[2]


def test_the_published_configuration_trains(a_cohort, tmp_path):
    """Noise prediction over 250 timesteps, batch normalisation, warm-up, rates a tenth from half time on."""
    steps = 48
    rates = replace(PAPER_TRAINING.optimiser, denoiser_rate=3e-3)
    config = replace(PAPER_TRAINING, patch_size=16, optimiser=rates)
    settings = RunSettings(output=tmp_path, steps=steps, log_every=1, say=lambda text: None)
    trainer = Trainer(TINY_PAPER_MODEL, config, settings, load_cohort(read_manifest(a_cohort)))
    assert any(isinstance(module, torch.nn.BatchNorm3d) for module in trainer.model.modules())
    trainer.run()

    rows = [{name: float(value) for name, value in row.items()} for row in read_rows(tmp_path / "losses.csv")]
    # An untrained denoiser says 0; the mean absolute value of a standard normal is sqrt(2 / pi).
    assert rows[0]["diffusion"] == pytest.approx((2.0 / 3.14159265) ** 0.5, abs=0.02)
    assert sum(row["diffusion"] for row in rows[-4:]) / 4 < 0.85 * rows[0]["diffusion"]
    # Step k of 48 lies in epoch 800 (k - 1) / 48: the warm-up begins at the first one past epoch 100.
    assert [row["warm"] > 0.0 for row in rows] == [800 * k / steps >= 100 for k in range(steps)]
    assert [row["rate_factor"] for row in rows] == [1.0] * 24 + [0.1] * 24


def test_a_folder_with_another_run_is_not_overwritten(a_cohort, a_config, tmp_path, capsys):
    assert train.main(command(a_cohort, a_config, tmp_path, steps=1)) == 0
    assert train.main(command(a_cohort, a_config, tmp_path, steps=1)) == BadInput.exit_code
    assert "--resume" in capsys.readouterr().err


def test_a_run_is_not_resumed_with_other_settings(a_cohort, a_config, tmp_path, capsys):
    assert train.main(command(a_cohort, a_config, tmp_path, steps=1)) == 0
    assert train.main(command(a_cohort, a_config, tmp_path, "--resume", "--seed", "5", steps=1)) == 2
    assert "seed 0, now 5" in capsys.readouterr().err


def test_each_stage_trains_its_parts_and_keeps_the_others(a_cohort, a_config, tmp_path):
    joint = tmp_path / "joint"
    assert train.main(command(a_cohort, a_config, joint, steps=3)) == 0
    before, _ = load_tensors(joint / "last.safetensors")
    for name, trained in (
        ("denoiser", {"denoiser", "revision"}),
        ("segmentation", {"segmenter"}),
        ("uncertainty", {"uncertainty"}),
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
        if name.startswith(("segmenter.", "uncertainty.")):
            largest = float(of_second[name].abs().max())
            assert torch.allclose(found[name], of_second[name], rtol=0, atol=largest / 253)  # a byte each


@pytest.mark.parametrize("stage", ["segmentation", "uncertainty"])
def test_the_stages_on_top_of_a_denoiser_need_one(a_cohort, a_config, tmp_path, capsys, stage):
    with pytest.raises(SystemExit) as ended:
        train.main(command(a_cohort, a_config, tmp_path / "run", "--stage", stage))
    assert ended.value.code == 2
    assert "--initial" in capsys.readouterr().err


def test_a_start_from_other_networks_names_the_parts_that_differ(a_cohort, a_config, tmp_path, capsys):
    assert train.main(command(a_cohort, a_config, tmp_path / "whole", steps=1)) == 0
    more = ("--initial", str(tmp_path / "whole"), "--without", "revision", "--without", "res-mamba")
    assert train.main(command(a_cohort, a_config, tmp_path / "less", *more, steps=1)) == BadInput.exit_code
    assert "their revision, segmenter differ" in capsys.readouterr().err


def test_validation_levels_that_nobody_was_scanned_at_are_named(a_cohort, a_config, tmp_path, capsys):
    more = ("--validation-subjects", "case-2", "--validation-levels", "7,20")
    assert train.main(command(a_cohort, a_config, tmp_path, *more)) == BadInput.exit_code
    assert "7 % counts; the held-out cohort has 10, 20" in capsys.readouterr().err
