"""The stable surface, what is about networks: their settings, members and invitations, their shape, who has what.

The same rules as in `schema`. A network is named by its id, in requests also by its name; a peer as in `schema_share`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.api.schema import Lifetime, Link, NetworkMode, PathKind, Role, RoleName, RoleWish, ShortName

MOST_SERVERS = 8  # as many as the signed settings of a network hold


class Network(Struct, frozen=True, kw_only=True):
    """A network this node is in.

    `members`: known here, this node included; `online`: connected now. `admin`: this node holds its key.
    `mode`, `servers`: of its signed settings; who carries the index in the mode "server". `index`: this node is a
    supernode of it; `retiring`: it is about to stop. `why`: why, or why not, as a sentence. `size`: how many members
    there seem to be. `removed`: its founder took this node out of it, and it has heard so: nothing goes over it any more.
    """

    id: str
    name: str
    open: bool = False
    admin: bool = False
    members: int = 0
    online: int = 0
    created: float | None = None
    mode: NetworkMode = "p2p"
    servers: list[str] = []
    index: bool = False
    retiring: bool = False
    why: str = ""
    supernodes: int = 0
    size: int = 0
    removed: bool = False


class NewNetwork(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`mode` None: what the node's settings say."""

    name: ShortName
    open: bool = False
    mode: NetworkMode | None = None


class ModeChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`servers`: who carries the index in the mode "server"; empty for those there were, or else this node."""

    mode: NetworkMode
    servers: Annotated[list[ShortName], Meta(max_length=MOST_SERVERS)] = []


class InvitationRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`uses` None: as often as wanted. `lifetime` in seconds, None for the node's default."""

    uses: Annotated[int, Meta(ge=1, le=10_000)] | None = 1
    lifetime: Lifetime | None = None


class Invitation(Struct, frozen=True, kw_only=True):
    """`invitation` is the text to pass on; it is shown once, and "" in lists."""

    id: str
    network: str
    invitation: str = ""
    uses: int | None = None
    used: int = 0
    expires: float | None = None
    revoked: bool = False
    qr_svg: str = ""
    qr_text: str = ""


class Member(Struct, frozen=True, kw_only=True):
    """`admin`: founded the network. `revoked`: was removed, and is a member again once invited again.

    `invitation`: the id of the one they came by, "" when that is not known here.
    """

    id: str
    short_id: str
    name: str = ""
    admin: bool = False
    connected: bool = False
    revoked: bool = False
    since: float | None = None
    me: bool = False
    supernode: bool = False
    invitation: str = ""


class NetworkPeer(Struct, frozen=True, kw_only=True):
    """A peer as far as it matters for the shape of a network, once, by its strongest link.

    `link` "supernode": known, and nothing more. `path` None: not connected. `leaves`, `room`: of a supernode.
    """

    id: str
    short_id: str
    name: str = ""
    link: Literal["neighbour", "home", "leaf", "supernode"] = "neighbour"
    supernode: bool = False
    path: PathKind | None = None
    rtt_ms: float | None = None
    leaves: int = 0
    room: int = 0
    retiring: bool = False


class NetworkShape(Struct, frozen=True, kw_only=True):
    """How a network looks from here.

    `published` of `to_publish`: items of this node that can be found by others. `stored_*`: kept for others.
    `control_per_minute`: messages sent. `questions`: answered for others since the start, `mine`: asked from here.
    `searching`: how a search goes here now, as a few words. `more_peers`: so many are not listed.
    """

    network: Network
    peers: list[NetworkPeer] = []
    more_peers: int = 0
    published: int = 0
    to_publish: int = 0
    stored_items: int = 0
    stored_postings: int = 0
    control_per_minute: int = 0
    questions: int = 0
    mine: int = 0
    searching: str = ""


class Shaping(Struct, frozen=True, kw_only=True):
    """The event topic `shape`: roles of this node, and a mark of each network's shape, by its id.

    A mark is another one once somebody is linked, reached or a supernode who was not before, or is so no longer; what the
    network looks like then is told by `/networks/{name}/shape`. What is merely measured changes no mark.
    """

    networks: dict[str, str] = {}
    roles: list[Role] = []


class RoleChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Carry this role whenever it is of use ("auto"), always ("on"), or never ("off")."""

    name: RoleName
    wish: RoleWish


class HolderQuery(Struct, frozen=True, kw_only=True):
    """`link`: a magnet link, or the `content` of a hit. `network`: ask in this one only."""

    link: Link
    network: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=5000)] = 200
    wait: Annotated[float, Meta(ge=0.1, le=60)] = 8.0


class Holder(Struct, frozen=True, kw_only=True):
    """Somebody who has it. `file`, `size_bytes`: what they call it. `reachable`: None when that is not known."""

    peer: str
    name: str = ""
    network: str = ""
    file: str = ""
    size_bytes: int = 0
    mine: bool = False
    friend: bool = False
    connected: bool = False
    reachable: bool | None = None


class HolderEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the answer to `/who-has` (NDJSON). "done" is always last.

    `asked`, `answered`: supernodes. `messages`: this node sent. `more`: more have it than anyone keeps track of.
    """

    kind: Literal["holder", "network", "done"]
    holder: Holder | None = None
    network: str = ""
    found: int = 0
    asked: int = 0
    answered: int = 0
    messages: int = 0
    more: bool = False
    took_ms: float = 0.0
    reason: str = ""


class Whereabouts(Struct, frozen=True, kw_only=True):
    """Where a peer is by the newest record that it signed. `known` False: nobody who was asked has one.

    `by`: "networks", or "key": relays, pkarr servers and the DHT. `updated`: by its own clock.
    """

    peer: str
    name: str = ""
    known: bool = False
    connected: bool = False
    addresses: list[str] = []
    relays: list[str] = []
    nat: str = ""
    roles: list[str] = []
    by: str = ""
    updated: float | None = None
