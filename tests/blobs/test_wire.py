"""Every message of servent.blobs/1 comes back as it was, and nothing else gets in."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs import lanes_listen, wire
from servent.codec import Decoder, encode
from servent.errors import BadMessage

H = bytes(range(32))

MESSAGES = [
    (wire.read_opening, [wire.Want(H), wire.Lane(H)]),
    (
        wire.read_from_server,
        [
            wire.Offer(True, 99),
            wire.Refuse("not available here", 20.0),
            wire.Body("layers", 64),
            wire.Missing("have"),
            wire.Has([(0, 3), (9, 1)]),
            wire.Slot(H),
            wire.Queued(2, 5, "1 before you"),
            wire.BulkToken(H),
            wire.Bye("later"),
        ],
    ),
    (
        wire.read_from_fetcher,
        [
            wire.GetInfo(),
            wire.GetLayers([H]),
            wire.GetHave(),
            wire.Interested(True),
            wire.GetToken(),
            wire.Bye(),
        ],
    ),
    (wire.read_to_lane, [wire.Ask(1, 2, 3), wire.Forget(1)]),
    (wire.read_from_lane, [wire.Give(1, 2, 3, 4), wire.Deny(1, 2, 3, "gone")]),
]


@pytest.mark.parametrize(("decoder", "messages"), MESSAGES)
def test_a_message_comes_back_as_it_was(
    decoder: Decoder[msgspec.Struct], messages: list[msgspec.Struct]
) -> None:
    for message in messages:
        assert decoder.decode(encode(message)) == message


@pytest.mark.parametrize("decoder", [decoder for decoder, _ in MESSAGES])
@given(noise=st.binary(max_size=300))
def test_noise_is_a_bad_message_and_nothing_worse(decoder: Decoder[msgspec.Struct], noise: bytes) -> None:
    try:
        decoder.decode(noise)
    except BadMessage:
        return


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (wire.read_to_lane, wire.Ask(1, -1, 1)),
        (wire.read_to_lane, wire.Ask(1, 0, 0)),
        (wire.read_to_lane, wire.Ask(1, 0, wire.MOST_ASK_PIECES + 1)),
        (wire.read_to_lane, wire.Ask(1 << 32, 0, 1)),
        (wire.read_from_lane, wire.Give(1, 0, 1, 0)),
        (wire.read_from_server, wire.Body("info", wire.MOST_LAYER_BYTES + 1)),
        (wire.read_from_server, wire.Has([(0, 1)] * (wire.MOST_RUNS + 1))),
        (wire.read_from_server, wire.Slot(b"short")),
        (wire.read_from_fetcher, wire.GetLayers([H] * (wire.MOST_ROOTS + 1))),
        (wire.read_from_fetcher, wire.GetLayers([])),
        (wire.read_opening, wire.Want(os.urandom(31))),
    ],
)
def test_what_is_over_a_limit_does_not_decode(
    decoder: Decoder[msgspec.Struct], message: msgspec.Struct
) -> None:
    with pytest.raises(BadMessage):
        decoder.decode(encode(message))


def test_every_message_has_a_row_in_the_document_that_names_its_fields() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
    text = text[text.index("### 9.1 `servent.blobs/1`") : text.index("### 9.2 ")]
    for kind in {type(message) for _, messages in MESSAGES for message in messages}:
        tag = kind.__struct_config__.tag
        rows = [line for line in text.splitlines() if f"| `{tag}` |" in line]
        assert len(rows) == 1, tag
        for name in kind.__struct_fields__:
            assert f"`{name}`" in rows[0], f"{tag} has a field {name}"
        assert kind.__doc__


def test_the_documented_limits_are_the_real_ones() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
    for words in (
        f"≤ {wire.MOST_RUNS} of",
        f"`count` ≤ {wire.MOST_ASK_PIECES}",
        f"1 to {wire.MOST_ROOTS} hashes",
        f"`size` ≤ {wire.MOST_LAYER_BYTES >> 20} MiB",
        f"{wire.CONTROL_BYTES >> 10} KiB on control streams, {wire.LANE_BYTES} bytes on lanes",
        f"owes at most {wire.MOST_ASKS} asks",
        f"{lanes_listen.STRANGERS_MOST} connections without a token ({lanes_listen.STRANGERS_PER_HOST} from",
        f"within {lanes_listen.TOKEN_LIFE:.0f} s",
        f"{lanes_listen.LANES_MOST} lanes",
    ):
        assert words in text, words
