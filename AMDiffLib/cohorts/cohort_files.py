"""The files that the folder of every cohort holds, converted or simulated: its settings and its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from AMDiffLib.errors import BadInput
from AMDiffLib.training.manifest import MANIFEST_FORMAT, MANIFEST_VERSION

MANIFEST, SETTINGS = "manifest.json", "settings.json"


def keep_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings into a new cohort's folder, or hold them against those that are there.

    Raises BadInput where they differ, or where a cohort is there without any.
    """
    wanted = json.loads(json.dumps(settings, default=_plain))
    file = folder / SETTINGS
    if not file.exists():
        if (folder / MANIFEST).exists():
            raise BadInput(
                f"{folder} holds a cohort without {SETTINGS}, so that it cannot be continued. Choose another "
                "--output."
            )
        write_json(file, wanted)
        return
    found = json.loads(file.read_text(encoding="utf-8"))
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if differing:
        texts = [f"{key} {found.get(key)!r} there, {wanted[key]!r} now" for key in differing]
        raise BadInput(
            f"{folder} holds a cohort made with other settings ({'; '.join(texts)}). Choose another "
            "--output, or the same settings."
        )


def write_manifest(path: Path, cases: Sequence[dict[str, Any]], *, source: str) -> None:
    """Write a manifest of version 1; `source` says in words where the cases come from."""
    content = {"format": MANIFEST_FORMAT, "version": MANIFEST_VERSION, "source": source, "cases": list(cases)}
    write_json(path, content)


def write_json(file: Path, content: object) -> None:
    """Write a JSON file in one step: a reader sees the old one or the new one."""
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    partial.replace(file)


def _plain(value: object) -> object:
    """What stands in JSON for a path or a set."""
    return str(value) if isinstance(value, Path) else sorted(value)
