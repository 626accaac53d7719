"""Lines that lead to projects: what goes in comes out, and what is damaged says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.errors import UsageError
from servent.grid import links
from servent.identity import Z32, Identity
from servent.net import ticket
from servent.net.links import PeerAddress

ANN, BOB = Identity(b"a" * 32).peer, Identity(b"b" * 32).peer
addresses = st.lists(
    st.one_of(
        st.builds(lambda a, p: f"10.0.{a}.7:{p}", st.integers(0, 255), st.integers(1, 65535)),
        st.builds(lambda a, p: f"[fd00::{a:x}]:{p}", st.integers(1, 65535), st.integers(1, 65535)),
    ),
    max_size=16,
    unique=True,
)
coordinators = st.lists(
    st.builds(
        lambda peer, relay, found: PeerAddress(peer, relay, tuple(found)),
        st.sampled_from([ANN, BOB]),
        st.sampled_from([None, "https://relay.example/"]),
        addresses,
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=30)
@given(st.binary(min_size=32, max_size=32), st.text(max_size=64), coordinators, st.binary(max_size=512))
def test_what_goes_in_comes_out_but_for_addresses_that_do_not_fit(
    key: bytes, name: str, found: list[PeerAddress], invitation: bytes
) -> None:
    text = links.encode(links.ProjectLink(key, name, tuple(found), invitation))
    assert len(text) <= links.MAX_LINK and links.is_link(text) and not ticket.is_ticket(text)
    read = links.decode(f" {text.upper()[:40]}\n{text[40:]} ")
    assert (read.key, read.invitation) == (key, invitation)
    assert links.key_of(text) == key
    assert [one.peer for one in read.coordinators] == [one.peer for one in found[: len(read.coordinators)]]
    for one, given_ in zip(read.coordinators, found, strict=False):
        assert set(one.addresses) <= set(given_.addresses) and one.relay in (given_.relay, None)


@given(st.data())
def test_a_slip_of_the_pen_is_noticed(data: st.DataObject) -> None:
    text = links.encode(links.ProjectLink(b"k" * 32, "primes", (PeerAddress(ANN, None, ("10.0.0.1:9",)),)))
    at = data.draw(st.integers(len(links.SCHEME), len(text) - 1))
    letter = data.draw(st.sampled_from(Z32).filter(lambda one: one != text[at]))
    with pytest.raises(UsageError):
        links.decode(text[:at] + letter + text[at + 1 :])
    with pytest.raises(UsageError):
        links.decode(text[:at])


@given(st.text(max_size=3000))
def test_anything_else_is_told_so(text: str) -> None:
    for said in (text, links.SCHEME + text):
        with pytest.raises(UsageError):
            links.decode(said)


def test_a_key_is_known_by_its_letters() -> None:
    assert links.key_of(str(ANN)) == ANN and links.key_of("primes") is None


def test_links_show_no_invitation_when_they_are_logged() -> None:
    link = links.ProjectLink(b"k" * 32, "x", (PeerAddress(ANN, None, ()),), b"secret words")
    assert "secret" not in repr(link)


def test_what_is_shown_of_a_project_lets_nobody_in() -> None:
    """A token for reading shows the projects that were joined; the invitation that came with one is like a password."""
    link = links.ProjectLink(b"k" * 32, "x", (PeerAddress(ANN, None, ("10.0.0.1:9",)),), b"secret words")
    shown = links.without_invitation(links.encode(link))
    assert links.decode(shown) == replace(link, invitation=b"")
    assert links.without_invitation(shown) == shown and links.without_invitation("") == ""
    assert links.without_invitation(links.encode(link)[:-9]) == ""


def test_a_link_needs_somebody_to_ask() -> None:
    with pytest.raises(UsageError):
        links.encode(links.ProjectLink(b"k" * 32, "x", ()))
