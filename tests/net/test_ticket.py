"""Tickets: short, forgiving to people, unforgiving to anything bent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.codec import canonical
from servent.errors import UsageError
from servent.identity import Z32, Identity, z32_encode
from servent.net import ticket as t
from servent.net.links import PeerAddress
from tests.trust.people import T0, Person, seed

ANN = Identity(seed("ann")).peer
RELAY = "https://relay.example.net:8443/"
ADDRESSES = ("192.0.2.1:4433", "192.168.1.17:4433", "10.0.0.3:4433", "[2001:db8::1]:4433")
CONTACT = t.Ticket(PeerAddress(ANN, RELAY, ADDRESSES), "ann", seed("secret"))
TEXT = t.encode(CONTACT)


def invitation_ticket(name: str = "home", addresses: tuple[str, ...] = ADDRESSES) -> t.Ticket:
    ann = Person("ann")
    ann.founds(name)
    return t.Ticket(PeerAddress(ANN, RELAY, addresses), "ann", seed("secret"), ann.invites(name, uses=10_000))


def test_a_contact_ticket_comes_back_and_is_short() -> None:
    assert t.decode(TEXT) == CONTACT
    assert len(TEXT) <= 300 and TEXT.startswith("servent:") and "\n" not in TEXT


def test_an_invitation_comes_back_with_its_signatures() -> None:
    ticket = invitation_ticket()
    text = t.encode(ticket)
    assert t.decode(text) == ticket and len(text) <= 700


def test_an_invitation_to_an_open_network_comes_back() -> None:
    ann = Person("ann")
    ann.founds("plaza", open=True)
    ticket = t.Ticket(PeerAddress(ANN), None, None, ann.invites("plaza"))
    assert t.decode(t.encode(ticket)) == ticket


@pytest.mark.parametrize("count", [0, 1, 5])
def test_the_servers_of_a_network_come_back_with_its_invitation(count: int) -> None:
    ann = Person("ann")
    ann.founds("index")
    keepers = [Person(f"server {number}") for number in range(count)]
    for keeper in keepers:
        keeper.joins(ann.invites("index"))
        assert ann.judges(keeper).known
    servers = [keeper.id for keeper in keepers]
    ann.book.homes.change_settings("index", T0 + 1, mode="server", servers=servers)
    ticket = t.Ticket(PeerAddress(ANN, RELAY, ADDRESSES), "ann", None, ann.invites("index"))
    assert t.decode(t.encode(ticket)) == ticket
    forwarded = t.Ticket(PeerAddress(servers[0] if servers else ANN), None, None, ticket.invitation)
    assert t.decode(t.encode(forwarded)) == forwarded


def test_the_least_ticket_is_a_key() -> None:
    ticket = t.Ticket(PeerAddress(ANN))
    assert t.decode(t.encode(ticket)) == ticket and len(t.encode(ticket)) <= 90


def test_addresses_that_do_not_fit_are_left_out_never_the_rest() -> None:
    many = tuple(f"[2001:db8::{i:x}]:443" for i in range(1, 40))
    ticket = invitation_ticket("n" * 64, many)
    text = t.encode(ticket)
    back = t.decode(text)
    assert len(text) <= t.MAX_TICKET and back.invitation == ticket.invitation
    assert (
        1 <= len(back.address.addresses) <= 16
        and back.address.addresses == many[: len(back.address.addresses)]
    )


@pytest.mark.parametrize(
    "pasted",
    [
        t.qr_text(TEXT),
        f"  {TEXT}\n",
        f"<{TEXT}>",
        f'"{TEXT}".',
        "\n> ".join([TEXT[:70], TEXT[70:]]).replace("> ", ""),
        TEXT[:100] + "\u200b\r\n  " + TEXT[100:],
        TEXT.replace("servent:", "servent://"),
        "Servent:" + TEXT[8:],
        "servent%3A" + TEXT[8:],
    ],
)
def test_what_people_and_mail_programs_do_to_it_does_not_matter(pasted: str) -> None:
    assert t.decode(pasted.rstrip(".")) == CONTACT


def test_upper_case_is_made_for_qr_codes() -> None:
    assert set(t.qr_text(TEXT)) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no ticket"),
        ("hello", "no ticket"),
        ("https://example.com", "no ticket"),
        ("magnet:?xt=urn:btmh:1220", "no ticket"),
        ("servent:", "cut off"),
        ("servent:y", "cut off"),
        (TEXT[:-1], "cut off"),
        (TEXT[: len(TEXT) // 2], "cut off"),
        (TEXT + "yyyyyyyy", "cut off"),
        (TEXT[:50] + "2" + TEXT[51:], "has no '2'"),
        ("servent:" + "y" * 1100, "too long"),
        ("servent:" + "y" * 1_000_000, "too long"),
    ],
)
def test_a_wrong_text_is_told_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        t.decode(text)
    assert caught.value.advice and len(str(caught.value)) < 200


@given(st.integers(8, len(TEXT) - 1), st.sampled_from(Z32))
def test_a_mistyped_letter_is_noticed(at: int, letter: str) -> None:
    bent = TEXT[:at] + letter + TEXT[at + 1 :]
    if bent != TEXT:
        with pytest.raises(UsageError, match="cut off or mistyped"):
            t.decode(bent)


def raw_ticket(body: bytes, version: int = 1) -> str:
    raw = bytes((version,)) + body
    return "servent:" + z32_encode(raw + t._check(raw))


def test_a_newer_version_says_to_update() -> None:
    with pytest.raises(UsageError, match="version 2") as caught:
        t.decode(raw_ticket(b"whatever", 2))
    assert "Update" in caught.value.advice


@given(st.binary(max_size=500))
def test_a_ticket_of_noise_with_a_right_checksum_is_refused(body: bytes) -> None:
    with pytest.raises(UsageError):
        t.decode(raw_ticket(body))


@pytest.mark.parametrize(
    ("packed", "four"),
    [
        (b"123456", 2),
        (b"12345", 1),
        (b"1234567", 1),
        (bytes(6), 1),
        (b"\xe0\0\0\1\1\1", 1),
        (b"\x7f\0\0\1\0\0", 1),
        (b"123456" * 17, 16),
        (bytes(18), 0),
        (b"123456" * 6, 0),
    ],
)
def test_impossible_addresses_are_refused(packed: bytes, four: int) -> None:
    if (packed, four) == (b"123456" * 6, 0):
        return  # two IPv6 addresses, as good as any
    with pytest.raises(UsageError):
        t.decode(raw_ticket(canonical([bytes(ANN), packed, four])))


@pytest.mark.parametrize(
    "relay",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "https://u:p@host/",
        "https://h\x1b[2J/",
        "https://h:0/",
    ],
)
def test_a_relay_that_is_none_is_refused_on_both_sides(relay: str) -> None:
    with pytest.raises(UsageError):
        t.decode(raw_ticket(canonical([bytes(ANN), b"", 0, relay])))
    with pytest.raises(UsageError):
        t.encode(t.Ticket(PeerAddress(ANN, relay)))


def test_a_forged_invitation_is_refused_while_reading() -> None:
    ticket = invitation_ticket()
    assert ticket.invitation is not None
    import msgspec

    settings = msgspec.structs.replace(ticket.invitation.settings, name="bank")
    forged = msgspec.structs.replace(ticket.invitation, settings=settings)
    text = t.encode(t.Ticket(ticket.address, None, None, forged))
    with pytest.raises(UsageError, match="not genuine"):
        t.decode(text)


def test_a_hostile_name_is_shown_harmless_and_secrets_are_not_shown() -> None:
    made = t.decode(raw_ticket(canonical([bytes(ANN), b"", 0, None, "\u202eann\x1b[2J", seed("secret")])))
    assert made.name == "ann[2J"
    assert repr(seed("secret"))[2:12] not in repr(made)


@pytest.mark.parametrize("address", ["nonsense", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:99999", "host.example:443"])
def test_what_is_no_address_does_not_become_a_ticket(address: str) -> None:
    with pytest.raises(UsageError):
        t.encode(t.Ticket(PeerAddress(ANN, None, (address,))))
