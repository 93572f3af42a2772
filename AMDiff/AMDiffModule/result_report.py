"""What a result says of how it was made, kept in its node so that a saved scene can be exported later."""

from __future__ import annotations

import json

_ATTRIBUTE = "AMDiff.report"


def remember_report(denoised_node, report: dict) -> None:
    """Write the content of report.json into the denoised volume, without the details of the networks."""
    model = {key: value for key, value in report.get("model", {}).items() if key != "configuration"}
    denoised_node.SetAttribute(_ATTRIBUTE, json.dumps({**report, "model": model}))


def report_of(denoised_node) -> dict:
    """Return what `remember_report` wrote; empty for a result of an older version."""
    return json.loads(denoised_node.GetAttribute(_ATTRIBUTE) or "{}")
