"""A model's folder: model.safetensors, config.json with the checksums, calibration.json, MODEL_CARD.md."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from AMDiffLib.errors import BadCheckpoint
from AMDiffLib.inference.seal import SEAL, is_intact, sealed
from AMDiffLib.quantification.calibration import Calibration

if TYPE_CHECKING:
    import torch

    from AMDiffLib.networks.amdiff import AMDiff

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CALIBRATION = "calibration.json"
CALIBRATION_SHA256 = "calibration_sha256"
CARD = "MODEL_CARD.md"
DEFAULT_MODEL = "amdiff-compact"


def models_folder() -> Path:
    """Where the models that come with the software lie: one folder each, named after the model."""
    return Path(__file__).resolve().parents[2] / "Resources" / "Models"


def installed_models() -> list[str]:
    """Names of the models that come with the software."""
    return sorted(path.parent.name for path in models_folder().glob(f"*/{CONFIG}"))


def model_folder(name_or_folder: str | Path) -> Path:
    """The folder of a model that comes with the software, by name, or the user's own folder.

    Raises BadCheckpoint where there is no such folder, or one of its two files is missing.
    """
    own = Path(name_or_folder)
    named = models_folder() / str(name_or_folder)
    folder = named if own.name == str(name_or_folder) and named.is_dir() else own
    if not folder.is_dir():
        raise BadCheckpoint(
            f"There is no model '{name_or_folder}'. Installed are: "
            f"{', '.join(installed_models()) or 'none'}. Give one of these names, or a folder with {WEIGHTS} "
            f"and {CONFIG}."
        )
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise BadCheckpoint(
                f"The model folder {folder} has no {name}. It needs {WEIGHTS} and {CONFIG}: install the "
                "model again."
            )
    return folder


def read_config(name_or_folder: str | Path) -> dict[str, Any]:
    """The content of a model's config.json: "name", "model", "sha256", "training". Raises BadCheckpoint."""
    path = model_folder(name_or_folder) / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BadCheckpoint(f"{path} cannot be read as JSON ({error}). Install the model again.") from error
    for key in ("model", "sha256"):
        if not isinstance(content, dict) or key not in content:
            raise BadCheckpoint(f"{path} does not state '{key}'. Install the model again.")
    if not is_intact(content):
        raise BadCheckpoint(
            f"{path} is damaged: it does not have the checksum that it states. Install the model again; if "
            f"you have changed it yourself and mean it, remove its '{SEAL}'."
        )
    return content


def check_model(name_or_folder: str | Path) -> dict[str, Any]:
    """Compare the weights' sha256 with config.json and return what that holds. Fast; raises BadCheckpoint."""
    folder = model_folder(name_or_folder)
    content = read_config(folder)
    _check_weights(folder, sha256_of(folder / WEIGHTS), content)
    return content


def _check_weights(folder: Path, found: str, content: dict[str, Any]) -> None:
    if found != content["sha256"]:
        raise BadCheckpoint(
            f"The weights {folder / WEIGHTS} are damaged or not those of this model: their sha256 is "
            f"{found[:12]}..., and {CONFIG} states {str(content['sha256'])[:12]}... Install the model again."
        )


def read_calibration(name_or_folder: str | Path) -> Calibration | None:
    """The constants of the model's intervals; None where the folder has none.

    Raises BadCheckpoint: they are damaged, of another version of this software, or of other weights.
    """
    folder = model_folder(name_or_folder)
    config, path = read_config(folder), folder / CALIBRATION
    stated = config.get(CALIBRATION_SHA256)
    if not path.is_file():
        if stated is None:
            return None
        raise BadCheckpoint(f"The model folder {folder} has no {CALIBRATION}. Install the model again.")
    if sha256_of(path) != stated:
        raise BadCheckpoint(
            f"{path} is damaged or not that of this model: {CONFIG} states "
            f"{'no ' + CALIBRATION_SHA256 if stated is None else 'another sha256'}. Install the model again, "
            "or calibrate it (python -m AMDiffLib.calibrate fit)."
        )
    try:
        calibration = Calibration.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise BadCheckpoint(f"{path} cannot be used: {error}. Install the model again.") from error
    if calibration.model_sha256 != config["sha256"]:
        raise BadCheckpoint(
            f"{path} belongs to other weights (sha256 {calibration.model_sha256[:12]}...) than those of this "
            f"model ({str(config['sha256'])[:12]}...), so that its intervals would be wrong. Calibrate the "
            "model anew (python -m AMDiffLib.calibrate fit), or install it again."
        )
    return calibration


