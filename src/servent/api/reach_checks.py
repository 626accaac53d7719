"""The doctor's other half: asks the network, the relays and the database, and says why each peer is reached as it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from servent.api import schema
from servent.api.role_words import network_roles_of, roles_of
from servent.api.ways import ways_of
from servent.config import PUBLIC_RELAYS
from servent.errors import WorldError
from servent.net import doctor
from servent.net.endpoint import public_relays
from servent.net.probes import probe
from servent.net.reach import FamilyView, ReachView
from servent.net.views import PeerView
from servent.net.why import Theirs, Why, why_away, why_path

if TYPE_CHECKING:
    from servent.node import Node
    from servent.store import Store

DATABASE_TIME = 1.5  # s for checking the database


async def examine(node: Node) -> schema.Doctor:
    """Takes at most 3 s."""
    wanted = node.config.net.relays
    public = public_relays() if PUBLIC_RELAYS in wanted else []
    home = node.reach.view().relay
    relays = dict.fromkeys(url.rstrip("/") for url in (*wanted, home) if url and url != PUBLIC_RELAYS)
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(probe(list(relays), public), name="doctor: probes")
        checking = tasks.create_task(_database(node.store), name="doctor: database")
    probes, database = asking.result(), checking.result()
    reach, peers = node.reach.view(), node.peers.view()
    lan = doctor.Lan(False) if node.lan is None else doctor.Lan(True, node.lan.working, len(node.lan.view()))
    here = [peer for peer in peers if peer.since is not None]
    company = doctor.Company(
        direct=sum(peer.path == "direct" for peer in here),
        relayed=sum(peer.path == "relayed" for peer in here),
        away=[
            f"{_called(node, peer) or peer.id.short}: {_named(node, peer, peer.reason)}"
            for peer in peers
            if peer.since is None and not peer.reason.startswith("blocked")
        ],
    )
    age = asyncio.get_running_loop().time() - node.started
    checks = [
        schema.Check(
            name=one.name, title=one.title, outcome=one.outcome, detail=one.detail, remedy=one.remedy
        )
        for one in doctor.diagnose(reach, probes, lan, company, age)
    ]
    return schema.Doctor(
        checks=[database, *checks],
        peers=[_peer(node, peer, reach) for peer in peers],
        networks=network_roles_of(node),
        roles=roles_of(node),
        ways=ways_of(node),
    )


def why(node: Node, peer: PeerView, reach: ReachView) -> Why:
    """Why `peer` is direct, relayed or away."""
    known = node.peers.addresses(peer.id)
    session = node.peers.session(peer.id)
    if session is None or peer.since is None:
        return why_away(peer.reason, bool(known.addresses or known.relay))
    age = asyncio.get_running_loop().time() - peer.since
    theirs = Theirs(*session.told, known.addresses)
    path = next((path for path in session.paths() if path.selected), None)
    return why_path(path, reach, theirs, age=age, silent=session.silent)


def has_address(family: FamilyView) -> bool:
    """Whether this node has an address of that family that may lead out."""
    return family.usable


def ms(seconds: float | None) -> float | None:
    """Milliseconds as people are shown them."""
    return None if seconds is None else round(seconds * 1000, 2)


def _peer(node: Node, peer: PeerView, reach: ReachView) -> schema.PeerWhy:
    found = why(node, peer, reach)
    return schema.PeerWhy(
        id=str(peer.id),
        name=_called(node, peer),
        path=peer.path,
        address=peer.address,
        rtt_ms=ms(peer.rtt),
        why=_named(node, peer, found.text),
        remedy=found.remedy,
    )


def _called(node: Node, peer: PeerView) -> str:
    """Its name also where it is not connected and was not since this start; "" for who was never met."""
    return peer.petname or peer.name or node.talk.person(peer.id).name


def _named(node: Node, peer: PeerView, text: str) -> str:
    """What errors say of a short id, of somebody who has a name."""
    return text.replace(peer.id.short, _called(node, peer) or peer.id.short)


async def _database(store: Store) -> schema.Check:
    name, title = "database", "Database"
    try:
        wrong = await store.check(DATABASE_TIME)
    except WorldError as trouble:
        return schema.Check(
            name=name, title=title, outcome="fail", detail=str(trouble), remedy=trouble.advice
        )
    if wrong is None:
        return schema.Check(name=name, title=title, outcome="pass", detail="no damage found")
    if wrong == "":
        return schema.Check(
            name=name, title=title, outcome="skip", detail=f"too large to check in {DATABASE_TIME} s"
        )
    return schema.Check(
        name=name,
        title=title,
        outcome="fail",
        detail=f"damaged: {wrong}",
        remedy="Stop the node and put a backup of node.db in its place. Your identity lies in a file of its own.",
    )
