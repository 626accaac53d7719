"""Dial-backs: others show that we can be reached from outside, and we show it of others. Pure.

A witness dials only what its own addresses are like (public ones, private ones only while it has none that is public, its own
machine only while it has nothing else), at most four, rarely the same block: it cannot be used to look into other networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.effects import DialBack, Effect, Send
from servent.overlay.placement import block_of
from servent.overlay.records import Receipt, check, signed
from servent.overlay.vouching import NOWHERE, blocks_of
from servent.overlay.wire import AskDialBack, DialledBack

PER_PEER = 60.0  # s between two dial-backs for one peer
PER_BLOCK = 10.0  # s between two into one public address block
MOST_ADDRESSES = 4
WATCHED = 256  # peers and blocks whose times are remembered
ASK_AGAIN = 600.0  # s until the same witness is asked again
HOPELESS = 3  # witnesses in a row that could not reach us, after which it takes
PATIENCE = 6  # times as long
ANSWER_WAIT = 15.0  # s for an answer
AT_ONCE = 3  # witnesses asked at the same time


def reach_of(address: str) -> str:
    """ "public", "private", "loopback", or "" for what nobody should dial."""
    host, _, port = address.rpartition(":")
    try:
        where = ip_address(host.strip("[]"))
        number = int(port)
    except ValueError:
        return ""
    if not (number == 443 or 1024 <= number < 65_536):
        return ""
    if where.is_loopback:
        return "loopback"
    if where.is_multicast or where.is_unspecified or where.is_reserved or where.is_link_local:
        return ""
    return "public" if where.is_global else "private"


def dialled(wanted: Iterable[str], own: Iterable[str]) -> list[str]:
    """Those of the addresses named that we would dial for somebody else, with these addresses of our own."""
    reaches = {reach_of(one) for one in own} - {""}
    mine = next((kind for kind in ("public", "private", "loopback") if kind in reaches), "public")
    return [one for one in wanted if reach_of(one) == mine][:MOST_ADDRESSES]


class Witness:
    """We dial others who ask.

    Supernodes have a share of their own: they lose the role without receipts, and where they are few and a crowd wants to be
    seen, all else is spoken for.
    """

    def __init__(self, context: Context, directory: Directory) -> None:
        self._context, self._directory = context, directory
        self._peers: dict[PeerId, float] = {}
        self._blocks: dict[str, float] = {}
        self._rate, self._of_supernodes = TokenBucket(0.5, 20.0), TokenBucket(0.5, 20.0)

    def asked(self, peer: PeerId, message: AskDialBack, now: float) -> list[Effect]:
        """Dial back, or say why not."""
        refused = self._refused(peer, message, now)
        if refused:
            return [Send(peer, DialledBack(message.number, None, refused))]
        addresses = dialled(message.addresses, self._context.record.addresses)
        _note(self._peers, peer, now)
        for block in blocks_of(addresses):
            _note(self._blocks, block, now)

        def reached(address: str | None, now: float) -> list[Effect]:
            return self._reached(peer, message.number, addresses, address)

        return [DialBack(self._context.wait(reached), peer, addresses)]

    def _refused(self, peer: PeerId, message: AskDialBack, now: float) -> str:
        if now - self._peers.get(peer, -PER_PEER) < PER_PEER:
            return "asked a moment ago"
        addresses = dialled(message.addresses, self._context.record.addresses)
        blocks = blocks_of(addresses)
        if not addresses or len(blocks) > 2:
            return "nothing here that I would dial"
        if any(
            block not in NOWHERE and now - self._blocks.get(block, -PER_BLOCK) < PER_BLOCK for block in blocks
        ):
            return "somebody near that address was dialled a moment ago"
        rate = self._rate if self._directory.get(peer, now) is None else self._of_supernodes
        return "" if rate.allow(1.0, now) else "busy"

    def _reached(
        self, peer: PeerId, number: int, addresses: Sequence[str], address: str | None
    ) -> list[Effect]:
        if address is None:
            return [Send(peer, DialledBack(number, None, "not tried"))]
        if address not in addresses:
            return [Send(peer, DialledBack(number, None, "nobody answered there"))]
        context = self._context
        receipt = Receipt(bytes(context.me), bytes(peer), block_of(address), int(context.wall() * 1e6))
        return [Send(peer, DialledBack(number, signed(context.network, receipt, context.seal)))]


class Seeker:
    """We ask others to dial us.

    Attributes:
        unreached: witnesses in a row that could not reach us.
    """

    def __init__(self, context: Context, lifetime: float) -> None:
        self._context, self._lifetime = context, lifetime
        self._have: dict[PeerId, tuple[Receipt, float]] = {}
        self._asked: dict[PeerId, float] = {}
        self._pending: dict[int, tuple[PeerId, float]] = {}
        self._number = 0
        self._last = -ASK_AGAIN
        self.unreached = 0

    def receipts(self, block: str, now: float) -> list[Receipt]:
        """Those for our address as it is now, newest first."""
        return [one for one, ends in reversed(self._have.values()) if ends > now and one.block == block]

    def fresh(self, block: str, now: float) -> int:
        """How many will last at least a quarter of their time."""
        soon = now + self._lifetime / 4
        return sum(ends > soon and one.block == block for one, ends in self._have.values())

    def waiting(self, now: float) -> bool:
        """Whether an answer may still come."""
        self._pending = {
            number: asked for number, asked in self._pending.items() if asked[1] + ANSWER_WAIT > now
        }
        return bool(self._pending)

    def moved(self) -> None:
        """Our addresses are others now: everybody may be asked anew."""
        self._asked.clear()
        self.unreached = 0

    def ask(self, witnesses: Iterable[PeerId], addresses: Sequence[str], now: float) -> list[Effect]:
        """Ask some of these, none of them twice in ten minutes."""
        if self.waiting(now) or not addresses:
            return []
        effects: list[Effect] = []
        again = ASK_AGAIN * (PATIENCE if self.unreached >= HOPELESS else 1)
        if self.unreached >= HOPELESS and now < self._last + ASK_AGAIN:
            return []
        for witness in witnesses:
            have = self._have.get(witness)
            if now - self._asked.get(witness, -again) < again or (
                have is not None and have[1] > now + self._lifetime / 4
            ):
                continue
            _note(self._asked, witness, now)
            self._last = now
            self._number += 1
            self._pending[self._number] = (witness, now)
            effects.append(Send(witness, AskDialBack(self._number, list(addresses[:MOST_ADDRESSES]))))
            if len(effects) == AT_ONCE:
                break
        return effects

    def answered(self, peer: PeerId, message: DialledBack, now: float) -> bool:
        """Whether that is a receipt of use. Raises Forged when it is signed by nobody."""
        pending = self._pending.get(message.number)
        if pending is None or pending[0] != peer:
            return False
        del self._pending[message.number]
        one, context = message.receipt, self._context
        if one is None:
            self.unreached += message.reason == "nobody answered there"
            return False
        if (
            one.by != peer
            or one.subject != context.me
            or one.block not in blocks_of(context.record.addresses)
        ):
            return False
        check(context.network, one, context.seal)
        self.unreached = 0
        self._have.pop(peer, None)
        if len(self._have) >= 16:
            del self._have[next(iter(self._have))]
        self._have[peer] = (one, now + self._lifetime)
        return True


def _note(times: dict[PeerId, float] | dict[str, float], name: str | bytes, now: float) -> None:
    """Remember the time of `name`; the oldest is forgotten when there are too many."""
    table: dict[str | bytes, float] = times  # type: ignore[assignment]
    table.pop(name, None)
    if len(table) >= WATCHED:
        del table[next(iter(table))]
    table[name] = now
