"""The ways in which peers find each other, as the API and the doctor tell of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from servent import config as configuration
from servent.api import pinging
from servent.api.adapter import NodeFace, configure
from servent.api.daemon_options import Options
from servent.api.ways import TELLS, no_dht, ways_of
from servent.errors import Refused, Unreachable
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet
from servent.torrent.views import Proxy, SessionSettings
from tests.net.board import Board
from tests.net.party import identity, until


def test_somebody_of_whom_nothing_but_the_key_is_known_is_found_and_reached(tmp_path: Path) -> None:
    async def main() -> None:
        board = Board()
        async with nodes(2, tmp_path, SimNet(1, latency=0.02)) as (ann, bob):
            faces = []
            for node in (ann, bob):
                node.serve(pinging.SERVICE, pinging.answer, audience="everyone")
                node.rendezvous.add_provider(board.provider("dht"))
                faces.append(NodeFace(node))
            await asyncio.sleep(5.0)
            face, other = faces
            nobody = await face.where(str(identity(9).peer))
            assert (nobody.known, nobody.by) == (False, "")
            found = await face.where(str(bob.peer))
            assert (found.known, found.by, found.connected) == (True, "key", False)
            assert found.addresses == list(bob.endpoint.address().addresses)
            assert found.updated is not None and found.updated > 1_600_000_000

            with pytest.raises(Refused):  # found, and not known there
                await face.ping(str(bob.peer), 1)
            for one, whom in ((ann, bob), (bob, ann)):
                await one.trust.add_contact(whom.peer)
            assert (await other.ping(str(ann.peer), 1)).rtts_ms
            with pytest.raises(Unreachable):
                await face.ping(str(identity(9).peer), 1)

    run(main())


def test_the_doctor_has_all_ways_with_what_they_tell_whom(tmp_path: Path) -> None:
    async def main() -> None:
        board = Board()
        async with nodes(1, tmp_path, SimNet(1)) as (ann,):
            ways = {way.name: way for way in (await NodeFace(ann).doctor()).ways}
            assert set(ways) == set(TELLS) and next(iter(ways)) == "book" and list(ways)[-1] == "dht"
            assert all(way.detail and way.tells and way.title for way in ways.values())
            assert not ways["dht"].on and ways["relays"].on and not ways["servers"].on and not ways["lan"].on
            assert ways["relays"].published is None

            ann.rendezvous.add_provider(board.provider("dht"))
            await asyncio.sleep(5.0)
            await ann.rendezvous.locate(identity(9).peer)
            [dht] = [way for way in ways_of(ann) if way.name == "dht"]
            assert dht.on and dht.published is not None and dht.found is None
            assert "in 1 place since" in dht.detail and "0 of 1 look-ups" in dht.detail
            assert "addresses and relay are told" in dht.detail and 'rendezvous.dht = "off"' in dht.off

    run(main())


@pytest.mark.real
def test_the_doctor_names_who_is_not_here_by_the_name_that_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path) as (ann, bob):
            await gather_in_network([ann, bob])
            them = bob.peer
            await until(lambda: ann.talk.person(them).name == "node 1", 10)
            await ann.trust.set_friend(them, True)
        async with nodes(1, tmp_path) as (ann,):
            (view,) = [one for one in ann.peers.view() if one.id == them]
            failed = replace(view, reason=f"not connected: no path to {them.short} in 4 s; next try in 3 s")
            monkeypatch.setattr(ann.peers, "view", lambda: [failed])
            (seen,) = (await NodeFace(ann).doctor()).peers
            assert seen.name == "node 1"
            assert seen.why == "not connected: no path to node 1 in 4 s; next try in 3 s"

    asyncio.run(main())


def test_the_dht_is_wanted_where_the_public_relays_are_and_said_so_on_the_command_line(
    tmp_path: Path,
) -> None:
    def wanted(**options: object) -> bool:
        return configuration.uses_dht(configure(Options(data_dir=tmp_path, **options)))  # type: ignore[arg-type]

    assert wanted() and not wanted(relays=[]) and not wanted(relays=["https://relay.example"])
    assert not wanted(dht=False) and wanted(dht=True, relays=[])
    (tmp_path / "config.toml").write_text('[rendezvous]\ndht = "off"\n')
    assert not wanted() and wanted(dht=True)


def test_why_the_dht_is_off_names_the_setting_that_has_it_so(tmp_path: Path) -> None:
    """The word "auto" without public relays is off, and nobody has switched anything off."""
    config, session = configuration.Config(), SessionSettings(proxy=Proxy("i2p", "127.0.0.1", 7656))
    config.rendezvous.dht = "off"
    assert no_dht(config, session) == "switched off in the settings"
    config.rendezvous.dht = "on"
    assert "the extra" in no_dht(config, SessionSettings(dht=False)) and "I2P" in no_dht(config, session)
    config.rendezvous.dht, config.net.relays = "auto", []
    assert 'rendezvous.dht = "on"' in no_dht(config, session) and "relays" in no_dht(config, session)
