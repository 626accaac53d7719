"""Every message of the overlay, and of possession, stands in the protocol's document with its fields; limits are the real ones."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from servent.overlay import (
    answering,
    dialback,
    directory,
    housing,
    keying,
    links_service,
    publishers,
    question,
    records,
    storing,
    terms,
    view,
    watches,
    watching,
    whereabouts,
    wire,
)
from servent.overlay.settings import OverlaySettings
from servent.share import possession, possession_service
from servent.trust import networks

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
OVERLAY = TEXT[TEXT.index("### 9.11 ") : TEXT.index("### 9.12 ")]
POSSESSION = TEXT[TEXT.index("### 9.12 ") :]
INSIDE = {wire.Envelope, wire.Posting, wire.Stored, wire.FoundItem}  # arrays within messages


def structs_of(module: ModuleType) -> list[type[msgspec.Struct]]:
    return [
        one
        for one in vars(module).values()
        if isinstance(one, type)
        and issubclass(one, msgspec.Struct)
        and one.__module__ == module.__name__
        and one not in INSIDE
    ]


@pytest.mark.parametrize("struct", structs_of(wire), ids=lambda one: one.__name__)
def test_every_message_has_one_row_that_names_its_fields(struct: type[msgspec.Struct]) -> None:
    told(struct, OVERLAY)


@pytest.mark.parametrize("struct", structs_of(possession), ids=lambda one: one.__name__)
def test_so_have_those_of_possession(struct: type[msgspec.Struct]) -> None:
    told(struct, POSSESSION)


def told(struct: type[msgspec.Struct], section: str) -> None:
    tag = struct.__struct_config__.tag
    rows = [line for line in section.splitlines() if re.match(rf"\| [^|]* \| `{tag}` \|", line)]
    assert len(rows) == 1, f"`{tag}` has {len(rows)} rows"
    assert struct.__doc__
    for field in struct.__struct_fields__:
        assert f"`{field}`" in rows[0], f"`{tag}` does not tell of `{field}`"


@pytest.mark.parametrize("struct", structs_of(records), ids=lambda one: one.__name__)
def test_every_record_has_a_row_that_names_its_fields(struct: type[msgspec.Struct]) -> None:
    (row,) = [line for line in OVERLAY.splitlines() if line.startswith(f"| `{struct.__name__}`")]
    for field in struct.__struct_fields__:
        assert f"`{field}`" in row, f"`{struct.__name__}` does not tell of `{field}`"


@pytest.mark.parametrize(
    "struct", [networks.Settings, networks.Admission, networks.Revocation], ids=lambda one: one.__name__
)
def test_so_have_the_signed_records_of_a_network(struct: type[msgspec.Struct]) -> None:
    (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{struct.__name__}` |")]
    for field in struct.__struct_fields__:
        assert f"`{field}`" in row, f"`{struct.__name__}` does not tell of `{field}`"


def test_the_documented_limits_are_the_real_ones() -> None:
    settings, link = OverlaySettings(), links_service.LinkSettings()
    near, home, search = settings.view, settings.home, settings.search
    for words in (
        f"({wire.LANE_BYTES} bytes)",
        f"up to {wire.FRAME_BYTES >> 10} KiB",
        f"ends after {link.idle:.0f} s without a message",
        f"within {link.grace} s to be in is a fault",
        f"{link.rate:.0f} messages/s, {link.burst:,.0f} at once; {link.bytes_rate / 1e6:.0f} MB/s",
        f"{link.waiting} on `now`, {link.waiting_bulk:,} on `bulk`, {link.bytes >> 20} MiB; {link.gossip} of news",
        f"{records.PEER_BYTES} bytes | `key`",
        f"≤ {records.ITEMS_IN_BATCH}: of each item",
        f"{near.active} neighbours (a supernode {near.active_super}) and {near.passive} ({near.passive_super})",
        f"{view.JOINS:.0f}, {10 * view.JOINS:.0f}; {view.WALKS:,.0f}, {view.SHUFFLES:.0f} a minute",
        f"| {near.told_per_minute} a minute |",
        f"up to {2 * settings.directory.complete:,}; a leaf {settings.directory.leaf}",
        f"| {settings.election.room} | `attached` with others |",
        f"{home.items:,}; {home.items_server:,} in the mode `server`; {housing.CHANGES} times as many",
        f"{storing.RATE:.0f} items/s, {storing.BURST:,.0f} at once",
        f"{home.per_key:,} items; {home.per_publisher_key} |",
        f"{search.rate:.0f}/s, {search.burst:.0f} at once, {answering.PER_PEER} under way;",
        f"a probe counts {search.probe_cost:.0f}, a proof {answering.PROOF_COST}",
        f"{whereabouts.RATE:.0f}/s, {whereabouts.BURST:.0f} at once",
        f"{search.watches_per_peer} of a leaf, {watching.OF_SUPERNODE:,} of a supernode, {search.watches:,} in all",
        f"without a keyed word {watches.UNKEYED_PER_PEER} and {watches.UNKEYED}",
        f"forged {publishers.FORGED:.0f}, false key {publishers.FALSE_KEY:.0f}, not proven {publishers.UNPROVEN:.0f}",
        f"too much {publishers.GREEDY:.0f}",
        f"every {dialback.PER_PEER:.0f} s; every {dialback.PER_BLOCK:.0f} s",
        f"{terms.SHORTEST} to {terms.LONGEST} letters",
        ", ".join(map(str, search.batches[:-1])) + f", then {search.batches[-1]} supernodes",
        f"the whole {search.total:.0f} s, {search.total_large:.0f} s above",
        f"{publishers.CHECKS:.0f} a minute at most",
        f"| {housing.ATTACHES[0]}/s, {housing.ATTACHES[1]:.0f} at once |",
        f"| {directory.TOLD_OF[0]:.0f}/s, {directory.TOLD_OF[1]:,.0f} at once | fault |",
        f"{storing.BATCHES:,}, {storing.BATCHES_OF_ONE} of one publisher; {home.peers:,}",
        f"{keying.WANTS_OF_ONE[0]:.0f} batches/s, {keying.WANTS_OF_ONE[1]:.0f} at once; {keying.WANTS:.0f}/s of all",
        f"{watching.WATCHES[0]:.0f}/s, {watching.WATCHES[1]:.0f} at once; of a supernode by key",
        f"{watching.OF_SUPERNODES[0]:.0f}/s, {watching.OF_SUPERNODES[1]:,.0f}",
        f"needed probes | {answering.PROBING[0]}/s, {answering.PROBING[1]:.0f} at once |",
        f"A supernode {answering.OF_SUPERNODES:.0f} times as many",
        f"up to {answering.LEAVES:,} of them",
        f"{question.MOST_FRAMES} frames, {question.MOST_RECORDS} records",
        f"{possession_service.RATE:.0f} question a second of one peer, {possession_service.BURST:.0f} at once",
    ):
        assert words in OVERLAY + POSSESSION, words


def test_after_which_messages_an_answer_is_waited_for() -> None:
    tags = [f"`{one.__struct_config__.tag}`" for one in links_service.AWAITED]
    assert f"waited for after {', '.join(tags[:-1])} and {tags[-1]}:" in TEXT
