"""The ways in which this node finds peers and they find it, for the doctor: what each does now, and whom it tells what."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from servent.api.schema_doctor import Way
from servent.config import PUBLIC_RELAYS, Config, uses_dht
from servent.net.rendezvous_service import ProviderView
from servent.torrent.views import SessionSettings

if TYPE_CHECKING:
    from servent.node import Node

# whom each way tells what; docs/security.md has the same in full
TELLS = {
    "book": "nobody anything: those who are dialed learn your address",
    "tickets": "whoever reads a ticket learns your addresses and relay",
    "lan": "everybody on the local network learns your key and your address there",
    "networks": "members of a network learn where you are, and whom of them you look for",
    "relays": "the relay learns your address, what you publish, and whom you look for",
    "servers": "a third party and everybody who knows your key learn what you publish; it learns whom you look for",
    "dht": "everybody who knows your key learns what you publish; strangers learn whom you look for",
}
SHOWN = {
    "addresses": "your addresses and relay are told",
    "relay": "your relay alone is told",
    "nothing": "nothing is told of you",
}


def ways_of(node: Node) -> list[Way]:
    """In the order in which they are used."""
    views = {view.name: view for view in node.rendezvous.providers()}
    settings = node.config.rendezvous
    named = [url for url in node.config.net.relays if url != PUBLIC_RELAYS]
    kept = [way for way in (_book(node), _tickets(node), _lan(node), _networks(node))]
    relays = _way(
        "relays", "Relays", views, node, settings.relays, "rendezvous.relays = false",
        "" if named or node.relay is not None else "none of yours keeps records; where friends were last is asked",
    )  # fmt: skip
    servers = _way(
        "servers", "Pkarr servers of others", views, node, bool(settings.servers), "rendezvous.servers = []",
        "none is named",
    )  # fmt: skip
    dht = _way(
        "dht", "Mainline DHT", views, node, "dht" in views, 'rendezvous.dht = "off"',
        "" if "dht" in views else no_dht(node.config, node.torrent_session.settings),
    )  # fmt: skip
    return [*kept, relays, servers, dht]


def no_dht(config: Config, session: SessionSettings) -> str:
    """Why it is off, where it is: "auto" is off without the public relays, of which nobody may be aware."""
    if uses_dht(config):
        if session.dht:
            return "I2P carries no UDP, and beside it the DHT would tell where you are"
        return "it needs the extra: pip install 'servent[torrent]'"
    if config.rendezvous.dht == "auto":
        return 'it goes with the public relays, which you do not use; rendezvous.dht = "on" is for it alone'
    return "switched off in the settings"


def _book(node: Node) -> Way:
    count = sum(view.since is None for view in node.peers.view())
    detail = "everybody wanted is connected" if not count else f"{count} {_people(count)} wanted and away"
    return Way(name="book", title="Address book", on=True, detail=detail, tells=TELLS["book"])


def _tickets(node: Node) -> Way:
    return Way(
        name="tickets",
        title="Tickets and invitations",
        on=True,
        detail="good wherever you are reached at one of the addresses in it",
        tells=TELLS["tickets"],
        off="make none",
    )


def _lan(node: Node) -> Way:
    if node.lan is None:
        detail = "switched off in the settings"
    elif node.lan.working:
        found = len(node.lan.view())
        detail = f"{found} {_people(found)} found here"
    else:
        detail = "multicast does not work here"
    on, off = node.lan is not None, "net.lan = false"
    return Way(name="lan", title="Local network", on=on, detail=detail, tells=TELLS["lan"], off=off)


def _networks(node: Node) -> Way:
    count = len(node.overlay.members.pumps)
    detail = f"{count} {'network' if count == 1 else 'networks'}; members are asked, and meeting points"
    if not count:
        detail = "you are in none"
    tells = TELLS["networks"]
    return Way(name="networks", title="Networks", on=count > 0, detail=detail, tells=tells, off="leave them")


def _way(
    name: str, title: str, views: dict[str, ProviderView], node: Node, wanted: bool, off: str, otherwise: str
) -> Way:
    """One that publishes and looks up by key. `otherwise`: what is to be said where nothing happened yet."""
    view = views.get(name)
    if view is None or not wanted:
        detail = otherwise or "switched off in the settings"
        return Way(name=name, title=title, on=False, detail=detail, tells=TELLS[name], off=off)
    show = node.config.rendezvous.show
    said = [SHOWN[show]]
    if view.published is not None:
        places = f"{view.places} {'place' if view.places == 1 else 'places'}"
        said.append(f"in {places} since {_ago(view.published)}")
    elif show != "nothing":
        said.append(otherwise or "not published yet")
    if view.asked:
        said.append(f"{view.found} of {view.asked} look-ups found somebody")
    return Way(
        name=name,
        title=title,
        on=True,
        detail="; ".join(said),
        tells=TELLS[name],
        off=off,
        published=view.published,
        found=view.found_at,
    )


def _people(count: int) -> str:
    return "peer" if count == 1 else "peers"


def _ago(then: float) -> str:
    seconds = max(0.0, time.time() - then)
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
