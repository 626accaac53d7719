"""Putting a record into the DHT without waiting for nodes that are gone. A core: time, numbers and packets are arguments.

libtorrent stores a record only when its search has ended, and one node that is gone but not forgotten makes that 15 s
(measured); who has moved cannot wait so long. So the nodes nearest to the record's place are looked for here (BEP 5 and 44), a
node that does not answer within a second is passed over, and all near ones that did are handed the record. What is found on
the way is believed only when its owner signed it. Looking up stays libtorrent's: it tells the first answer at once.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from servent.blobs import bencode
from servent.errors import BadMessage
from servent.identity import PeerId
from servent.net.pkarr import signing_text

PACKET_MOST = 2048  # bytes of an answer; a record and eight nodes are 1.4 kB
NODE_BYTES = 26  # BEP 5: id, IPv4 address, port
NEAREST = 8  # nodes that keep a record; k of BEP 5
AT_ONCE = 8  # questions under way
ANSWER_TIME = 1.0  # s; three quarters of Mainline's answers come within one
SEARCH_TIME = 8.0  # s
ASKED_MOST = 96  # nodes of one search
KNOWN_MOST = 512
NODES_TAKEN = 16  # of one answer; honest ones name eight
TOKEN_MOST = 64  # bytes


class Place(NamedTuple):
    """A node's address."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `seq` and `value` only where the owner of the key signed them."""

    node: bytes
    nodes: tuple[tuple[bytes, Place], ...] = ()
    token: bytes = b""
    seq: int = 0
    value: bytes = b""


def target_of(key: bytes, salt: bytes) -> bytes:
    """Where a mutable item is kept (BEP 44)."""
    return hashlib.sha1(key + salt).digest()


def question(tid: bytes, me: bytes, target: bytes) -> bytes:
    """Asks a node for the item at `target`, a token, and nodes near it. "ro": we answer nothing ourselves (BEP 43)."""
    return _query(tid, b"get", {b"id": me, b"target": target})


def order(
    tid: bytes, me: bytes, token: bytes, key: bytes, salt: bytes, seq: int, signature: bytes, value: bytes
) -> bytes:
    """Asks a node that gave `token` to keep an item.

    `me`: libtorrent takes whoever puts something into its table, also one that says it answers nothing, and its look-ups then
    wait 15 s for it (measured). Nobody takes their own id, so put under that of the node that is asked.
    """
    said: dict[bytes, bencode.Value] = {
        b"id": me, b"token": token, b"k": key, b"seq": seq, b"sig": signature, b"v": value,
    }  # fmt: skip
    if salt:
        said[b"salt"] = salt
    return _query(tid, b"put", said)


def _query(tid: bytes, name: bytes, said: dict[bytes, bencode.Value]) -> bytes:
    return bencode.encode({b"a": said, b"q": name, b"ro": 1, b"t": tid, b"y": b"q"})


def read(data: bytes, key: PeerId, salt: bytes) -> tuple[bytes, Reply | None]:
    """The number of the question, and the answer; None for "no".

    Raises:
        BadMessage: nothing that answers a question.
    """
    whole = bencode.decode(data, PACKET_MOST)
    if not isinstance(whole, dict) or not isinstance(tid := whole.get(b"t"), bytes):
        raise BadMessage("no packet of the DHT")
    if whole.get(b"y") == b"e":
        return tid, None
    said = whole.get(b"r")
    if whole.get(b"y") != b"r" or not isinstance(said, dict):
        raise BadMessage("no answer of the DHT")
    node, token, nodes = said.get(b"id"), said.get(b"token", b""), said.get(b"nodes", b"")
    if not isinstance(node, bytes) or len(node) != 20 or not isinstance(nodes, bytes):
        raise BadMessage("an answer of the DHT without a node")
    if not isinstance(token, bytes) or len(token) > TOKEN_MOST:
        token = b""
    seq, value = _item(said, key, salt)
    return tid, Reply(node, tuple(_nodes(nodes)), token, seq, value)


def _item(said: dict[bytes, bencode.Value], key: PeerId, salt: bytes) -> tuple[int, bytes]:
    seq, value, signature = said.get(b"seq"), said.get(b"v"), said.get(b"sig")
    if not isinstance(seq, int) or not isinstance(value, bytes) or not isinstance(signature, bytes):
        return 0, b""
    if not 0 < seq < 1 << 62 or not key.verify(signature, signing_text(seq, value, salt)):
        return 0, b""
    return seq, value


