"""Pages asked for before they are needed, a few at the same time, and taken in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

P = TypeVar("P")


class Ahead(Generic[P]):
    """Fetches pages by position, ahead of whoever takes them.

    At most ``at_once`` pages are under way or waiting to be taken, which bounds memory as well. A page that fails is
    told to whoever takes it.

    Args:
        fetch: gives the page at a position; called from several threads.
        at_once: pages at the same time; with 0 or 1 nothing is fetched ahead.
    """

    def __init__(self, fetch: Callable[[int], P], at_once: int) -> None:
        self._fetch = fetch
        self._at_once = at_once
        self._pool = ThreadPoolExecutor(at_once, "pages") if at_once > 1 else None
        self._planned: Iterator[int] = iter(())
        self._under_way: deque[tuple[int, Future[P]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def plan(self, positions: Iterable[int]) -> None:
        """Fetch these positions from now on; what was planned before is dropped."""
        for _, future in self._under_way:
            future.cancel()
        self._under_way.clear()
        self._planned = iter(positions)
        self._fill()

    def page(self, position: int) -> P:
        """The page at a position: fetched ahead when it was planned next, else fetched now."""
        if not self._under_way or self._under_way[0][0] != position:
            return self._fetch(position)
        _, future = self._under_way.popleft()
        self._fill()
        return future.result()

    def _fill(self) -> None:
        if self._pool is None:
            return
        while len(self._under_way) < self._at_once:
            position = next(self._planned, None)
            if position is None:
                return
            self._under_way.append((position, self._pool.submit(self._fetch, position)))
