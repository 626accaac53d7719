"""The messages of `servent.feeds/1`: who follows which feed, and the newest of each.

One stream for each pair and direction, open as long as the follower follows anything. Any peer who knows a record
passes it on to who asks for that feed, so a publisher need not be there.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder
from servent.share.feed_record import MOST_RECORD, MOST_SEQUENCE

SERVICE = "servent.feeds/1"
MOST_FEEDS = 256  # that one peer asks another about
FRAME_BYTES = 64 * 1024

Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Wanted(Struct, frozen=True, array_like=True):
    """A feed, and the newest sequence number known of it, 0 for none."""

    publisher: Key
    name: Name
    known: Annotated[int, Meta(ge=0, le=MOST_SEQUENCE)]


class Follow(Struct, frozen=True, tag="follow"):
    """Follower, first and whenever its list changes: these are all it follows. Answered by `Newest` for each newer
    version known, now and as they come.
    """

    feeds: Annotated[list[Wanted], Meta(max_length=MOST_FEEDS)]


class Newest(Struct, frozen=True, tag="newest"):
    """The other side: a newer version, as its publisher signed it (`feed_record`). Not answered."""

    record: Annotated[bytes, Meta(min_length=100, max_length=MOST_RECORD)]


read_follow: Decoder[Follow] = Decoder(Follow, FRAME_BYTES)
read_newest: Decoder[Newest] = Decoder(Newest, 2048)
