"""What rooms say stands in the protocol's document with its fields, and the limits there are the real ones."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from servent.talk import (
    acts,
    catchup,
    listing,
    log,
    records,
    room,
    rooms_service,
    rooms_sync_service,
    rooms_wire,
    runs,
)

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
ROOMS = TEXT[TEXT.index("### 9.14 ") :]
SAID = (
    records.Said, records.Acted, records.Here, records.Boxed, records.Announce, catchup.Ask, catchup.Reply,
    rooms_wire.AskKeys, rooms_wire.Keys, rooms_wire.AskRooms, rooms_wire.RoomsAre, rooms_wire.Sorry,
)  # fmt: skip


@pytest.mark.parametrize("struct", SAID, ids=lambda one: one.__name__)
def test_every_message_has_one_row_that_names_its_fields(struct: type[msgspec.Struct]) -> None:
    (row,) = [
        line for line in ROOMS.splitlines() if line.split("|")[2:3] == [f" `{struct.__struct_config__.tag}` "]
    ]
    for field in struct.__struct_fields__:
        assert f"`{field}`" in row, f"{struct.__name__} does not tell of {field}"


@pytest.mark.parametrize(
    "struct", [records.Founding, records.Message, records.Act], ids=lambda one: one.__name__
)
def test_so_has_every_record(struct: type[msgspec.Struct]) -> None:
    (row,) = [line for line in ROOMS.splitlines() if line.startswith(f"| `{struct.__name__}`")]
    for field in struct.__struct_fields__:
        assert f"`{field}`" in row, f"{struct.__name__} does not tell of {field}"


def test_the_documented_limits_are_the_real_ones() -> None:
    for words in (
        f"| `Message`, ≤ {records.MESSAGE_BYTES:,} bytes",
        f"| `Act`, ≤ {records.ACT_BYTES:,} bytes",
        f"name ≤ {records.NAME_CHARACTERS} letters, topic ≤ {records.TOPIC_CHARACTERS}, `slow` ≤ {records.SLOWEST:,} s",
        f"Text and links have {records.TEXT_BYTES:,} bytes together",
        f"| {room.RATE:.0f}/s, {room.BURST:.0f} at once; receivers {room.RATE * room.LENIENT}/s, {room.BURST * room.LENIENT:.0f} at once; {log.PER_MINUTE} with",
        f"| {records.CLOCK_AHEAD // 1000} s | refused |",
        f"| {room.LATE // 60_000} min |",
        f"| {log.KEPT:,}, {log.KEPT_FOR // 86_400_000} days;",
        f"| {acts.MOST_ACTS:,}; {acts.OF_OFFICE:,}; {acts.OF_MEMBER} |",
        f"| {rooms_service.MOST_ROOMS}; {rooms_service.MOST_INVITATIONS} |",
        f"| {listing.MOST_ROOMS}, for {listing.LASTS / 3600:.0f} h;",
        f"≤ {2 * listing.MOST_TOLD} `talk-room`",
        f"{rooms_sync_service.ASKS[0]:.0f}/s, {rooms_sync_service.ASKS[1]:.0f} at once; {rooms_sync_service.BYTES[0] / 1000:.0f} kB/s, {rooms_sync_service.BYTES[1] / 1e6:.0f} MB at once",
        f"up to {catchup.ROUNDS} of them on a stream, frames up to {catchup.FRAME_BYTES >> 10} KiB",
        f"never beyond {runs.PLAIN_BYTES >> 10} KiB",
        f"in {catchup.BOUNDARY} messages of a chain",
        f"`keys`; ≤ {records.INVITE_BYTES:,} bytes",
    ):
        assert words in ROOMS, words
