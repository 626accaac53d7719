"""Rates and budgets. Cores: `now` is the caller's monotonic clock in seconds."""

from __future__ import annotations


class TokenBucket:
    """A rate with a burst (the classic token bucket; RFC 2697's committed part).

    Args:
        rate: tokens per second; None means no limit.
        burst: most tokens saved up; default one second's worth.
    """

    def __init__(self, rate: float | None, burst: float | None = None) -> None:
        self._tokens = 0.0
        self._at: float | None = None
        self.set_rate(rate, burst)
        self._tokens = self.burst

    def set_rate(self, rate: float | None, burst: float | None = None) -> None:
        """Change the limit while running; saved tokens are cut to the new burst."""
        if rate is not None and rate <= 0:
            raise ValueError("a rate is above zero, or None for no limit")
        self.rate = rate
        self.burst = burst if burst is not None else (rate or 0.0)
        self._tokens = min(self._tokens, self.burst)

    def _refill(self, now: float) -> None:
        assert self.rate is not None
        if self._at is not None:
            self._tokens = min(self.burst, self._tokens + max(0.0, now - self._at) * self.rate)
        self._at = now

    def take(self, amount: float, now: float) -> float:
        """Take `amount`, going into debt if need be. Returns the seconds to wait before acting on it.

        Debt keeps long-run throughput at `rate` for any amount, also one above the burst.
        """
        if self.rate is None:
            return 0.0
        self._refill(now)
        self._tokens -= amount
        return max(0.0, -self._tokens / self.rate)

    def allow(self, amount: float, now: float) -> bool:
        """Take `amount` only if it is there; for what is refused rather than delayed."""
        if self.rate is None:
            return True
        self._refill(now)
        if self._tokens < amount:
            return False
        self._tokens -= amount
        return True


class RateMeter:
    """How fast something flows now: an exponential average over about `window` seconds."""

    def __init__(self, window: float = 3.0) -> None:
        self._window = window
        self._rate = 0.0
        self._pending = 0.0
        self._at: float | None = None
        self.total = 0.0

    def add(self, amount: float, now: float) -> None:
        self._settle(now)
        self._pending += amount
        self.total += amount

    def rate(self, now: float) -> float:
        """Units per second."""
        self._settle(now)
        return self._rate

    def _settle(self, now: float, step: float = 0.25) -> None:
        if self._at is None:
            self._at = now
        passed = now - self._at
        if passed >= step:
            keep = 0.5 ** (2 * passed / self._window)
            self._rate = self._rate * keep + (self._pending / passed) * (1 - keep)
            self._pending, self._at = 0.0, now


class Budget:
    """A bounded count of something held at once: streams, bytes, clients."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0

    def take(self, amount: int = 1) -> bool:
        """False, and nothing taken, when it would pass the limit."""
        if self.used + amount > self.most:
            return False
        self.used += amount
        return True

    def give(self, amount: int = 1) -> None:
        self.used -= amount
        assert self.used >= 0, "gave back more than was taken"
