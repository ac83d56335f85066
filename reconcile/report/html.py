"""HTML that is safe to keep: escaped text, inline styles only, no links, no scripts, no outside resources."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

DASH = "\N{EN DASH}"
"""What stands for a missing value."""
TIMES = "\N{MULTIPLICATION SIGN}"

_NAMED_CONTROLS = {0x09: "⇥", 0x0A: "↵", 0x0D: "␍", 0x7F: "␡"}
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Controls, zero-width and bidirectional marks, lone surrogates, tags: what changes a text without being seen."""
_ADDRESS = re.compile(r":(?=//)|(?<=script):", re.IGNORECASE)


def shown_text(value: object) -> str:
    """External text for HTML: escaped, invisible characters named.

    The colon of an address stands in an element of its own: JupyterLab turns addresses in running text into links.
    """
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN, the missing text of a frame, is the value that differs from itself
        return DASH
    visible = _INVISIBLE.sub(_named, str(value))
    return _ADDRESS.sub("<span>:</span>", html.escape(visible, quote=True))


def _named(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code in _NAMED_CONTROLS:
        return _NAMED_CONTROLS[code]
    return chr(0x2400 + code) if code < 0x20 else f"[U+{code:04X}]"  # noqa: PLR2004 - Unicode draws 0x00-0x1F at 0x2400


@dataclass(frozen=True, slots=True)
class Shown:
    """Something to look at; ``html`` is complete in itself."""

    html: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return "(shown as HTML)"


def display(shown: Shown) -> None:
    """Show something at once, in the middle of a cell; outside a notebook nothing is shown."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        ipython.display.display(shown)


class Tone(StrEnum):
    """What a coloured mark says; each comes with a sign, so that colour is never the only difference."""

    GOOD = "good"
    STOP = "stop"
    HOLD = "hold"
    NOTE = "note"


# Tints, so that the theme's own text colour stays readable on them; hues apart for colour-blind readers.
_TINT = {Tone.GOOD: "0,158,115", Tone.STOP: "213,94,0", Tone.HOLD: "230,159,0", Tone.NOTE: "86,160,220"}
_SIGN = {Tone.GOOD: "✓", Tone.STOP: "✗", Tone.HOLD: "!", Tone.NOTE: "i"}
_LINE = "rgba(128,128,128,0.45)"
_FAINT_LINE = "rgba(128,128,128,0.2)"
_CELL = "padding:3px 10px;vertical-align:top;background:none;"
LEFT = "text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:70px;"
RIGHT = "text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;"
NOWRAP = "text-align:left;white-space:nowrap;"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: finished HTML and how it stands."""

    html: str
    style: str = LEFT


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title (ours or external, escaped here) and how its title stands."""

    title: str
    style: str = LEFT


def chip(tone: Tone, words: str) -> str:
    """A small mark with a sign: ``✗ stops``."""
    return (
        f'<span style="display:inline-block;padding:0 7px;border-left:4px solid rgb({_TINT[tone]});'
        f'background-color:rgba({_TINT[tone]},0.18);white-space:nowrap">{_SIGN[tone]} {shown_text(words)}</span>'
    )


def box(tone: Tone, title: str, body: Iterable[str] = ()) -> str:
    """A highlighted box; ``title`` is text, ``body`` finished HTML, one block each."""
    blocks = "".join(f'<div style="margin-top:6px">{block}</div>' for block in body)
    return (
        f'<div style="border-left:8px solid rgb({_TINT[tone]});background-color:rgba({_TINT[tone]},0.15);'
        f'padding:10px 14px;margin:6px 0;max-width:1000px;text-align:left">'
        f'<div style="font-weight:bold;font-size:16px">{_SIGN[tone]} {shown_text(title)}</div>{blocks}</div>'
    )


def sentence(finished: str) -> str:
    """A line of running text (finished HTML)."""
    return f'<div style="margin:4px 0;text-align:left">{finished}</div>'


def grid(columns: Sequence[Column], rows: Iterable[Sequence[Cell]], *, groups: Sequence[bool] | None = None) -> str:
    """A plain table. ``groups`` says of each row whether it begins a new group (a stronger line above it)."""
    head = "".join(
        f'<th scope="col" style="{_CELL}{column.style.replace("nowrap", "normal")}vertical-align:bottom;'
        f'border-bottom:2px solid {_LINE}">{shown_text(column.title)}</th>'
        for column in columns
    )
    body = []
    for number, row in enumerate(rows):
        line = _LINE if groups is None or groups[number] else _FAINT_LINE
        cells = "".join(f'<td style="{_CELL}{cell.style}border-top:1px solid {line}">{cell.html}</td>' for cell in row)
        body.append(f'<tr style="background:none">{cells}</tr>')
    return (
        '<table style="border-collapse:collapse;font-size:13px;margin:6px 0">'
        f'<thead><tr style="background:none">{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
    )


def page(title: str, *parts: str) -> Shown:
    """A title (text) and what stands under it (finished HTML)."""
    return Shown(
        '<div style="margin:4px 0 14px 0;text-align:left">'
        f'<div style="font-weight:bold;font-size:15px;margin:2px 0">{shown_text(title)}</div>{"".join(parts)}</div>'
    )


def title_of(name: str) -> str:
    """A column's name as a title; the sides by the names people know: ``paid_in_books`` is "Paid in QuickBooks"."""
    words = name.replace("_", " ").replace("books", "QuickBooks").replace("billing", "ReliaBills")
    return words[:1].upper() + words[1:]


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 record``, ``1,200 records``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def more(total: int, limit: int, whole: str) -> str:
    """The line under a shortened table; empty when all is shown."""
    if total <= limit:
        return ""
    where = f" The whole is in {shown_text(whole)}." if whole else ""
    return sentence(f"… and {total - limit:,} more, not shown here.{where}")


def missing(value: Any) -> bool:
    """Whether a scalar of a frame is missing."""
    return value is None or bool(pd.isna(value))
