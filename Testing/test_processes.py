"""Several processes that train one model: the same course as one, one writer, one end."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import process_cases
import pytest
import torch
from training_cases import TINY_TRAINING, command, environment, weights_of, write_cohort, write_config

from AMDiffLib import train
from AMDiffLib.errors import BadInput, Cancelled
from AMDiffLib.training.checkpoint import load_tensors
from AMDiffLib.training.processes import ALONE, Processes, joined

EXACT = ("--precision", "float32")
TERMS = ("total", "diffusion", "lesion_organ", "revision", "segmentation", "uncertainty")


@pytest.fixture(scope="module")
def a_training(tmp_path_factory) -> tuple[Path, Path]:
    """A manifest and a configuration whose second epoch, at the second of four steps, trains everything."""
    folder = tmp_path_factory.mktemp("training")
    return write_cohort(folder), write_config(folder, training=replace(TINY_TRAINING, epochs=4))


@pytest.fixture(scope="module")
def trained_alone(a_training, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("alone")
    assert train.main(command(*a_training, run, *EXACT, steps=4)) == 0
    return run


def losses_of(run: Path) -> list[list[float]]:
    with (run / "losses.csv").open() as file:
        return [[float(row[name]) for name in TERMS] for row in csv.DictReader(file)]


def assert_same_curve(found: list[list[float]], expected: list[list[float]]) -> None:
    # The first two steps agree to the six digits of the table. Then Adam, which divides by the size of the
    # gradient, has made steps of what was rounding: sums of the same numbers in another order.
    for row, (one, other) in enumerate(zip(expected, found, strict=True)):
        assert other == pytest.approx(one, rel=3e-6 if row < 2 else 3e-4, abs=2e-6)


def test_two_processes_under_torchrun_have_the_loss_curve_of_one(a_training, trained_alone, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "AMDiffLib.train", *command(*a_training, tmp_path, *EXACT, steps=4)],
        env=environment(),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "on 2 processes" in done.stdout
    assert done.stdout.count("step 4/4") == 1
    assert losses_of(trained_alone)[-1][TERMS.index("segmentation")] > 0.5
    assert_same_curve(losses_of(tmp_path), losses_of(trained_alone))
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_all_stop_at_one_step_when_one_is_asked_to_and_one_process_finishes_the_run(
    a_training, trained_alone, tmp_path
):
    options = command(*a_training, tmp_path, *EXACT, steps=4)
    processes = process_cases.start_together(["-m", "AMDiffLib.train", *options])
    try:
        for line in processes[0].stdout:
            if line.startswith("step 2/"):
                processes[1].send_signal(signal.SIGTERM)
                break
        codes = [process.wait(timeout=120) for process in processes]
    finally:
        process_cases.end_all(processes)
    step = load_tensors(tmp_path / "checkpoint.safetensors")[1]["progress"]["step"]
    # A process that had made its last step before it was asked ends as if it had not been.
    assert codes == [Cancelled.exit_code] * 2 or step == 4
    assert step >= 2

    assert train.main([*options, "--resume"]) == 0

    assert_same_curve(losses_of(tmp_path), losses_of(trained_alone))
    one, resumed = weights_of(trained_alone), weights_of(tmp_path)
    assert one.keys() == resumed.keys()


def test_a_process_that_is_killed_is_missed_at_once():
    processes = process_cases.start_together([process_cases.__file__, "exchange"])
    try:
        assert [process.stdout.readline() for process in processes] == ["joined\n"] * 2
        processes[1].kill()
        assert processes[0].wait(timeout=60) == 1
        assert "Another process of this training ended" in processes[0].stderr.read()
    finally:
        process_cases.end_all(processes)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the names of the threads from /proc")
def test_no_thread_of_the_group_is_left_when_a_process_has_left_it():
    processes = process_cases.start_together([process_cases.__file__, "leave"])
    try:
        for process in processes:
            within, after = process.stdout.readline(), process.stdout.readline()
            assert within.count("gloo") > 1
            assert "gloo" not in after
            assert "store" not in after
        assert [process.wait(timeout=60) for process in processes] == [0, 0]
    finally:
        process_cases.end_all(processes)


def test_batch_normalisation_is_over_the_patches_of_all_processes(tmp_path):
    processes = process_cases.start_together([process_cases.__file__, "batch_norm", str(tmp_path)])
    try:
        assert [process.wait(timeout=60) for process in processes] == [0, 0]
    finally:
        process_cases.end_all(processes)
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]

    norm = torch.nn.BatchNorm3d(3)
    x = process_cases.a_batch().requires_grad_()
    y = norm(x)
    process_cases.loss_of(y, range(4)).backward()

    for rank, share in enumerate(shares):
        torch.testing.assert_close(share["y"], y.detach()[rank::2])
        torch.testing.assert_close(share["x_gradient"], x.grad[rank::2], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(share["weight_gradient"], norm.weight.grad)
        for name, value in norm.state_dict().items():
            torch.testing.assert_close(share[name], value)


def test_a_batch_is_shared_out_evenly_or_not_at_all():
    assert [list(Processes(rank=rank, count=2).slots(6)) for rank in (0, 1)] == [[0, 2, 4], [1, 3, 5]]
    with pytest.raises(BadInput, match="multiple of 4"):
        Processes(rank=0, count=4).slots(6)


def test_without_torchrun_a_process_is_alone():
    with joined(torch.device("cpu")) as processes:
        assert processes == ALONE
        assert processes.leads
        assert processes.largest(1.0, -2.0) == [1.0, -2.0]
