"""Every message is documented, with the fields and the limits it really has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from servent.net import book, channel, hello, wire
from servent.net.gate import GateSettings
from servent.net.pulse import PulseSettings
from servent.net.reach_service import NEWS_EVERY
from servent.net.redial import RedialSettings
from servent.net.router import RouterSettings
from servent.net.session import SessionSettings
from servent.net.settings import PeersSettings

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
TEXT = DOCS.partition("\n## 9. ")[0]  # services have words of their own, some by the same names
MESSAGES = [
    *get_args(wire.Control),
    wire.Hello,
    wire.Refused,
    wire.Welcome,
    wire.Enter,
    wire.Open,
    wire.Denied,
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda kind: kind.__name__)
def test_each_message_has_a_row_that_names_its_fields(message: type[msgspec.Struct]) -> None:
    tag = message.__struct_config__.tag
    rows = [line for line in TEXT.splitlines() if line.startswith(f"| `{tag}` |")]
    assert len(rows) == 1, f"{tag} is not in docs/protocol.md"
    assert message.__doc__, "and says who sends it, when, and what answers it"
    for field in message.__struct_fields__:
        assert f"`{field}`" in rows[0], f"{tag} has a field {field}"


def test_the_documented_limits_are_the_real_ones() -> None:
    peers, router, gate = PeersSettings(), RouterSettings(), GateSettings()
    session, pulse, redial = SessionSettings(), PulseSettings(), RedialSettings()

    def says(*words: str) -> None:
        for word in words:
            assert word in TEXT, word

    says(f"{gate.strangers} of strangers ({gate.strangers_per_source} from one source)")
    says(f"{gate.source_rate:.0f}/s, {gate.source_burst:.0f} at once")
    says(f"| sessions | {peers.sessions};", f"{peers.dials} of our own accord, {2 * peers.dials} in all")
    says(f"{router.streams}, and {router.share} of one service")
    says(
        f"{router.stream_rate:.0f}/s, {router.stream_burst:,.0f} at once",
        f"within {router.open_within:.0f} s",
    )
    says(f"{wire.HELLO_BYTES >> 10} KiB / {wire.CONTROL_BYTES >> 10} KiB / {wire.OPEN_BYTES} bytes")
    says(
        f"{session.control_rate:.0f}/s, {session.control_burst:.0f} at once",
        f"{session.queue_bytes >> 10} KiB",
    )
    says(f"| `members` of one peer | {peers.members_rate:.0f}/s, {peers.members_burst:.0f} at once")
    says(f"| {channel.QUEUE} / {channel.MOST_CHANNELS} |", f"Up to {channel.EARLY} datagrams")
    says(f"{book.MOST_PEERS:,} peers, {book.MOST_ADDRESSES} addresses each; {book.MOST_HEARSAY} by hearsay")
    says(f"kept {book.GOOD_FOR / 86400:.0f} days / {book.HEARSAY_FOR / 86400:.0f} days")
    says(
        f"{gate.strikes:.0f} at once, one more every {1 / gate.strike_refill:.0f} s",
        f"out for {gate.ban:.0f} s",
    )
    says(f"{hello.REFUSE_AFTER * 1000:.0f} ms after", f"within {hello.LIMIT:.0f} s")
    says(
        f"every {pulse.every:.0f} s, every {pulse.every_busy:.0f} s while",
        f"unanswered for {pulse.wait} s each",
    )
    says(f"nobody outside was heard of for {NEWS_EVERY} s", f"heard of for {NEWS_EVERY} s; of many")
    says(f"at most {pulse.longest_wait:.0f} s", f"fewer than {pulse.flow_bytes >> 10} KiB")
    says(f"{pulse.patience:.0f} s without any answer", f"fewer than {peers.keep} are connected")
    says(f"{redial.longest:.0f} s, each shortened", f"none has been open for {session.drain:.0f} s")
    says(f"given {peers.dial:.0f} s to find a path")
    assert pulse.missed == 3 and "three echoes in a row" in TEXT
    assert peers.hearsay_failures == 6 and "given up after six dials" in TEXT


def test_no_message_is_documented_that_does_not_exist() -> None:
    tags = {message.__struct_config__.tag for message in MESSAGES}
    floor = TEXT[: TEXT.index("## 7. Limits")]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", floor, re.MULTILINE)) == tags


def test_what_is_shown_of_text_from_outside_is_printable() -> None:
    assert wire.printable("a\x1b[2J\u202eb\n") == "a·[2J·b·"
    assert wire.printable("Zoë 🦊") == "Zoë 🦊"