def _nodes(packed: bytes) -> Iterable[tuple[bytes, Place]]:
    for at in range(0, min(len(packed), NODES_TAKEN * NODE_BYTES) - NODE_BYTES + 1, NODE_BYTES):
        one = packed[at : at + NODE_BYTES]
        place = place_of(one[20:])
        if place is not None:
            yield one[:20], place


def place_of(packed: bytes) -> Place | None:
    """Of six bytes: IPv4 address and port. None for none that could be."""
    port = int.from_bytes(packed[4:6], "big")
    return Place(str(ipaddress.IPv4Address(packed[:4])), port) if len(packed) == 6 and port else None


@dataclass(slots=True)
class _Node:
    place: Place
    distance: int
    state: str = "new"  # "asked", "here", "gone"
    due: float = 0.0
    token: bytes = b""
    identity: bytes = b""


@dataclass
class Search:
    """The nodes nearest to a place that answer.

    Args:
        start: nodes known from before; their ids are not known.
        private: the DHT is our own: its nodes may have any address, and share a block of them.
    """

    target: bytes
    start: Iterable[Place]
    now: float
    private: bool = False
    seq: int = 0
    value: bytes = b""
    _nodes: dict[Place, _Node] = field(default_factory=dict)
    _blocks: set[str] = field(default_factory=set)
    _asked: int = 0

    def __post_init__(self) -> None:
        self._until = self.now + SEARCH_TIME
        for place in self.start:
            self._learn(place, 1 << 160)  # behind all whose place is known

    def ask(self, now: float) -> list[Place]:
        """Whom to ask now; each is under way until it answers or its time is over."""
        self._expire(now)
        chosen: list[Place] = []
        if now >= self._until:
            return chosen
        room = AT_ONCE - sum(node.state == "asked" for node in self._nodes.values())
        for node in self._wanted():
            if len(chosen) >= room or self._asked >= ASKED_MOST:
                break
            if node.state == "new":
                node.state, node.due = "asked", now + ANSWER_TIME
                self._asked += 1
                chosen.append(node.place)
        return chosen

    def answered(self, place: Place, reply: Reply | None) -> None:
        """A node that was asked has answered; None: with "no". Answers nobody asked for count for nothing."""
        node = self._nodes.get(place)
        if node is None or node.state not in ("asked", "gone"):
            return
        if reply is None:
            node.state = "gone"
            return
        node.state, node.token = "here", reply.token
        node.distance, node.identity = self._distance(reply.node), reply.node
        if reply.seq > self.seq:
            self.seq, self.value = reply.seq, reply.value
        for identity, found in reply.nodes:
            self._learn(found, self._distance(identity))

    def done(self, now: float) -> bool:
        """Whether nobody nearer is left to ask or to wait for."""
        self._expire(now)
        return now >= self._until or not any(
            node.state == "asked" or (node.state == "new" and self._asked < ASKED_MOST)
            for node in self._wanted()
        )

    def next_tick(self) -> float:
        return min((node.due for node in self._nodes.values() if node.state == "asked"), default=self._until)

    def nearest(self) -> list[tuple[Place, bytes, bytes]]:
        """Who is to keep the record: address, id, and the token it gave; the nearest first."""
        here = sorted(
            (node for node in self._nodes.values() if node.state == "here" and node.token),
            key=lambda node: node.distance,
        )
        return [(node.place, node.identity, node.token) for node in here[:NEAREST]]

    def _wanted(self) -> list[_Node]:
        """Those that matter: up to the eighth of the nearest that answers, or may."""
        wanted, alive = [], 0
        for node in sorted(self._nodes.values(), key=lambda node: node.distance):
            if node.state == "gone":
                continue
            wanted.append(node)
            alive += node.distance < 1 << 160 and node.state == "here"
            if alive >= NEAREST:
                break
        return wanted

    def _expire(self, now: float) -> None:
        for node in self._nodes.values():
            if node.state == "asked" and now >= node.due:
                node.state = "gone"  # a late answer still counts

    def _learn(self, place: Place, distance: int) -> None:
        if place in self._nodes or len(self._nodes) >= KNOWN_MOST:
            return
        if not self.private:
            block = place.host.rpartition(".")[0]
            address = ipaddress.ip_address(place.host)
            if not address.is_global or address.is_multicast or block in self._blocks:
                return
            self._blocks.add(block)
        self._nodes[place] = _Node(place, distance)

    def _distance(self, identity: bytes) -> int:
        return int.from_bytes(identity, "big") ^ int.from_bytes(self.target, "big")