def save_calibration(calibration: Calibration, name_or_folder: str | Path) -> Path:
    """Write a model's calibration.json, state its sha256 in config.json, and return its path.

    Raises BadCheckpoint where the calibration belongs to other weights.
    """
    folder = model_folder(name_or_folder)
    config = read_config(folder)
    if calibration.model_sha256 != config["sha256"]:
        raise BadCheckpoint(
            f"The calibration was found with other weights (sha256 {calibration.model_sha256[:12]}...) than "
            f"those in {folder} ({str(config['sha256'])[:12]}...). Give the model that it was found with."
        )
    path = folder / CALIBRATION
    _replace_text(path, json.dumps(calibration.to_dict(), indent=1) + "\n")
    write_config(folder, {**config, CALIBRATION_SHA256: sha256_of(path)})
    return path


def load_model(name_or_folder: str | Path, device: str | torch.device = "cpu") -> AMDiff:
    """Load a model, ready for use: evaluation mode, no gradients, on `device`.

    `name_or_folder` is the name of an installed model or a folder. The weights' sha256 is compared with
    config.json before anything is made of them, and safetensors hold numbers only: nothing is executed.
    The checksum beside the weights protects against damage, mixed-up and half-copied files; whoever can
    replace both files can replace the model, so take models from where you take software.
    Raises BadCheckpoint.
    """
    folder = model_folder(name_or_folder)
    content = read_config(folder)
    # Read once: what has been checked is what is loaded.
    stored = (folder / WEIGHTS).read_bytes()
    _check_weights(folder, hashlib.sha256(stored).hexdigest(), content)
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from AMDiffLib.inference.stored_weights import as_numbers
    from AMDiffLib.networks.amdiff import AMDiff
    from AMDiffLib.networks.config import AMDiffConfig

    try:
        model = AMDiff(AMDiffConfig.from_dict(content["model"]))
        tensors = as_numbers(load(stored))
        model.load_state_dict(tensors, strict=True)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise BadCheckpoint(
            f"The model in {folder} cannot be built: {error}. Install the model again."
        ) from error
    except RuntimeError as error:
        if "state_dict" not in str(error):
            raise  # memory, for one, is not the checkpoint's fault
        raise BadCheckpoint(
            f"The weights in {folder} do not belong to its {CONFIG}: {error}. Install the model again."
        ) from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise BadCheckpoint(
            f"The weights in {folder} hold values that are not numbers. Use another checkpoint."
        )
    return model.eval().requires_grad_(False).to(device)


def save_model(
    model: AMDiff,
    folder: str | Path,
    card_text: str | None = None,
    extra: dict[str, Any] | None = None,
    *,
    in_bytes: bool = False,
) -> None:
    """Write a model's folder; each file appears whole or not at all.

    A calibration of earlier weights is removed.
    config.json holds "name" (the folder's, unless `extra` names it), the model's configuration, the weights'
    sha256, its own checksum, and what `extra` adds (such as "training": where the weights come from).
    `card_text` becomes MODEL_CARD.md. With `in_bytes` the weights take a byte each (`stored_weights`), a
    quarter of float32.
    """
    from safetensors.torch import save_file

    from AMDiffLib.inference.stored_weights import as_bytes

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Cloned: layers may share a tensor, and safetensors refuses to store one memory twice.
    tensors = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()
    }
    if in_bytes:
        tensors = as_bytes(tensors)
    (folder / CALIBRATION).unlink(missing_ok=True)
    unfinished = folder / f".{WEIGHTS}.{os.getpid()}"
    try:
        save_file(tensors, unfinished)
        checksum = sha256_of(unfinished)
        unfinished.replace(folder / WEIGHTS)
    finally:
        unfinished.unlink(missing_ok=True)
    content = {"name": folder.name, "model": model.config.to_dict(), **(extra or {}), "sha256": checksum}
    write_config(folder, content)
    if card_text is not None:
        _replace_text(folder / CARD, card_text)


def write_config(folder: Path, content: dict[str, Any]) -> None:
    """Write a model's config.json, with the checksum of its content."""
    _replace_text(folder / CONFIG, json.dumps(sealed(content), indent=2) + "\n")


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _replace_text(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
