"""From a training run to a model folder that the inference loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from AMDiffLib.errors import BadInput
from AMDiffLib.inference.weights import save_model
from AMDiffLib.networks.amdiff import AMDiff
from AMDiffLib.networks.config import AMDiffConfig
from AMDiffLib.training.checkpoint import load_tensors
from AMDiffLib.training.run_settings import BEST_NAME, LAST_NAME


def saved_weights(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the averaged weights of `run`, the best validated ones, else the last, and what is said of them.

    Raises BadInput if the run has not saved weights yet.
    """
    weights = next((run / name for name in (BEST_NAME, LAST_NAME) if (run / name).is_file()), None)
    if weights is None:
        raise BadInput(f"{run} holds no weights ({BEST_NAME} or {LAST_NAME}); train first.")
    return load_tensors(weights)


def export_run(run: Path, folder: Path, card_text: str | None = None) -> Path:
    """Write the averaged weights of `run` (best validated, else last) as a model folder, in float16.

    Works while the run is still going. Returns `folder`; raises BadInput if the run has not saved weights
    yet.
    """
    tensors, content = saved_weights(run)
    model = AMDiff(AMDiffConfig.from_dict(content["model"]))
    model.load_state_dict(tensors)
    settings = json.loads((run / "config.json").read_text(encoding="utf-8"))
    training: dict[str, Any] = {"step": content["step"], "validation": content["figures"]}
    training |= {"settings": settings["training"], "run": settings["run"]}
    save_model(model, folder, card_text, {"training": training}, half_precision=True)
    return folder
