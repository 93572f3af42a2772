"""Models whose files are cut short or have a flipped bit: refused, or the same as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from small_cases import saved_tiny_model

from AMDiffLib.errors import BadCheckpoint
from AMDiffLib.inference.weights import check_model

FILES = ("model.safetensors", "config.json")
# What the job takes from a configuration.
_SETTINGS = ("model", "sha256", "name")


def damage_model(folder: Path, name: str, *, count: int, seed: int) -> dict[str, int]:
    """Damage a file of the model in `folder` in `count` ways, one after the other, and read the model.

    Every other damage cuts the file at a random place; the rest flip a random bit.

    Returns:
        How many were "refused" (BadCheckpoint that names the file or the folder), how many were "the same"
        (the settings read are those that were written), and how many "passed" with other content.
    """
    path = folder / name
    whole = path.read_bytes()
    before = check_model(folder)
    rng = np.random.default_rng(seed)
    found = {"refused": 0, "the same": 0, "passed": 0}
    for number in range(count):
        content = bytearray(whole)
        place = int(rng.integers(len(whole)))
        if number % 2:
            content[place] ^= 1 << int(rng.integers(8))
        else:
            del content[place:]
        path.write_bytes(content)
        try:
            after = check_model(folder)
            same = all(after.get(key) == before.get(key) for key in _SETTINGS)
            found["the same" if same and name != FILES[0] else "passed"] += 1
        except BadCheckpoint as error:
            found["refused" if str(folder) in str(error) else "passed"] += 1
    path.write_bytes(whole)
    return found


def damage_report(folder: Path, *, count: int, seed: int) -> str:
    """Damage both files of a model, half of `count` each, and say in a sentence what came of it."""
    saved_tiny_model(folder)
    sentences = []
    for name in FILES:
        found = damage_model(folder, name, count=count // 2, seed=seed)
        sentences.append(
            f"{count // 2} damages of {name} (truncated at or flipped in a random place, seed {seed}): "
            f"{found['refused']} refused by name, {found['the same']} without any effect on a setting, "
            f"{found['passed']} unnoticed."
        )
    return "\n".join(sentences)
