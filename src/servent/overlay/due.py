"""When what is due: a few named times with the nearest at hand. Pure."""

from __future__ import annotations


class Due:
    """Named times in seconds on the caller's clock. Small: it is looked through whenever one is changed."""

    __slots__ = ("_at", "next")

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self.next: float | None = None

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def set(self, name: str, at: float) -> None:
        """`name` is due at `at`, whatever was said of it before."""
        self._at[name] = at
        self.next = min(self._at.values())

    def soon(self, name: str, at: float) -> None:
        """`name` is due at `at`, or earlier if it already is."""
        if at < self._at.get(name, at + 1):
            self.set(name, at)

    def keep(self, name: str, at: float) -> None:
        """`name` is due at `at`, unless it is due at some time already."""
        if name not in self._at:
            self.set(name, at)

    def drop(self, name: str) -> None:
        if self._at.pop(name, None) is not None:
            self.next = min(self._at.values(), default=None)

    def take(self, now: float) -> list[str]:
        """Names that are due, which they are no more."""
        if self.next is None or self.next > now:
            return []
        over = [name for name, at in self._at.items() if at <= now]
        for name in over:
            del self._at[name]
        self.next = min(self._at.values(), default=None)
        return over
