"""What the background process found out about this computer's processors, in words."""

from __future__ import annotations

from .translation import _


def usable_gpu(devices: list[dict]) -> dict | None:
    """Return the first graphics card that the networks can run on, or None."""
    return next((device for device in devices if device["kind"] == "cuda" and device["usable"]), None)


def devices_text(devices: list[dict]) -> str:
    """Return one line a processor; `devices` is what `AMDiffLib.describe` says."""
    return "\n".join(_card(device) if device["kind"] == "cuda" else _processor(device) for device in devices)


def _card(device: dict) -> str:
    memory = device.get("memory_mb")
    name = device["name"] if not memory else f"{device['name']}, {memory / 1024:.0f} GB"
    if device["usable"]:
        return _(
            "Graphics card: {name}, compute capability {capability}; a test computation ran on it."
        ).format(name=name, capability=device["compute_capability"])
    return _("Graphics card: {name}, cannot be used. {problem}").format(name=name, problem=device["problem"])


def _processor(device: dict) -> str:
    return _("Processor: {name}, {threads} threads.").format(name=device["name"], threads=device["threads"])
