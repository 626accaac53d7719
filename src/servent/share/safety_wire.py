"""Every message of the service `servent.reports/1`: one report, one answer. Pure."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder, Hash, Key
from servent.share.safety import Reason

SERVICE = "servent.reports/1"
MOST_BYTES = 4096

Note = Annotated[str, Meta(max_length=500)]


class Report(Struct, frozen=True, tag="report"):
    """To the founder of a network that both share with `peer`: a member holds what is bad. Answered by `Heard`."""

    peer: Key
    reason: Reason
    content: Hash | None = None
    name: Annotated[str, Meta(max_length=255)] = ""
    note: Note = ""


class Heard(Struct, frozen=True, tag="heard"):
    """Whether the report is kept for the person there. False: not an admin here, or too many."""

    kept: bool


read_report: Decoder[Report] = Decoder(Report, MOST_BYTES)
read_heard: Decoder[Heard] = Decoder(Heard, MOST_BYTES)
