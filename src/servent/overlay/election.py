"""Whether we carry the index role, and why (docs/networks.md).

In the elected mode a peer that could carry it looks at supernodes now and then. When places for leaves are scarce three times
in a row it waits, the better it is the shorter, asks a supernode whether one more is needed still, and takes the role.
While a network has no supernode at all, whoever can be reached takes it after a moment; when it turns out that many
did, those that are one too many lay it down again, by an order that all compute alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from msgspec import structs

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.demand import STARVING, Grants, Samples, floor_of, free_share, lacking, wanted_of
from servent.overlay.dialback import Witness
from servent.overlay.directory import Directory
from servent.overlay.due import Due
from servent.overlay.effects import Effect, RoleChanged, Send, Tell
from servent.overlay.eligible import Abilities, hindrances, keeping, lasting, score, sentence, span
from servent.overlay.part import Handler, Part
from servent.overlay.reached import Reached
from servent.overlay.records import SupernodeRecord, signed
from servent.overlay.topology import Topology, Wish
from servent.overlay.vouching import own_block
from servent.overlay.wire import AskDialBack, AskSupernodes, DialledBack, Stand, Stood

__all__ = ["Abilities", "Election"]

JUDGE = 60.0  # s between two looks at ourselves
SERVING = 30.0  # the same while we carry the role
SETTLE = 30.0  # s until those that took the role in haste see whether they are too many
HASTY = 600.0  # s for which they go on looking
HURRY = 3.0  # s between two looks while there is no supernode at all
LAST_RESORT = 30.0  # s without any supernode until one that only came to be reached may be it
SELDOM = 30.0  # s between two samples while there is room enough
ENOUGH = 0.35  # share of free places that is room enough
STAND_WAIT = 3.0  # s for a supernode to say whether one more is needed
STANDS = 5  # supernodes asked one after the other while none answers
STAND_AGAIN = 30.0  # s until we ask that again
STATE_EVERY = 15.0  # s between two records of ours that only tell another number of leaves
STATE_STEP = 25  # leaves more or fewer that others are told soon
LEAVE_WAIT = 300.0  # the longest that one with nothing to do waits before it lays the role down, so that not all do at once
NO_MORE = "This node does not keep the index any more"


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
        self._witness = Witness(context, directory)
        self._reached = Reached(context, directory)
        self._seeker = self._reached.seeker
        self._grants = Grants()
        self._samples: Samples | None = None
        self._target: PeerId | None = None
        self._standing: tuple[int, int] | None = None  # number of our question, questions before it
        self._stood_at = -STAND_AGAIN
        self._alone_since: float | None = None
        self._since = 0.0
        self._hasty_until = self._settled_at = 0.0
        self._idle_since: float | None = None
        self._stated_at = -STATE_EVERY
        self._leaves = 0
        self._due = Due()
        self.index = False
        self.retiring = False
        self.why = "This node has only just come to this network."
        directory.fill = self._fill
        directory.changed.append(self._on_changed)
        self._due.set("judge", 0.0)

    # -- what happens

    def handlers(self) -> Mapping[type, Handler]:
        return {
            AskDialBack: self._witness.asked,
            DialledBack: self._on_dialled,
            Stand: self._on_stand,
            Stood: self._on_stood,
        }

    def leaves_are(self, leaves: int, now: float) -> list[Effect]:
        """How many leaves are attached to us."""
        self._leaves = leaves
        if leaves >= self.settings.idle_leaves:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        own = self._directory.own
        if own is not None and own.leaves != leaves:
            much = abs(own.leaves - leaves) >= STATE_STEP or leaves >= own.room
            self._due.soon("state", max(now, self._stated_at + (STATE_EVERY if much else 8 * STATE_EVERY)))
        return []

    def measured(self, abilities: Abilities, now: float) -> list[Effect]:
        """What this machine can do now."""
        moved = abilities.addresses != self._abilities.addresses
        self._abilities = abilities
        if moved:
            self._seeker.moved()
        self._due.soon("judge", now)
        return []

    def shape(self, topology: Topology, wish: Wish, now: float) -> list[Effect]:
        """The mode of the network, or the wish of the person here, is another."""
        if self.index and topology.mode != self._topology.mode:
            self._hurry(now)
        before = self._topology.role(self._context.me, self._wish), self._topology.mode
        self._topology, self._wish = topology, wish
        self._standing, self._samples = None, None
        role = topology.role(self._context.me, wish)
        if self.index and not self.retiring and role is not False and (role, topology.mode) != before:
            self.why = keeping(topology.mode, bool(role))
        return self._judge(now)

    def close(self, now: float) -> list[Effect]:
        """We leave."""
        return self._directory.retire(now) if self.index else []

    def up(self, peer: PeerId, now: float) -> list[Effect]:
        if not self.index and self._topology.elected and not self._directory.alive(now):
            self._due.soon("judge", now + 0.5)
        return []

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        return self.up(peer, now)

    def _on_changed(self, now: float) -> list[Effect]:
        if self._directory.alive(now) <= self.settings.floor:
            self._due.soon("judge", now + 1.0)
        return []

    def next_tick(self) -> float | None:
        return self._due.next

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for name in self._due.take(now):
            match name:
                case "judge":
                    effects += self._judge(now)
                case "sample":
                    effects += self._sample(now)
                case "stand":
                    effects += self._stand(now)
                case "answer":
                    effects += self._unanswered(now)
                case "state":
                    self._stated_at = now
                    effects += self._directory.state(now)
                case "lay down":
                    effects += self._lay_down(now)
                case _:
                    effects += self._retired(now)
        return effects

    # -- judging ourselves

    def _judge(self, now: float) -> list[Effect]:
        role = self._topology.role(self._context.me, self._wish)
        elected = self._topology.elected
        if elected and role is not False:
            self._due.keep("judge", now + (SERVING if self.index else JUDGE))
            if now < self._settled_at:
                self._due.soon("judge", self._settled_at)
        if role is False:
            return self._without(now)
        if self.index and not self.retiring:
            return self._stay(now, role) if elected else []
        if not elected:
            return self._take(now, keeping(self._topology.mode, bool(role)))
        return self._consider(now, role)

    def _without(self, now: float) -> list[Effect]:
        """The role is not ours; nobody is left alone, though, when the servers have not come yet."""
        server = self._topology.mode == "server"
        why = (
            "Only the servers of this network keep its index, and this node is none of them."
            if server and self._context.me not in self._topology.servers
            else "You have said that this node shall not keep an index."
        )
        if not self.index:
            self.why = why
            return []
        if self.retiring:
            return []
        if server and self._wish != "off" and now < self._hasty_until:
            known = self._directory.records(now)
            if not any(self._topology.accepts(one) for one in known):
                self._due.soon("judge", now + 3 * HURRY)
                self.why = "This node keeps the index until a server of this network has come."
                return self._directory.look(now)
        return self._retire(now, why)

    def _consider(self, now: float, role: bool | None) -> list[Effect]:
        """Could we carry it, and is it needed?"""
        context, directory = self._context, self._directory
        alone = directory.alive(now) == 0
        if not alone:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        members, total = directory.members(now), self._population(now)
        short = total < floor_of(members, self.settings)
        starving = self._samples is not None and self._samples.free < STARVING
        reasons: list[str] = []
        if role is None:
            reasons = hindrances(self._abilities, self.settings, relaxed=short or starving, urgent=alone)
        effects: list[Effect] = []
        if not reasons and not (role and short and not self._seeker.unreached):
            effects, lack = self._reached.seek(now, alone)
            if lack and not (alone and self._last_resort(now)):
                reasons.append(lack)
        if alone:
            self._due.soon("judge", now + HURRY)
        if reasons:
            self._standing, self._samples = None, None
            self._due.drop("stand")
            start = "This node does not keep the index"
            if role:
                start = "You want this node to keep the index, which it does not yet"
            self.why = sentence(start, reasons)
            if alone and not directory.links:
                self.why = "This node does not keep the index: nobody else is here."
            return effects
        if role:
            return [*effects, *self._take(now, keeping(self._topology.mode, True))]
        self.why = "This node could keep the index, but there are supernodes enough."
        if self._samples is None:
            self._samples = Samples({})
        if alone or short:
            return [*effects, *self._wait(now, alone)]
        self._due.soon("sample", now + context.dice.uniform(0.0, self.settings.sample_every))
        return effects

    def _population(self, now: float) -> int:
        """Supernodes there are, less those that could not be reached while we know them all."""
        alive, total = self._directory.alive(now), self._directory.count(now)
        return min(alive, total) if total <= self._directory.settings.leaf else total

    def _last_resort(self, now: float) -> bool:
        """Nobody can be reached from outside, and peers have come to us at least: better one like us than none."""
        return (
            self._abilities.inbound
            and self._alone_since is not None
            and now - self._alone_since >= LAST_RESORT
        )

    def _on_dialled(self, peer: PeerId, message: DialledBack, now: float) -> list[Effect]:
        if self._seeker.answered(peer, message, now):
            if self.index:
                self._due.soon("state", now + 1.0)
            self._due.soon("judge", now)
        elif not self._seeker.waiting(now):
            self._due.soon("judge", now + 1.0)
        return []

    # -- demand

    def _sample(self, now: float) -> list[Effect]:
        """Look at one supernode more, and judge the last five."""
        samples, directory, dice = self._samples, self._directory, self._context.dice
        if samples is None or self.index:
            return []
        if self._target is not None:
            record = directory.get(self._target, now)
            if record is not None and not directory.suspended(self._target, now):
                samples.add(record, self.settings.sampled)
                samples.judge(self.settings.few)
        effects: list[Effect] = []
        if samples.low >= self.settings.samples:
            effects = self._wait(now, False)
        chosen = directory.random(1, now)
        self._target = chosen[0] if chosen else None
        every = self.settings.sample_every if samples.free < ENOUGH else SELDOM
        self._due.set("sample", now + every * dice.uniform(0.75, 1.25))
        return [*effects, *[Send(peer, AskSupernodes(0)) for peer in chosen]]

    def _wait(self, now: float, alone: bool) -> list[Effect]:
        """We would take the role: after a while, the shorter the better we are, unless others have by then."""
        if "stand" in self._due or self._standing is not None or now < self._stood_at + STAND_AGAIN:
            return []
        self.why = "This node may soon keep the index, because more supernodes are needed."
        slack = 1.2 - score(self._abilities)
        if alone:
            crowd = max(1.0, (len(self._context.peers) + len(self._directory.links)) / 4)
            longest = self.settings.urgent_wait * crowd
            wait = max(0.5, self._context.dice.uniform(0.0, longest * slack))
        else:
            wait = self._context.dice.uniform(0.0, self.settings.wait * slack)
        self._due.set("stand", now + wait)
        return []

    def _stand(self, now: float, before: int = 0) -> list[Effect]:
        """The wait is over. Is it still so?"""
        directory = self._directory
        if (
            self.index
            or self._samples is None
            or self._topology.role(self._context.me, self._wish) is not None
        ):
            return []
        if directory.alive(now) == 0:
            return self._take(now, "This node keeps the index: nobody else here did.", hasty=True)
        short = self._population(now) < floor_of(directory.members(now), self.settings)
        if not short and self._samples.low < self.settings.samples:
            return []
        number = self._context.dice.getrandbits(32)
        asked = directory.random(1, now)
        self._standing, self._target = (number, before), asked[0]
        self._due.set("answer", now + STAND_WAIT)
        return [Send(asked[0], Stand(number))]

    def _unanswered(self, now: float) -> list[Effect]:
        if self._standing is None:
            return []
        before, self._standing = self._standing[1], None
        self._stood_at = now
        silent = self._directory.failed(self._target, now) if self._target is not None else []
        return [*silent, *(self._stand(now, before + 1) if before + 1 < STANDS else [])]

    def _on_stand(self, peer: PeerId, message: Stand, now: float) -> list[Effect]:
        needed = False
        if self.index and not self.retiring and self._topology.elected:
            serving = self._directory.serving(now)
            lack = lacking(serving, self._directory.members(now), self.settings)
            needed = self._grants.allow(lack, len(serving), self._context.dice.random(), now)
        return [Send(peer, Stood(message.number, needed))]

    def _on_stood(self, peer: PeerId, message: Stood, now: float) -> list[Effect]:
        if self._standing is None or message.number != self._standing[0]:
            return []
        self._standing = None
        self._due.drop("answer")
        self._stood_at = now
        if message.needed and not self.index:
            return self._take(now, "This node keeps the index: more supernodes were needed.")
        if self._samples is not None:
            self._samples.low = 0
        self._due.soon("judge", now + STAND_AGAIN)
        return []

    # -- while we carry it

    def _stay(self, now: float, role: bool | None) -> list[Effect]:
        """Are we still needed, and fit for it?"""
        directory = self._directory
        effects, lack = self._reached.seek(now, False)
        others = directory.alive(now) - 1
        if self._unproven(now, others):
            return [*effects, *self._retire(now, sentence(NO_MORE, [lack]))]
        if role or others < 1:
            return effects
        if self._hasty_until and now >= self._settled_at:
            if self._surplus(now):
                return [
                    *effects,
                    *self._retire(now, "This node kept the index until others did, who are enough."),
                ]
            if now >= self._hasty_until:
                self._hasty_until = 0.0
        reasons = lasting(self._abilities)
        if lack and now - self._since >= self.settings.dwell and not self._seeker.waiting(now):
            reasons.append(lack)
        if reasons and others >= floor_of(directory.members(now), self.settings):
            return [
                *effects,
                *self._retire(now, sentence(NO_MORE, reasons)),
            ]
        if self._idle(now) and "lay down" not in self._due:
            self._due.set("lay down", now + self._context.dice.uniform(0.0, LEAVE_WAIT))
        return effects

    def _unproven(self, now: float, others: int) -> bool:
        """Whether nobody reaches us from outside, while somebody is there whom others reach: our record is not believed."""
        if now - self._since < SETTLE or not self._seeker.unreached or self._reached.receipts(now):
            return False
        proven = any(one.receipts for one in self._directory.serving(now))
        return not self._seeker.waiting(now) and (proven or others >= self.settings.floor)

    def _surplus(self, now: float) -> bool:
        """Whether we are one of those too many, who took the role in haste or had it before the mode changed."""
        directory = self._directory
        serving = directory.serving(now)
        wanted = wanted_of(directory.members(now), self.settings)
        if len(serving) <= wanted:
            return False
        mine = next((one for one in serving if one.peer.key == self._context.me), None)
        if mine is None:
            return False
        place = _rank(mine)
        return sum(_rank(one) < place for one in serving) >= wanted

    def _idle(self, now: float) -> bool:
        dwell = self.settings.dwell
        if self._idle_since is None or now - self._idle_since < dwell or now - self._since < dwell:
            return False
        directory = self._directory
        left = directory.alive(now) - 1
        return (
            left >= floor_of(directory.members(now), self.settings)
            and free_share(directory.serving(now)) > self.settings.many
        )

    def _lay_down(self, now: float) -> list[Effect]:
        role = self._topology.role(self._context.me, self._wish)
        if not self.index or self.retiring or role is not None or not self._idle(now):
            return []
        idle = span(self.settings.dwell)
        return self._retire(
            now, f"This node does not keep the index any more: it had hardly any leaves for {idle}."
        )

    def _take(self, now: float, why: str, hasty: bool = False) -> list[Effect]:
        self.why = why
        self._samples = self._standing = self._target = None
        for name in ("stand", "answer", "sample"):
            self._due.drop(name)
        self._idle_since = now if self._leaves < self.settings.idle_leaves else None
        if hasty:
            self._hurry(now)
        if self.retiring:
            self.retiring = False
            self._due.drop("retired")
            return [Tell(RoleChanged(True, why)), *self._directory.state(now, retiring=False)]
        self.index, self._since = True, now
        self._stated_at = now
        self._due.keep("judge", now + SERVING)
        return [Tell(RoleChanged(True, why)), *self._directory.serve(self._record(now), now)]

    def _hurry(self, now: float) -> None:
        """See soon whether we are too many."""
        self._since = now
        self._hasty_until = now + HASTY
        self._settled_at = now + SETTLE * self._context.dice.uniform(1.0, 2.0)
        self._due.set("judge", self._settled_at)

    def _retire(self, now: float, why: str) -> list[Effect]:
        self.why = why
        self.retiring = True
        self._hasty_until = 0.0
        self._due.drop("lay down")
        self._due.set("retired", now + self.settings.hand_over)
        return [Tell(RoleChanged(False, why)), *self._directory.state(now, retiring=True)]

    def _retired(self, now: float) -> list[Effect]:
        self.index = self.retiring = False
        self._due.drop("state")
        self._due.soon("judge", now + JUDGE)
        return self._directory.retire(now)

    # -- our record

    def _record(self, now: float) -> SupernodeRecord:
        context = self._context
        first = SupernodeRecord(
            context.record,
            seq=self._directory.next_seq(),
            lifetime=context.settings.directory.lifetime,
            slot=context.dice.randrange(4),
        )
        done: SupernodeRecord = signed(context.network, self._fill(first, now), context.seal)
        return done

    def _fill(self, record: SupernodeRecord, now: float) -> SupernodeRecord:
        """What we say of ourselves now; not signed."""
        peer = self._context.record
        return structs.replace(
            record,
            peer=peer,
            leaves=self._leaves,
            room=self.settings.room,
            uptime=min(100_000, int(self._abilities.average_session // 3600)),
            up=int(self._abilities.up * 8 / 1000),
            block=own_block(peer.addresses),
            receipts=self._reached.receipts(now),
        )


def _rank(record: SupernodeRecord) -> tuple[bool, bool, bytes]:
    """Who stays when there are too many, lowest first: who was reached, who lasts and uploads well; then by hash."""
    weak = record.uptime < 2 or record.up < 2000
    return not record.receipts, weak, hashlib.sha256(b"servent/rank/1\0" + record.peer.key).digest()
