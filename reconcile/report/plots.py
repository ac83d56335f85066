"""Plots as PNG: a picture always shows, needs no script, and looks the same next year."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from reconcile.model.entities import Entity, Side
from reconcile.model.money import show
from reconcile.model.plan import Action, Plan
from reconcile.report.html import DASH, counted, missing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 900
_DPI = 150
_INK = "#222222"
_COLOURS = {
    Action.CREATE: "#0072B2",
    Action.UPDATE: "#E69F00",
    Action.VOID: "#D55E00",
    Action.DEACTIVATE: "#CC79A7",
    Action.DELETE: "#000000",
}
"""Okabe and Ito's colours, told apart by colour-blind readers; hatches repeat the difference."""
_HATCHES = {Action.UPDATE: "///", Action.VOID: "xx", Action.DEACTIVATE: "..", Action.DELETE: "--"}
_SIDE_COLOURS = {Side.BOOKS: "#0072B2", Side.BILLING: "#E69F00"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG with the words for those who cannot see it.

    Attributes:
        png: the picture.
        alt: what it shows.
    """

    png: bytes
    alt: str

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        return self.png, {"width": WIDTH, "alt": self.alt}

    def __repr__(self) -> str:
        return self.alt


def plan_plot(plan: Plan) -> Picture:
    """What will be written, per step and side, by kind of action."""
    writes = list(plan.writes())
    figure = _figure(2.6)
    panels = figure.subplots(1, 2, sharey=True, sharex=True)
    title = _plan_title(plan)
    tallies = pd.DataFrame(
        [(write.step.value, str(write.side), write.action.value) for write in writes],
        columns=["step", "side", "action"],
    ).value_counts()
    used = [action for action in Action if action.writes and any(write.action is action for write in writes)]
    highest = 1
    for side, panel in zip(Side, panels, strict=True):
        left = [0] * len(Entity)
        for action in used:
            numbers = [int(tallies.get((entity.value, side.value, action.value), 0)) for entity in Entity]
            panel.barh(
                range(len(Entity)),
                numbers,
                left=left,
                color=_COLOURS[action],
                hatch=_HATCHES.get(action),
                edgecolor="white",
                linewidth=0,
                label=action.value,
                height=0.62,
            )
            left = [before + number for before, number in zip(left, numbers, strict=True)]
        highest = max(highest, *left)
        for place, total in enumerate(left):
            panel.text(total, place, f" {total:,}" if total else f" {DASH}", va="center", fontsize=9, color=_INK)
        panel.set_title(f"to {side.product}", fontsize=10, loc="left", color=_INK)
        panel.set_yticks(range(len(Entity)), [f"{entity.step}. {entity.plural}" for entity in Entity], fontsize=9)
        _plain_axes(panel)
        panel.set_xticks([])
        panel.spines["bottom"].set_visible(False)
    panels[0].invert_yaxis()
    panels[0].set_xlim(0, highest * 1.18)
    if used:
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="lower center", ncols=len(used), frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=12, fontweight="bold", x=0.01, ha="left", color=_INK)
    figure.tight_layout(rect=(0, 0.07 if used else 0, 1, 1))
    return Picture(_png(figure), f"{title}. {_plan_words(plan)}".strip())


def _plan_title(plan: Plan) -> str:
    writes = list(plan.writes())
    if not writes:
        return "Nothing will be written to either side"
    sides = [f"{number:,} to {side.product}" for side in Side if (number := sum(one.side is side for one in writes))]
    return f"{counted(len(writes), 'write')}: {', '.join(sides)}"


def _plan_words(plan: Plan) -> str:
    told = []
    for entity in Entity:
        for side in Side:
            number = sum(one.side is side and one.action.writes for one in plan.step(entity))
            if number:
                told.append(f"{entity.plural} to {side.product}: {number:,}.")
    return " ".join(told)


ByAge = pd.DataFrame | Mapping[str, int]
"""Open balances per bucket, in minor units. A frame has columns ``bucket``, ``amount`` and ``currency``."""


@dataclass(frozen=True, slots=True)
class _Bar:
    """One bucket of one currency, both sides, minor units."""

    bucket: str
    currency: str
    amounts: Mapping[Side, int]


def ageing_plot(books_by_age: ByAge, billing_by_age: ByAge, currency: str = "USD") -> Picture:
    """Receivables of both sides by age.

    Args:
        books_by_age: open balances per bucket, buckets in the order in which they are to stand.
        billing_by_age: the same for the other side; buckets of either side that the other lacks count as 0.
        currency: of all amounts, when they do not say.
    """
    bars = _bars({Side.BOOKS: books_by_age, Side.BILLING: billing_by_age}, currency)
    figure = _figure(3.0)
    axes = figure.subplots()
    width = 0.4
    for number, side in enumerate(Side):
        places = [place + (number - 0.5) * width for place in range(len(bars))]
        amounts = [bar.amounts[side] for bar in bars]
        axes.bar(
            places,
            amounts,
            width * 0.94,
            color=_SIDE_COLOURS[side],
            hatch=None if side is Side.BOOKS else "///",
            edgecolor="white",
            linewidth=0,
            label=side.product,
        )
        for place, amount, bar in zip(places, amounts, bars, strict=True):
            words = show(amount, bar.currency) if amount else DASH
            axes.text(place, amount, words, ha="center", va="bottom", fontsize=8, color=_INK)
    several = len({bar.currency for bar in bars}) > 1
    names = [f"{bar.bucket}\n{bar.currency}" if several else bar.bucket for bar in bars]
    axes.set_xticks(range(len(bars)), names, fontsize=9, parse_math=False)
    axes.set_yticks([])
    axes.margins(y=0.12)
    _plain_axes(axes)
    axes.spines["left"].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    title = _ageing_title(bars)
    figure.suptitle(title, fontsize=12, fontweight="bold", x=0.01, ha="left", color=_INK, parse_math=False)
    figure.tight_layout()
    return Picture(_png(figure), f"{title}. {_ageing_words(bars)}".strip())


def _bars(by_age: Mapping[Side, ByAge], currency: str) -> list[_Bar]:
    found: dict[tuple[str, str], dict[Side, int]] = {}
    for side, amounts in by_age.items():
        for bucket, own_currency, amount in _amounts(amounts, currency):
            found.setdefault((own_currency, bucket), dict.fromkeys(Side, 0))[side] += amount
    return [_Bar(bucket, own_currency, amounts) for (own_currency, bucket), amounts in found.items()]


def _amounts(by_age: ByAge, currency: str) -> Iterator[tuple[str, str, int]]:
    if isinstance(by_age, pd.DataFrame):
        for row in by_age.to_dict("records"):
            own = row.get("currency")
            yield str(row["bucket"]), currency if missing(own) or not own else str(own), int(row["amount"] or 0)
    else:
        yield from ((str(bucket), currency, int(amount or 0)) for bucket, amount in by_age.items())


def _ageing_title(bars: Sequence[_Bar]) -> str:
    totals: dict[str, dict[Side, int]] = {}
    for bar in bars:
        sums = totals.setdefault(bar.currency, dict.fromkeys(Side, 0))
        for side in Side:
            sums[side] += bar.amounts[side]
    if all(bar.amounts[Side.BOOKS] == bar.amounts[Side.BILLING] for bar in bars):
        told = " and ".join(f"{show(sums[Side.BOOKS], name)} {name}" for name, sums in totals.items()) or "none"
        return f"Open receivables by age: {told}, the same on both sides"
    differing = {name: sums for name, sums in totals.items() if sums[Side.BOOKS] != sums[Side.BILLING]}
    if not differing:
        return "Open receivables have the same total but not the same age on both sides"
    told = "; ".join(
        ", ".join(f"{side.product} {show(sums[side], name)}" for side in Side) + f" {name}"
        for name, sums in differing.items()
    )
    return f"Open receivables differ: {told}"


def _ageing_words(bars: Sequence[_Bar]) -> str:
    return " ".join(
        f"{bar.bucket}: "
        + ", ".join(f"{side.product} {show(bar.amounts[side], bar.currency)} {bar.currency}" for side in Side)
        + "."
        for bar in bars
    )


def _figure(height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  a third of a second; few need it
    from matplotlib.figure import Figure  # noqa: PLC0415  the same

    figure = Figure(figsize=(WIDTH / 100, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _plain_axes(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0, colors=_INK)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
