"""A friend whose address changes is found again by the key alone: by the DHT, or by the records that a relay keeps."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec

import pytest

from tests.natlab import dht, records
from tests.natlab.abreast import wanted
from tests.natlab.dht import Outcome
from tests.natlab.lab import PUB4, missing

WHY_NOT = missing()
WAYS = {"dht": dht.play, "records": records.play}
Plays = dict[str, "Future[Outcome]"]
pytestmark = [
    pytest.mark.natlab,
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]


@pytest.fixture(scope="module")
def plays(request: pytest.FixtureRequest) -> Iterator[Plays]:
    """Both at once, each in a lab of its own: nearly all of it is waiting."""
    with ThreadPoolExecutor() as pool:
        yield {
            str(way): pool.submit(WAYS[str(way)])
            for way in wanted(request, "way")
            if way != "dht" or find_spec("libtorrent") is not None
        }


@pytest.mark.parametrize("way", WAYS)
def test_a_friend_who_moved_is_found_again(way: str, plays: Plays) -> None:
    if way == "dht":
        pytest.importorskip("libtorrent")
    outcome = plays[way].result()
    assert outcome.met is not None, f"they never met\n{outcome.logs}"
    assert len(outcome.took) == 2 and None not in outcome.took, outcome.logs
    moved, restarted = outcome.took
    print(
        f"met after {outcome.met:.2f} s, found again after {moved:.2f} s, and {restarted:.2f} s after a restart elsewhere"
    )
    where = [address.rpartition(":")[0] for address in outcome.stored]
    assert f"{PUB4}.20" in where, "other programs would not dial the friend where it is"
