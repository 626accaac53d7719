"""The door of a process: the first frames of a connection with the ALPN `servent/dask/1`. A core.

Who dialed opens a stream and says `Hello`; the other answers `Welcome` or `No`, and that stream ends. Until then nothing else is read. After
it either side opens streams, one for each of Dask's comms: `LISTENER_BYTES` that say to which listener, then Dask's own messages, each as 8
bytes with the length of its first part (little-endian), that part, and the buffers whose lengths it names. A comm may have a TCP connection with TLS
in place of a stream (see `Lane`): the secret, `LISTENER_BYTES`, and the same messages.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.cluster.model import SignedPass
from servent.cluster.versions import Versions
from servent.codec import Decoder, Hash, Key

HELLO_BYTES = 8 * 1024  # of a frame at the door
LISTENER_BYTES = 2  # big-endian
SECRET_BYTES = 32
_Said = Annotated[str, Meta(max_length=500)]


class Lane(Struct, frozen=True, array_like=True):
    """TCP connections are taken at `port`, with a certificate whose SHA-256 is `certificate`, of whoever says `secret` (32 random
    bytes for the one who reads this) and a listener first."""

    port: Annotated[int, Meta(ge=1, le=65535)]
    certificate: Hash
    secret: Key


class Hello(Struct, frozen=True, tag="hello"):
    """Who dials, and what it runs. Answered by `Welcome` or `No`."""

    shown: SignedPass
    versions: Versions
    lane: Lane | None = None


class Welcome(Struct, frozen=True, tag="welcome"):
    """Who was dialed: the dialer looks at it as strictly."""

    shown: SignedPass
    versions: Versions
    lane: Lane | None = None


class No(Struct, frozen=True, tag="no"):
    """Not let in. `reason`, `advice`: for the person there; a stranger is told nothing but that."""

    reason: _Said
    advice: _Said = ""


HELLOS: Decoder[Hello] = Decoder(Hello, HELLO_BYTES)
ANSWERS: Decoder[Welcome | No] = Decoder(Welcome | No, HELLO_BYTES)
