"""A checksum of a JSON object within itself, so that a damaged digit is not taken for a setting."""

from __future__ import annotations

import hashlib
import json
from typing import Any

SEAL = "config_sha256"


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """Return `content` with its checksum, in place of an older one."""
    plain = {key: value for key, value in content.items() if key != SEAL}
    return {**plain, SEAL: _checksum(plain)}


def is_intact(content: dict[str, Any]) -> bool:
    """Whether the checksum in `content` is that of the rest of it; content without one passes."""
    stated = content.get(SEAL)
    return stated is None or stated == _checksum({k: v for k, v in content.items() if k != SEAL})


def _checksum(content: dict[str, Any]) -> str:
    # Independent of layout and order: the same content has the same checksum.
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
