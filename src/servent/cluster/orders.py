"""What a node and a process of its cluster say to each other, over the pipes of the process: frames, as on a stream. Pure.

The node says `Begin` first. The process asks for papers (`Ask`), which the node answers (`Answer`), says where it listens, and now and then what the scheduler does. When
the pipe from the node closes, the process ends: none outlives its node.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.cluster.model import ADDRESS_LENGTH, Papers, Wish
from servent.cluster.rosters import ROSTER_BYTES, Role
from servent.cluster.visits import TOLD_BYTES, Seen
from servent.codec import Decoder

ORDER_BYTES = ROSTER_BYTES + 64 * 1024
WORD_BYTES = TOLD_BYTES


class Begin(Struct, frozen=True, kw_only=True, tag="begin"):
    """What the process is to be. `folder`: for what leaves the memory. `door`: the path of the dashboard's socket, "" for none; `prefix`: what the paths of its pages begin with.
    `home`: the data directory of the node, for tasks that ask it for something.

    `memory_bytes`: of a worker, 0 for no limit. `resources`: names by which tasks can be bound to it.
    """

    cluster: str
    role: Role
    name: str
    node: bytes
    folder: str
    threads: int = 1
    memory_bytes: int = 0
    resources: list[str] = []
    door: str = ""
    prefix: str = ""
    home: str = ""


class Answer(Struct, frozen=True, tag="answer"):
    """`papers` None: not, and why."""

    number: int
    papers: Papers | None = None
    error: str = ""
    advice: str = ""


class Hold(Struct, frozen=True, tag="hold"):
    """Begin no more tasks, or begin them again."""

    on: bool


class Retire(Struct, frozen=True, tag="retire"):
    """Hand over what is kept, and end."""


class Ask(Struct, frozen=True, tag="ask"):
    number: int
    wish: Wish


class Listening(Struct, frozen=True, tag="listening"):
    address: Annotated[str, Meta(max_length=ADDRESS_LENGTH)]


class Up(Struct, frozen=True, tag="up"):
    """A worker is known to the scheduler, or the scheduler takes clients."""


class Ended(Struct, frozen=True, tag="ended"):
    """The last word, where there is a reason."""

    why: Annotated[str, Meta(max_length=500)]


Order = Begin | Answer | Hold | Retire
Word = Ask | Listening | Up | Seen | Ended

read_order: Decoder[Order] = Decoder(Order, ORDER_BYTES)
read_word: Decoder[Word] = Decoder(Word, WORD_BYTES)
