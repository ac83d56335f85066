"""Outside text on a terminal."""

from __future__ import annotations


def inert(text: str) -> str:
    """Text for a terminal: control characters, which could move the cursor or recolour, made visible."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text)
