"""The datagrams that measure one-way delays, on the channel `servent.delay/1`. Pure.

    ask     00  number (4 bytes)  sent (8 bytes)
    answer  01  number (4 bytes)  sent (8 bytes)  received (8 bytes)

All big-endian; `sent` is the asker's clock, `received` the answerer's, both in microseconds from any fixed point:
only differences are compared (as in RFC 6817 and BEP 29). Whoever is asked answers at once, at most `MOST_ANSWERS`
a second for each peer. Datagrams, since a lost one is not to be sent again late.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

SERVICE = "servent.delay/1"
MOST_ANSWERS = 50.0  # per second and peer
_ASK = struct.Struct(">BIQ")
_ANSWER = struct.Struct(">BIQQ")
_CLOCK_MOST = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Ask:
    number: int
    sent_us: int


@dataclass(frozen=True, slots=True)
class Answer:
    number: int
    sent_us: int
    received_us: int


def ask(number: int, sent_us: int) -> bytes:
    return _ASK.pack(0, number & 0xFFFFFFFF, sent_us & _CLOCK_MOST)


def answer(to: Ask, received_us: int) -> bytes:
    return _ANSWER.pack(1, to.number, to.sent_us, received_us & _CLOCK_MOST)


def parse(data: bytes) -> Ask | Answer | None:
    """None for anything else: a datagram from outside is never an error."""
    if len(data) == _ASK.size and data[0] == 0:
        _, number, sent = _ASK.unpack(data)
        return Ask(number, sent)
    if len(data) == _ANSWER.size and data[0] == 1:
        _, number, sent, received = _ANSWER.unpack(data)
        return Answer(number, sent, received)
    return None
