"""Text in the language of the application."""

from __future__ import annotations

try:
    from slicer.i18n import tr as _
except ImportError:  # MRML without the application, as the demo and the tests use it, has no translations

    def _(text: str) -> str:
        """Return `text` as it is."""
        return text


__all__ = ["_"]
