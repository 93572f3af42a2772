"""What a finished study was made from and how, so that a later batch knows whether to do it again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from AMDiffLib.errors import BadInput
from AMDiffLib.image.header_text import data_file, header_fields

RECORD = "batch.json"
_DETACHED_HEADERS = {".nhdr": "NRRD", ".nrrd": "NRRD", ".mhd": "MetaImage", ".mha": "MetaImage"}


def input_checksum(files: Iterable[Path]) -> str:
    """Return the sha256 over the bytes of a study's files, whatever their names and order.

    The voxels of a header with a detached data file count too. Raises OSError where a file cannot be read.
    """
    digests = sorted(_file_digest(path) for path in _with_data_files(files))
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def record_of(files: Iterable[Path], *, model_sha256: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a study: input, model and options decide the result; the device does not."""
    record = {
        "format": "amdiff-batch-study",
        "version": 1,
        "input_sha256": input_checksum(files),
        "model_sha256": model_sha256,
        "options": options,
    }
    return json.loads(json.dumps(record))  # as it will be read again: tuples are lists there


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write the record among the results."""
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def is_finished(folder: Path, record: dict[str, Any]) -> bool:
    """Whether `folder` holds all results of a study with exactly this record."""
    found = read_json(folder / RECORD)
    report = read_json(folder / "report.json")
    if found != record or report is None:
        return False
    return all((folder / name).exists() for name in report.get("files", []))


def is_ours(folder: Path) -> bool:
    """Whether the folder holds results of a batch, which a later one may replace."""
    record = read_json(folder / RECORD)
    return record is not None and record.get("format") == "amdiff-batch-study"


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file; None where there is none or it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _with_data_files(files: Iterable[Path]) -> set[Path]:
    found = set()
    for path in files:
        found.add(path)
        file_format = _DETACHED_HEADERS.get(path.suffix.lower())
        # A header that names no file of its own folder is refused when its turn to be read comes.
        with contextlib.suppress(BadInput):
            if file_format and (data := data_file(path, header_fields(path, file_format), file_format)):
                found.add(data)
    return found


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
