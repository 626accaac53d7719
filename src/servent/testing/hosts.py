"""The machines of a simulated world: keys, cheap signatures, addresses, NATs, what each can do. Seeded, no asyncio."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from servent.identity import PeerId
from servent.overlay.election import Abilities
from servent.overlay.member import Member
from servent.overlay.records import Item, NatKind, PeerRecord, next_seq, signed

if TYPE_CHECKING:
    from servent.testing.liars import Liar
    from servent.testing.shelf import Shelf

NATS: tuple[tuple[NatKind, float], ...] = (  # shares; half of all behind a NAT, as of IPFS' peers
    ("public", 0.30), ("mapped", 0.18), ("easy", 0.37), ("symmetric", 0.15),
)  # fmt: skip
OPEN: frozenset[str] = frozenset({"public", "mapped"})  # a stranger's dial arrives
RELAY = "https://relay.example"
FIRST_OCTETS = tuple(o for o in range(11, 91) if o not in (10, 22, 26, 28, 30, 33, 55))


class CheapSeal:
    """Signatures as keyed hashes: as good as Ed25519 among those who do not look into the world's secret.

    `sign` is what only the owner of `me` calls; whoever forges hands in other bytes, and those do not hold.
    `checked`: records that held, for all of a world, which never copies one; a record is kept there while it lasts.
    """

    __slots__ = ("_own", "_secret", "checked", "me")

    def __init__(self, me: bytes, secret: bytes, checked: dict[int, object] | None = None) -> None:
        self.me, self._secret, self.checked = bytes(me), secret, checked
        self._own = hashlib.blake2b(secret + self.me, digest_size=32).digest()

    def sign(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, key=self._own, digest_size=64).digest()

    def holds(self, key: bytes, signature: bytes, text: bytes) -> bool:
        own = hashlib.blake2b(self._secret + key, digest_size=32).digest()
        return hashlib.blake2b(text, key=own, digest_size=64).digest() == signature


class Link:
    """A connection. `ready`: when the one who dialled may use it; `doomed`: the dial leads nowhere."""

    __slots__ = ("doomed", "one", "other", "ready", "used")

    def __init__(self, one: Host, other: Host, ready: float, doomed: bool = False) -> None:
        self.one, self.other, self.ready, self.used, self.doomed = one, other, ready, ready, doomed


class Host:
    """One machine with its member of the network.

    Attributes:
        links: open connections, by who is at the other end; `held`: with whom one is to be kept, and how often that was said.
        side: of a partition; those on other sides are not reached.
        tick_at: when its next tick is planned. late: ticks in a row that it wanted at once.
        sent, control: messages since the start, all and those that keep the network up.
        book: peers whose address it has learned; None when nobody checks.
        came: into the world, on its clock. since: when its node was started, perhaps long before. history: how long its earlier sessions lasted, on average.
    """

    __slots__ = (
        "_strength",
        "address",
        "alive",
        "book",
        "came",
        "control",
        "held",
        "history",
        "items",
        "key",
        "late",
        "liar",
        "links",
        "member",
        "nat",
        "number",
        "record",
        "relayed",
        "seal",
        "sent",
        "shelf",
        "side",
        "since",
        "tick_at",
    )

    def __init__(self, number: int, key: PeerId, seal: CheapSeal, nat: NatKind, address: str) -> None:
        self.number, self.key, self.seal, self.nat, self.address = number, key, seal, nat, address
        self.relayed = nat not in OPEN  # it is homed on a relay that works
        self.member: Member = None  # type: ignore[assignment]  # set by `born`
        self.record: PeerRecord = None  # type: ignore[assignment]
        self.shelf: Shelf | None = None
        self.items: Sequence[Item] = ()
        self.liar: Liar | None = None
        self.links: dict[Host, Link] = {}
        self.held: dict[PeerId, int] = {}
        self.book: set[PeerId] | None = None
        self.alive = False
        self.side = 0
        self.tick_at = float("inf")
        self.sent = self.control = self.late = 0
        self.since = self.came = 0.0
        self.history = 0.0
        self._strength = 0.5

    @property
    def index(self) -> bool:
        """Whether it carries the index role now."""
        return self.alive and self.member.election.index

    def sign(self, network: bytes, wall: float, lifetime: int, roles: Sequence[str] = ()) -> PeerRecord:
        """A new record of where it is now."""
        before = self.record.seq if self.record is not None else 0
        self.record = signed(
            network,
            PeerRecord(
                self.seal.me,
                next_seq(before, wall),
                lifetime,
                [RELAY] if self.relayed else [],
                [self.address],
                self.nat,
                list(roles),
            ),
            self.seal,
        )
        return self.record

    def measured(self, now: float) -> Abilities:
        """What its shell would say of the machine now."""
        strength = self._strength
        return Abilities(
            addresses=(self.address,),
            mapped=self.nat == "mapped",
            session=now - self.since,
            average_session=self.history,
            up=100_000.0 + 4_000_000.0 * strength * strength,
            memory=int((0.25 + 3.75 * strength) * (1 << 30)),
            files=65_536 if strength > 0.1 else 1024,
            load=0.3 * (1 - strength),
            metered=strength < 0.05,
            battery=0.05 <= strength < 0.15,
            clock_off=0.2,
        )

    def strong(self, strength: float) -> None:
        """From 0.0, a phone, to 1.0, a machine that is always on."""
        self._strength = strength


class Nursery:
    """Makes hosts: every draw from one seed.

    Args:
        nats: kinds and their shares; those of `NATS` unless told.
    """

    def __init__(self, seed: int, network: bytes, nats: Sequence[tuple[NatKind, float]] = NATS) -> None:
        self._dice = random.Random(seed * 7 + 1)
        self._secret = hashlib.sha256(f"world {seed}".encode()).digest()
        self._network = network
        self._kinds = [kind for kind, _ in nats]
        self._shares = [share for _, share in nats]
        self._made = 0
        self.checked: dict[int, object] = {}

    def make(
        self, *, nat: NatKind | None = None, block: str | None = None, key: PeerId | None = None
    ) -> Host:
        """`block`: the first three numbers of its address, "50.1.2"; else one of its own."""
        dice, number = self._dice, self._made
        self._made += 1
        key = key or PeerId(hashlib.sha256(self._secret + number.to_bytes(8, "big")).digest())
        nat = nat or dice.choices(self._kinds, self._shares)[0]
        if block is None:
            block = f"{dice.choice(FIRST_OCTETS)}.{dice.randrange(256)}.{dice.randrange(256)}"
        address = f"{block}.{dice.randrange(1, 255)}:{dice.randrange(20_000, 60_000)}"
        host = Host(number, key, CheapSeal(key, self._secret, self.checked), nat, address)
        host.strong(dice.random())
        host.history = dice.expovariate(1 / 14_400.0)
        return host
