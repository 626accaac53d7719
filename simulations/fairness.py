"""Who gets how much of an uplink: the slots core among givers, leechers, friends and those who come and go.

    python -m simulations.fairness [--seed N] [--minutes N] [--slots N]

Model, in steps of one second: the uplink is shared equally by those who have a slot, up to what each can take
(max-min fair, what TCP and QUIC come close to). Givers send us their rate all the time, leechers nothing.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from servent.blobs.slots import Effect, Ended, Granted, Queued, Rejected, Slots
from servent.identity import PeerId

UPLINK = 1_000_000  # bytes per second of ours


@dataclass(slots=True)
class Peer:
    """One who wants something. `away`: chance per second to go; it is back after `gap` s, with the same key or a new one."""

    kind: str
    key: PeerId
    gives: float = 0.0
    takes: float = 10 * UPLINK
    friend: bool = False
    away: float = 0.0
    gap: float = 30.0
    fresh_key: bool = False
    got_bytes: float = 0.0
    here: bool = True
    back_at: float = 0.0
    wanting_since: float = 0.0
    longest_wait: float = 0.0
    told: list[tuple[float, float]] = field(default_factory=list)  # when, how long it would take
    off: list[tuple[float, float]] = field(
        default_factory=list
    )  # what it was told when it came, what it took


@dataclass(frozen=True, slots=True)
class Outcome:
    """`share` of all bytes by kind; `longest_wait` of anybody of a kind without a byte, in seconds; `used` of the uplink."""

    share: dict[str, float]
    longest_wait: dict[str, float]
    used: float
    words: list[tuple[float, float]]  # (estimate when it came, what it took)


def crowd(
    *, givers: int = 5, leechers: int = 50, friends: int = 0, gives: float = 200_000.0, **more: float | bool
) -> list[Peer]:
    """Peers with keys of their own. `more` goes to leechers."""
    keys = _keys()
    made = [Peer("giver", next(keys), gives=gives) for _ in range(givers)]
    made += [Peer("friend", next(keys), friend=True) for _ in range(friends)]
    made += [Peer("leecher", next(keys), **more) for _ in range(leechers)]  # type: ignore[arg-type]
    return made


def _keys(first: int = 1) -> Iterator[PeerId]:
    while True:
        yield PeerId(first.to_bytes(32, "big"))
        first += 1


def run(
    peers: list[Peer], *, slots: int = 8, minutes: float = 60.0, warm_up: float = 5.0, seed: int = 1
) -> Outcome:
    """Everybody wants something all the time. Bytes and waits count after `warm_up` minutes."""
    dice = random.Random(seed)
    core = Slots(slots)
    fresh = _keys(1_000_000)
    by_key = {peer.key: peer for peer in peers}
    used = 0.0
    start = warm_up * 60
    words: list[tuple[float, float]] = []

    def apply(effects: list[Effect], now: float) -> None:
        for effect in effects:
            peer = by_key.get(effect.peer)
            if peer is None:
                continue
            match effect:
                case Granted():
                    if peer.told and now > start:
                        words.append((peer.told[0][1], now - peer.told[0][0]))
                    peer.told.clear()
                case Queued(wait=wait):
                    peer.told.append((now, wait))
                case Ended():
                    peer.told.clear()
                case Rejected():
                    peer.back_at, peer.here = now + 30.0, False

    dice.shuffle(peers)
    for number, peer in enumerate(peers):
        peer.here, peer.back_at = False, number * 0.5
    for second in range(int((warm_up + minutes) * 60)):
        now = float(second)
        for peer in peers:
            if peer.here and peer.away and dice.random() < peer.away:
                apply(core.release(peer.key, now), now)
                peer.here, peer.back_at = False, now + peer.gap
            elif not peer.here and peer.back_at <= now:
                if peer.fresh_key and peer.got_bytes:
                    del by_key[peer.key]
                    peer.key = next(fresh)
                    by_key[peer.key] = peer
                peer.here, peer.told = True, []
                if not peer.wanting_since or peer.gap > 5:
                    peer.wanting_since = now
                apply(core.request(peer.key, now, friend=peer.friend), now)
        while (due := core.next_tick()) is not None and due <= now:
            apply(core.tick(now), now)
        moved = _shared([peer for peer in peers if peer.here and core.holds(peer.key)])
        for peer, size in moved:
            core.took(peer.key, int(size))
            peer.wanting_since = now
            if now >= start:
                peer.got_bytes += size
                used += size
        for peer in peers:
            if peer.here and peer.gives:
                core.gave(peer.key, int(peer.gives))
            if peer.here and now >= start:
                peer.longest_wait = max(peer.longest_wait, now - max(start, peer.wanting_since))
    kinds = sorted({peer.kind for peer in peers})
    total = sum(peer.got_bytes for peer in peers)
    return Outcome(
        {kind: sum(one.got_bytes for one in peers if one.kind == kind) / total for kind in kinds},
        {kind: max(one.longest_wait for one in peers if one.kind == kind) for kind in kinds},
        used / (minutes * 60 * UPLINK),
        words,
    )


def _shared(holders: list[Peer]) -> list[tuple[Peer, float]]:
    """The uplink in a second, max-min fair."""
    left, given = float(UPLINK), []
    for number, peer in enumerate(sorted(holders, key=lambda one: one.takes)):
        size = min(peer.takes, left / (len(holders) - number))
        left -= size
        given.append((peer, size))
    return given


CASES = {
    "50 leechers, 5 givers": lambda: crowd(),
    "the same, all come and go (10 min there, 30 s away)": lambda: [
        _churning(peer) for peer in crowd(away=1 / 600)
    ],
    "leechers reconnect with the same key every 20 s": lambda: crowd(away=1 / 20, gap=1.0),
    "leechers come with a new key every 20 s": lambda: crowd(away=1 / 20, gap=1.0, fresh_key=True),
    "500 new keys, 5 givers": lambda: crowd(leechers=500, away=1 / 60, gap=1.0, fresh_key=True),
    "givers that can only take 20 kB/s each": lambda: [_slow(peer) for peer in crowd()],
    "3 friends, 5 givers, 50 leechers": lambda: crowd(friends=3),
    "12 friends, 5 givers, 50 leechers": lambda: crowd(friends=12),
    "50 leechers alone": lambda: crowd(givers=0),
}


def _churning(peer: Peer) -> Peer:
    peer.away = 1 / 600
    return peer


def _slow(peer: Peer) -> Peer:
    if peer.kind == "giver":
        peer.takes = 20_000.0
    return peer


def numbers(*, minutes: float, seed: int) -> dict[str, float]:
    """For the runner: what part of the uplink five givers get beside fifty leechers, and who waits how long."""
    plain = run(CASES["50 leechers, 5 givers"](), minutes=minutes, seed=seed)
    friendly = run(CASES["3 friends, 5 givers, 50 leechers"](), minutes=minutes, seed=seed)
    return {
        "givers_share": plain.share["giver"],
        "used": plain.used,
        "leecher_waits": plain.longest_wait["leecher"],
        "friends_wait": friendly.longest_wait["friend"],
    }


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--slots", type=int, default=8)
    given = parser.parse_args()
    for name, make in CASES.items():
        outcome = run(make(), slots=given.slots, minutes=given.minutes, seed=given.seed)
        shares = ", ".join(f"{kind}s {share:.0%}" for kind, share in outcome.share.items())
        waits = ", ".join(f"{kind} {wait:.0f} s" for kind, wait in outcome.longest_wait.items())
        print(f"{name}: {shares}; longest wait: {waits}; uplink used {outcome.used:.0%}")


if __name__ == "__main__":
    main()
