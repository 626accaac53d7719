"""The keys of a room by invitation: what they seal, where its members meet, and what shows that a key is the right one. Pure.

Each key has a generation. Whoever removes somebody makes the next one; its lock stands in a signed act, the key itself goes
from member to member over their own connections. What is said is sealed under the newest key that the sender has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from servent.codec import encode
from servent.errors import BadMessage
from servent.talk.records import ID_BYTES, Acted, Announce, Boxed, Here, News, Said, news

KEY_BYTES = 32
MOST_KEYS = 64  # generations whose keys are kept, the newest


def lock_of(room_nonce: bytes, generation: int, key: bytes) -> bytes:
    """What stands for a key in records. `room_nonce`: of the founding, since the room's name hangs on the first lock."""
    text = b"servent/room lock/1\0" + room_nonce + generation.to_bytes(4, "big") + key
    return hashlib.sha256(text).digest()[:ID_BYTES]


def open_topic(room: bytes) -> str:
    """Where the members of an open room meet."""
    return f"talk/{room.hex()}"


def sealed_topic(key: bytes) -> str:
    """Where those meet who have this key; nobody else can tell which room it is."""
    return f"talk/{hashlib.sha256(b'servent/room topic/1' + bytes(1) + key).hexdigest()[:32]}"


class Ring:
    """The keys of one room that this node has. `nonce`: of the founding."""

    def __init__(self, nonce: bytes, keys: Iterable[tuple[int, bytes]] = ()) -> None:
        self._nonce = nonce
        self._keys: dict[bytes, tuple[int, bytes]] = {}  # by lock
        for generation, key in keys:
            self._keys[lock_of(nonce, generation, key)] = (generation, bytes(key))

    def add(self, generation: int, key: bytes, locks: Iterable[tuple[int, bytes]]) -> bool:
        """Take a key that one of the `locks` of the room's acts is of. Whether it is new."""
        lock = lock_of(self._nonce, generation, key)
        if lock in self._keys or (generation, lock) not in set(locks):
            return False
        self._keys[lock] = (generation, bytes(key))
        while len(self._keys) > MOST_KEYS:
            del self._keys[min(self._keys, key=lambda lock: self._keys[lock][0])]
        return True

    def best(self, locks: Iterable[tuple[int, bytes]]) -> tuple[int, bytes] | None:
        """The newest that we have, of `locks` in their order."""
        have = [self._keys[lock] for _, lock in locks if lock in self._keys]
        return have[-1] if have else None

    def lacks(self, locks: list[tuple[int, bytes]]) -> bool:
        """Whether the newest of the room is not here."""
        return bool(locks) and locks[-1][1] not in self._keys

    def all(self) -> list[tuple[int, bytes]]:
        return sorted(self._keys.values())

    def of(self, generation: int) -> list[bytes]:
        return [key for one, key in self._keys.values() if one == generation]


def seal(said: News, room: bytes, author: bytes, generation: int, key: bytes, nonce: bytes) -> Boxed:
    """`nonce`: 12 bytes that were never used before."""
    box = ChaCha20Poly1305(_cipher(key)).encrypt(nonce, encode(said), room + author)
    return Boxed(generation, nonce, box)


def unseal(boxed: Boxed, room: bytes, author: bytes, keys: Iterable[bytes]) -> Said | Acted | Here:
    """Raises BadMessage: under no key of ours, not of that author, or not what is said in a room."""
    for key in keys:
        try:
            plain = ChaCha20Poly1305(_cipher(key)).decrypt(boxed.nonce, boxed.box, room + author)
        except InvalidTag:
            continue
        said = news.decode(plain)
        if isinstance(said, Boxed | Announce):
            break
        return said
    raise BadMessage("news that no key of ours opens")


def _cipher(key: bytes) -> bytes:
    return hashlib.sha256(b"servent/room news/1\0" + key).digest()
