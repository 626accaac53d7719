"""Whether we carry the index role, and why."""

from __future__ import annotations

from dataclasses import dataclass

from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.due import Due
from servent.overlay.effects import Effect, RoleChanged, Tell
from servent.overlay.part import Part
from servent.overlay.records import Receipt, SupernodeRecord, next_seq, signed
from servent.overlay.topology import Topology, Wish
from servent.overlay.vouching import own_block


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this machine can do, as its shell measured it.

    Attributes:
        addresses: "ip:port" others may reach us at, best first.
        session, average_session: seconds this one lasts, and earlier ones lasted.
        up: bytes per second.
        memory: free bytes. files: descriptors allowed. load: 0.0 to 1.0.
        metered, battery: reasons not to.
        clock_off: seconds our clock differs from that of others; None not known.
    """

    addresses: tuple[str, ...] = ()
    mapped: bool = False
    session: float = 0.0
    average_session: float = 0.0
    up: float = 0.0
    memory: int = 0
    files: int = 0
    load: float = 0.0
    metered: bool = False
    battery: bool = False
    clock_off: float | None = None


class Election(Part):
    """Takes the index role up and lays it down, as the mode of the network and the wish of the person here have it.

    Attributes:
        index: we carry the role, also while we retire.
        retiring: we lay it down in a moment: asked still, nothing new is stored.
        why: in words, for a person.
    """

    def __init__(self, context: Context, directory: Directory, topology: Topology, wish: Wish) -> None:
        self._context, self._directory = context, directory
        self.settings = context.settings.election
        self._topology, self._wish = topology, wish
        self._abilities = Abilities()
        self._receipts: list[Receipt] = []
        self._leaves = 0
        self._due = Due()
        self.index = False
        self.retiring = False
        self.why = "This network has just been joined."
        self._due.set("judge", 0.0)

    def leaves_are(self, leaves: int, now: float) -> list[Effect]:
        """How many leaves are attached to us."""
        self._leaves = leaves
        return []

    def measured(self, abilities: Abilities, now: float) -> list[Effect]:
        """What this machine can do now."""
        self._abilities = abilities
        return []

    def shape(self, topology: Topology, wish: Wish, now: float) -> list[Effect]:
        """The mode of the network, or the wish of the person here, is another."""
        self._topology, self._wish = topology, wish
        return self._judge(now)

    def close(self, now: float) -> list[Effect]:
        """We leave."""
        return self._directory.retire(now) if self.index else []

    def next_tick(self) -> float | None:
        return self._due.next

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for name in self._due.take(now):
            if name == "judge":
                effects += self._judge(now)
            elif name == "retired":
                effects += self._retired(now)
        return effects

    def _judge(self, now: float) -> list[Effect]:
        role = self._topology.role(self._context.me, self._wish)
        if role and (not self.index or self.retiring):
            return self._take(now, "This node keeps the index.")
        if role is False and self.index and not self.retiring:
            return self._retire(now, "This node does not keep the index.")
        return []

    def _take(self, now: float, why: str) -> list[Effect]:
        self.why = why
        if self.retiring:
            self.retiring = False
            self._due.drop("retired")
            return [Tell(RoleChanged(True, why)), *self._directory.state(now, retiring=False)]
        self.index = True
        return [Tell(RoleChanged(True, why)), *self._directory.serve(self._record(), now)]

    def _retire(self, now: float, why: str) -> list[Effect]:
        self.why = why
        self.retiring = True
        self._due.set("retired", now + self.settings.hand_over)
        return [Tell(RoleChanged(False, why)), *self._directory.state(now, retiring=True)]

    def _retired(self, now: float) -> list[Effect]:
        self.index = self.retiring = False
        return self._directory.retire(now)

    def _record(self) -> SupernodeRecord:
        context = self._context
        peer = context.record
        record = SupernodeRecord(
            peer,
            seq=next_seq(0, context.wall()),
            lifetime=context.settings.directory.lifetime,
            leaves=self._leaves,
            room=self.settings.room,
            uptime=int(self._abilities.average_session // 3600),
            up=int(self._abilities.up * 8 / 1000),
            block=own_block(peer.addresses),
            slot=context.dice.randrange(4),
            receipts=self._receipts[:2],
        )
        signed_record: SupernodeRecord = signed(context.network, record, context.seal)
        return signed_record
