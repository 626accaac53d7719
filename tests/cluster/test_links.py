"""Links of clusters, and what comes from nodes and processes: strict, and nothing but our own errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.cluster import addresses, links, orders, visits
from servent.cluster.journal import MOST_BYTES, Journal
from servent.cluster.links import ClusterLink
from servent.errors import BadMessage, UsageError
from servent.identity import Identity
from servent.net.links import PeerAddress

ANN = Identity(b"a" * 32).peer


def test_a_link_comes_back_as_it_was_however_it_was_pasted() -> None:
    link = ClusterLink(
        b"c" * 16, "lab", PeerAddress(ANN, "https://relay.example/", ("192.0.2.1:4433", "[2001:db8::1]:4433"))
    )
    text = links.encode(link)
    assert links.is_link(text) and len(text) <= links.MAX_LINK
    assert links.decode(text) == link
    broken = f"  {text[:40]}\n {text[40:].upper()} \n"
    assert links.decode(broken) == link


def test_a_slip_of_the_pen_is_found() -> None:
    text = links.encode(ClusterLink(b"c" * 16, "lab", PeerAddress(ANN)))
    for wrong in (
        text[:-1],
        text[:30] + ("y" if text[30] != "y" else "b") + text[31:],
        "servent-cluster:",
        "servent-project:yyy",
        text * 9,
    ):
        with pytest.raises(UsageError):
            links.decode(wrong)


def test_addresses_that_do_not_fit_are_left_out() -> None:
    many = PeerAddress(
        ANN,
        "https://" + "r" * 200 + ".example/",
        tuple(f"[2001:db8::{number:x}]:4433" for number in range(16)),
    )
    found = links.decode(links.encode(ClusterLink(b"c" * 16, "lab", many)))
    assert found.owner.peer == ANN and found.owner.relay == many.relay


@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    for given_text in (text, links.SCHEME + text):
        try:
            links.decode(given_text)
        except UsageError:
            continue


@given(st.binary(max_size=400))
def test_what_members_owners_and_processes_say_decodes_or_is_refused(body: bytes) -> None:
    for decoder in (visits.read_said, visits.read_told, orders.read_word, orders.read_order):
        try:
            decoder.decode(body)
        except BadMessage:
            continue


def test_a_journal_keeps_the_end_and_cannot_fill_the_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "logs" / "worker-1.log")
    assert journal.tail(10) == []
    for number in range(30):
        journal.add(b"x" * 99_999 + b"\n")
        journal.add(f"line {number}\n".encode())
    assert journal.tail(1) == ["line 29"]
    assert [line for line in journal.tail(8) if line.startswith("line")] == [
        "line 26",
        "line 27",
        "line 28",
        "line 29",
    ]
    assert sum(path.stat().st_size for path in journal.path.parent.iterdir()) < 2.2 * MOST_BYTES


@given(st.text(max_size=200))
def test_what_others_call_their_cluster_is_one_word_here(name: str) -> None:
    """It stands in `Client("servent://…")`, which people copy."""
    word = links.one_word(name)
    assert addresses.parse(f"servent://{word}") == word and not word.startswith("-")
    assert not set(word) & set("\"'`\\$(){}[]<>|&;#!*? /@,:~=%^\x1b\n")


def test_names_that_are_words_stay() -> None:
    assert [links.one_word(name) for name in ("lab", "labor-Süd", "gpu_2.0", "-rf", "", "…")] == [
        "lab", "labor-Süd", "gpu_2.0", "rf", "cluster", "cluster",
    ]  # fmt: skip
    assert links.one_word('x");import os;os.system("sh') == "x-import-os-os.system-sh"
