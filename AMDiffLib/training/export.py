"""From a training run to a model folder that the inference loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from AMDiffLib.errors import BadInput
from AMDiffLib.inference.stored_weights import as_numbers
from AMDiffLib.inference.weights import WEIGHTS, check_model, save_model
from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import AMDiffConfig
from AMDiffLib.training.checkpoint import load_tensors
from AMDiffLib.training.envelope import state_envelope_of_training
from AMDiffLib.training.run_settings import BEST_NAME, LAST_NAME


def saved_weights(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights of a run or of a model folder, float32, and what is said of them.

    Of a run the averaged weights are taken, the best validated ones, else the last. Raises BadInput if a run
    has not saved weights yet, BadCheckpoint if a model is damaged.
    """
    if (folder / WEIGHTS).is_file():
        content = check_model(folder)
        stored = as_numbers(load_file(folder / WEIGHTS))
        return {name: tensor.float() for name, tensor in stored.items()}, content
    weights = next((folder / name for name in (BEST_NAME, LAST_NAME) if (folder / name).is_file()), None)
    if weights is None:
        raise BadInput(f"{folder} holds no weights ({BEST_NAME}, {LAST_NAME} or {WEIGHTS}); train first.")
    return load_tensors(weights)


def part_of(weights: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the weights of one part of the model: 'denoiser', 'revision', 'segmenter' or 'uncertainty'."""
    return {name: tensor for name, tensor in weights.items() if name.partition(".")[0] == part}


def export_run(
    run: Path, folder: Path, card_text: str | None = None, *, manifest: Path | None = None
) -> Path:
    """Write the averaged weights of `run` (best validated, else last) as a model folder, a byte a weight.

    With the `manifest` it was trained with, the model states its envelope: what scans it knows. Works while
    the run is still going. Returns `folder`; raises BadInput if the run has not saved weights yet.
    """
    tensors, content = saved_weights(run)
    model = AMDiff(AMDiffConfig.from_dict(content["model"]))
    model.load_state_dict(tensors)
    settings = json.loads((run / "config.json").read_text(encoding="utf-8"))
    training: dict[str, Any] = {"step": content["step"], "validation": content["figures"]}
    training |= {"settings": settings["training"], "run": settings["run"]}
    save_model(model, folder, card_text, {"training": training}, in_bytes=True)
    if manifest is not None:
        state_envelope_of_training(folder, manifest)
    return folder
