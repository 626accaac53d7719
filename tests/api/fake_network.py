"""The fake node's networks: one of each mode, with members, invitations, supernodes and leaves, and roles."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator

import msgspec

from servent.api import schema
from servent.api import schema_network as network
from servent.errors import NotFound, UsageError
from servent.identity import Identity, PeerId
from tests.api.fake_share import stranger

ME, ANN, BOB = (Identity(bytes([number]) * 32).peer for number in (1, 2, 3))
replace = msgspec.structs.replace
NAMES = [
    "carol",
    "dave",
    "erin",
    "frank",
    "grace",
    "heidi",
    "ivan",
    "judy",
    "mallory",
    "niaj",
    "olivia",
    "peggy",
    "rupert",
    "sybil",
    "trent",
    "victor",
    "walter",
]
WHY: dict[schema.NetworkMode, tuple[str, str]] = {
    "server": (
        "its founder named this node as its server",
        "its founder named ann as its server; nobody else keeps the index",
    ),
    "hybrid": (
        "there were too few supernodes, and this node can be reached from outside",
        "this node is up for 12 minutes; it can be elected after 30",
    ),
    "p2p": ("everybody keeps the index of what is theirs", "the role index is switched off on this node"),
}


class FakeNetworks:
    """`NetworkFace` from memory. `home` is ours and hybrid; with `more`, `attic` is ann's server, `swarm` has nobody above."""

    def __init__(self, pace: float, *, more: bool) -> None:
        self.network_pace, self._several = pace, more
        self._networks: dict[str, network.Network] = {}
        self._invitations: dict[str, list[network.Invitation]] = {}
        self._removed: dict[str, list[network.Member]] = {}
        self._wishes_for: dict[schema.RoleName, schema.RoleWish] = {}
        rows = [
            network.Network(id="ab" * 16, name="home", admin=True, members=9, online=6, mode="hybrid", size=9)
        ]
        if more:
            rows += [
                network.Network(
                    id="cd" * 16,
                    name="attic",
                    members=14,
                    online=9,
                    mode="server",
                    servers=[str(ANN)],
                    size=14,
                ),
                network.Network(id="ef" * 16, name="swarm", members=21, online=12, mode="p2p", size=4200),
            ]
        for row in rows:
            self._put(row)

    def _put(self, row: network.Network) -> network.Network:
        """With what follows from its settings."""
        index = (
            self._wishes_for.get("index") != "off"
            if row.mode == "p2p"
            else str(ME) in row.servers
            if row.mode == "server"
            else self._wishes_for.get("index") == "on"
        )
        why = WHY[row.mode][not index]
        supernodes = {"server": len(row.servers), "hybrid": 3, "p2p": max(1, row.online)}[row.mode]
        row = replace(row, index=index, why=why, supernodes=supernodes)
        self._networks[row.name] = row
        self._invitations.setdefault(row.name, [])
        self._removed.setdefault(row.name, [])
        return row

    def _network(self, name: str) -> network.Network:
        for row in self._networks.values():
            if name in (row.name, row.id):
                return row
        raise NotFound(f"no network is called {name!r}", advice="`servent network ls` lists them.")

    def _mine(self, name: str) -> network.Network:
        row = self._network(name)
        if not row.admin:
            raise UsageError(
                f"you are not the admin of {row.name!r}", advice="Only who founded it can change it."
            )
        return row

    def networks(self) -> list[network.Network]:
        return list(self._networks.values())

    def network_names(self) -> dict[str, str]:
        """Those that a search asks: none unless there are several, so that other tests see peers alone."""
        return {row.name: row.id for row in self._networks.values()} if self._several else {}

    async def create_network(
        self, name: str, *, open: bool, mode: schema.NetworkMode | None = None
    ) -> network.Network:
        if name in self._networks:
            raise UsageError(f"a network called {name!r} exists")
        mode = mode or "hybrid"
        return self._put(
            network.Network(
                id=hashlib.sha256(name.encode()).hexdigest()[:32],
                name=name,
                open=open,
                admin=True,
                members=1,
                mode=mode,
                servers=[str(ME)] if mode == "server" else [],
                size=1,
            )
        )

    async def leave_network(self, name: str) -> None:
        del self._networks[self._network(name).name]

    async def set_mode(self, name: str, change: network.ModeChange) -> network.Network:
        row = self._mine(name)
        if change.servers and change.mode != "server":
            raise UsageError("only the mode server has servers")
        servers = [self._whom(peer) for peer in change.servers] or row.servers or [str(ME)]
        return self._put(
            replace(row, mode=change.mode, servers=servers if change.mode == "server" else row.servers)
        )

    def _whom(self, text: str) -> str:
        for peer, name in ((ME, "me"), (ANN, "ann"), (BOB, "bob")):
            if text in (str(peer), name, peer.short):
                return str(peer)
        raise NotFound(f"nobody here is called {text!r}", advice="`servent peers` lists who is.")

    # invitations and members

    async def invite(self, name: str, *, uses: int | None, lifetime: float | None) -> network.Invitation:
        name = self._network(name).name
        made = network.Invitation(
            id=f"i{len(self._invitations[name])}",
            network=name,
            invitation="servent:invitation",
            uses=uses,
            expires=None if lifetime is None else time.time() + lifetime,
        )
        self._invitations[name].append(replace(made, invitation=""))
        return made

    async def invitations(self, name: str) -> list[network.Invitation]:
        return self._invitations[self._network(name).name]

    async def revoke_invitation(self, name: str, invitation: str) -> None:
        known = self._invitations[self._network(name).name]
        kept = [entry for entry in known if entry.id != invitation]
        if len(kept) == len(known):
            raise NotFound(f"no invitation {invitation!r}")
        known[:] = kept

    async def members(self, name: str) -> list[network.Member]:
        row = self._network(name)
        gone = self._removed[row.name]
        away = {one.id for one in gone}
        crowd = [(stranger(number), NAMES[number % len(NAMES)]) for number in range(row.members - 3)]
        everyone = [(ME, "me"), (ANN, "ann"), (BOB, "bob"), *crowd][: row.members]
        here = [
            network.Member(
                id=str(peer),
                short_id=peer.short,
                name=called,
                me=peer == ME,
                admin=peer == ME if row.admin else peer == ANN,
                connected=place < row.online,
                since=time.time() - 86400 * (place + 1),
                supernode=str(peer) in row.servers or (row.mode == "hybrid" and peer == ANN),
                invitation="" if place < 2 else f"i{place % 3}",
            )
            for place, (peer, called) in enumerate(everyone)
            if str(peer) not in away
        ]
        return here + gone

    async def revoke_member(self, name: str, peer: str) -> None:
        row = self._mine(name)
        for member in await self.members(row.name):
            if peer in (member.id, member.short_id, member.name) and not member.me:
                if not member.revoked:
                    gone = replace(member, revoked=True, connected=False, supernode=False, admin=False)
                    self._removed[row.name].append(gone)
                return
        raise NotFound(f"nobody here is called {peer!r}", advice="`servent network members` lists who is.")

    # shape and roles

    def shaping(self) -> network.Shaping:
        marks = {
            row.id: f"{row.mode} {row.index} {len(self.shape(row.id).peers)}"
            for row in self._networks.values()
        }
        return network.Shaping(networks=marks, roles=self.roles())

    def shape(self, name: str) -> network.NetworkShape:
        row = self._network(name)
        dice = random.Random(row.name + row.mode)
        peers: list[network.NetworkPeer] = []

        def add(peer: PeerId, called: str, link: str, supernode: bool, leaves: int = 0) -> None:
            known = link == "supernode"
            peers.append(
                network.NetworkPeer(
                    id=str(peer),
                    short_id=peer.short,
                    name=called,
                    link=link,  # type: ignore[arg-type]
                    supernode=supernode,
                    path=None if known else "relayed" if dice.random() < 0.25 else "direct",
                    rtt_ms=None if known else round(dice.lognormvariate(3.2, 0.9), 1),
                    leaves=leaves,
                    room=512 if supernode else 0,
                )
            )

        alone = row.online == 0
        if row.mode == "server" and not alone:
            if row.index:
                for number in range(row.online):
                    add(stranger(number), NAMES[number % len(NAMES)], "leaf", False)
            else:
                add(ANN, "ann", "home", True, row.online)
                for number in range(4):
                    add(stranger(number), NAMES[number], "neighbour", False)
        elif row.mode == "hybrid" and not alone:
            add(ANN, "ann", "neighbour" if row.index else "home", True, 3)
            add(stranger(1), "dave", "neighbour" if row.index else "home", True, 2)
            add(stranger(2), "erin", "supernode", True, 1)
            add(BOB, "bob", "neighbour", False)
            for number in range(3, 6):
                add(stranger(number), NAMES[number], "leaf" if row.index else "neighbour", False)
        elif not alone:
            for number in range(5):
                add(stranger(number), NAMES[number], "neighbour", True)
            for number in range(5, row.online + 9):
                add(stranger(number), NAMES[number % len(NAMES)] if number % 4 else "", "supernode", True)
        return network.NetworkShape(
            network=row,
            peers=peers,
            more_peers=4200 - 26 if row.mode == "p2p" and not alone else 0,
            published=2400,
            to_publish=2413,
            stored_items=18_230 if row.index else 0,
            stored_postings=51_004 if row.index else 0,
            control_per_minute=7,
            questions=1204 if row.index else 0,
            mine=17,
            searching={
                "server": "this node answers all" if row.index else "asks ann, who keeps the index",
                "hybrid": "asks 2 homes; they ask the supernodes that keep a word",
                "p2p": "asks the peers that keep a word, then a few at random",
            }[row.mode],
        )

    def roles(self) -> list[schema.Role]:
        carried = [row.name for row in self._networks.values() if row.index]
        wish = self._wishes_for.get
        said: list[tuple[schema.RoleName, bool, str]] = [
            (
                "index",
                bool(carried),
                f"this node keeps the index of {', '.join(carried)}"
                if carried
                else "no network needs it here",
            ),
            ("relay", wish("relay") == "on", "no address of this node can be reached from outside"),
            ("observer", True, "tells peers which address it sees them from"),
            ("store", False, "nothing uses it yet"),
            ("compute", False, "nothing uses it yet"),
        ]
        return [
            schema.Role(name=name, wish=wish(name, "auto"), active=active and wish(name) != "off", why=why)
            for name, active, why in said
        ]

    def network_roles(self) -> list[schema.NetworkRole]:
        return [
            schema.NetworkRole(network=row.name, mode=row.mode, index=row.index, why=row.why)
            for row in self._networks.values()
        ]

    async def set_role(self, change: network.RoleChange) -> None:
        self._wishes_for[change.name] = change.wish
        for row in list(self._networks.values()):
            self._put(row)

    # who has what, and where

    async def who_has(self, query: network.HolderQuery) -> AsyncIterator[network.HolderEvent]:
        began = time.time()
        plain = query.link.startswith("magnet:") or (
            len(query.link) == 64 and all(letter in "0123456789abcdef" for letter in query.link)
        )
        if not plain:
            raise UsageError("this is no link", advice="A link begins with magnet:?xt=urn:btmh:")
        where = [self._network(query.network)] if query.network else list(self._networks.values())
        found = messages = 0
        for row in where:
            yield network.HolderEvent(kind="network", network=row.name, asked=2, messages=messages + 2)
            for peer, called, reachable in ((ANN, "ann", True), (BOB, "bob", False), (stranger(7), "", None)):
                if found >= query.limit:
                    break
                await asyncio.sleep(0.1 * self.network_pace)
                found += 1
                holder = network.Holder(
                    peer=str(peer),
                    name=called,
                    network=row.name,
                    file="holiday.mp4" if reachable is not None else "holi\u202eday.mp4",
                    size_bytes=1_000_000,
                    friend=peer == ANN,
                    connected=peer in (ANN, BOB),
                    reachable=reachable,
                )
                yield network.HolderEvent(kind="holder", holder=holder)
            messages += 4
            yield network.HolderEvent(
                kind="network", network=row.name, asked=2, answered=2, messages=messages
            )
        yield network.HolderEvent(
            kind="done",
            found=found,
            asked=2 * len(where),
            answered=2 * len(where),
            messages=messages,
            took_ms=round((time.time() - began) * 1000, 1),
        )

    async def where(self, peer: str) -> network.Whereabouts:
        whom = self._whom(peer)
        if whom == str(BOB):
            return network.Whereabouts(peer=whom, name="bob")
        return network.Whereabouts(
            peer=whom,
            name="ann",
            known=True,
            connected=True,
            addresses=["192.0.2.7:4433"],
            relays=["https://relay.example"],
            nat="easy",
            roles=["index", "observer"],
            updated=time.time() - 90,
        )
