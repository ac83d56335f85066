"""Progress of long work: one bar that fills in a notebook and stays there filled, one line on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from reconcile.report.html import DASH, Shown, shown_text

_SECONDS_BETWEEN = 0.25
_BAR_WIDTH = 320


class _Place(Protocol):
    """Where progress is shown."""

    def show(self, progress: Progress) -> None: ...


class Progress:
    """Progress of one piece of work; call it with records done so far and the number expected.

    It fits wherever a :data:`reconcile.sides.side.Progress` is asked for. It is over when all that was expected is done
    or, as a context manager, when the block ends, however it ends; what is shown then stays.

    Attributes:
        title: what is being done; may be hostile text.
        total: number expected; ``None`` while it is not known.
        done: records done so far.
        state: ``running``, ``finished`` or ``stopped``.
    """

    def __init__(
        self,
        title: str,
        total: int | None = None,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Shown as a bar in a notebook, else as a line on standard error.

        Args:
            title: what is being done.
            total: number expected, if known beforehand.
            stream: write lines here instead.
            clock: seconds that only grow; between two updates at least a quarter of one passes.
        """
        self.title = title
        self.total = total
        self.done = 0
        self.state = "running"
        self._place: _Place = _Notebook() if stream is None and _in_notebook() else _Terminal(stream or sys.stderr)
        self._clock = clock
        self._shown_at: float | None = None

    def __call__(self, done: int, total: int | None = None) -> None:
        """So many records are done, of so many expected (``None``: as said before)."""
        self.done = done
        self.total = total if total is not None else self.total
        if self.total is not None and done >= self.total:
            self._end("finished")
            return
        now = self._clock()
        self.state = "running"
        if self._shown_at is None or now - self._shown_at >= _SECONDS_BETWEEN:
            self._shown_at = now
            self._place.show(self)

    def __enter__(self) -> Self:
        self._place.show(self)
        self._shown_at = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end("finished" if kind is None else "stopped")

    def _end(self, state: str) -> None:
        if self.state != state:
            self.state = state
            self._place.show(self)

    @property
    def words(self) -> str:
        """``12,000 of 20,000``; only what is known."""
        of = f" of {self.total:,}" if self.total is not None and self.state != "finished" else ""
        ending = {"running": "", "finished": " ✓", "stopped": f" {DASH} stopped here"}[self.state]
        return f"{self.done:,}{of}{ending}"

    @property
    def html(self) -> str:
        """A bar of plain boxes."""
        share = 1.0 if self.state == "finished" else min(1.0, self.done / self.total) if self.total else 0.0
        colour = "213,94,0" if self.state == "stopped" else "0,158,115" if self.state == "finished" else "86,160,220"
        filled = f'<div style="width:{round(share * _BAR_WIDTH)}px;height:10px;background-color:rgb({colour})"></div>'
        return (
            '<div style="margin:2px 0;text-align:left">'
            f'<span style="display:inline-block;min-width:290px">{shown_text(self.title)}</span>'
            f'<div style="display:inline-block;width:{_BAR_WIDTH}px;height:10px;'
            f'background-color:rgba(128,128,128,0.25)">{filled}</div> {shown_text(self.words)}</div>'
        )


class _Notebook:
    """One display that is updated in place; what is saved is its last state."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, progress: Progress) -> None:
        from IPython.display import display  # noqa: PLC0415 - a command without a notebook does not pay for it

        if self._handle is None:
            self._handle = display(Shown(progress.html), display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(Shown(progress.html))


class _Terminal:
    """One line that is rewritten; only the last state where the stream is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._length = 0

    def show(self, progress: Progress) -> None:
        line = "".join(character if character.isprintable() else "?" for character in progress.title)
        line = f"{line}: {progress.words}"
        over = progress.state != "running"
        if self._stream.isatty():
            self._stream.write(f"\r{line.ljust(self._length)}" + ("\n" if over else ""))
            self._length = len(line)
        elif over:
            self._stream.write(f"{line}\n")
        self._stream.flush()


def _in_notebook() -> bool:
    """Whether a kernel is running this; asked without importing IPython, which only a kernel has imported already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
