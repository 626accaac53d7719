"""Commands about networks, roles and who has what, against a real daemon around a node in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from servent.api.schema_network import Network
from servent.cli.main import run
from servent.cli.networks import role_of, standing
from tests.api.fake import ANN, LINK, ME
from tests.api.running import fake_daemon


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Servent = Callable[..., Ran]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir, "--networks"):
        yield data_dir


@pytest.fixture
def servent(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Servent:
    monkeypatch.delenv("SERVENT_DATA_DIR", raising=False)

    def go(*words: str) -> Ran:
        capsys.readouterr()
        code = run(["--data-dir", str(folder), *words])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return go


def test_networks_are_listed_with_their_mode_and_the_role_here(servent: Servent) -> None:
    rows = {row.split("\t")[0]: row.split("\t") for row in servent("network", "ls").out.splitlines()}
    assert rows["home"][1:4] == ["hybrid", "admin", "leaf"]
    assert rows["attic"][1:4] == ["server", "member", "leaf"]
    assert rows["swarm"][1:4] == ["p2p", "member", "supernode"]


def test_who_was_removed_is_told_so_and_how_to_forget_the_network() -> None:
    gone = Network(
        id="ab" * 16, name="old club", removed=True, why="you were removed from this network by its founder"
    )
    assert role_of(gone) == "-"
    assert standing(gone) == (
        "You were removed from this network by its founder. `servent network leave 'old club'` forgets it."
    )


def test_a_network_is_made_in_a_mode_and_hybrid_where_none_is_said(servent: Servent) -> None:
    made = servent("network", "new", "archive", "--mode", "server", "--json").data
    assert (made["mode"], made["servers"], made["index"]) == ("server", [str(ME)], True)
    assert servent("network", "new", "plain", "--json").data["mode"] == "hybrid"
    assert servent("network", "new", "odd", "--mode", "anarchy").code == 2
    for name in ("archive", "plain"):
        assert servent("network", "leave", name).code == 0


def test_the_mode_is_shown_with_what_it_means_and_why_this_node_is_what_it_is(servent: Servent) -> None:
    shown = servent("network", "mode", "attic").out
    assert "attic is server: named peers keep the index" in shown
    assert "servers: ann" in shown
    assert "This node is a leaf. Its founder named ann as its server" in shown


def test_only_the_founder_switches_the_mode_and_servers_go_with_server_alone(servent: Servent) -> None:
    now = servent("network", "mode", "home", "server", "--server", "ann", "--server", "me", "--json").data
    assert (now["mode"], now["servers"], now["index"]) == ("server", [str(ANN), str(ME)], True)
    assert "servers: ann, this node" in servent("network", "mode", "home").out
    assert servent("network", "mode", "home", "hybrid", "--json").data["mode"] == "hybrid"
    refused = servent("network", "mode", "attic", "p2p")
    assert refused.code == 2 and "not the admin" in refused.err
    assert servent("network", "mode", "home", "p2p", "--server", "ann").code == 2
    assert servent("network", "mode", "home", "--server", "ann").code == 2
    assert servent("network", "mode", "home", "server", "--server", "nobody").code == 4
    assert servent("network", "mode", "nowhere").code == 4


def test_a_network_is_shown_with_who_is_linked_how(servent: Servent) -> None:
    shown = servent("network", "show", "home")
    rows = [line.split("\t") for line in shown.out.splitlines() if "\t" in line]
    assert {row[0] for row in rows} == {"home", "neighbour"}  # supernodes that are only known are not listed
    assert ["home", "ann", "supernode"] in [row[:3] for row in rows]
    assert "This node is a leaf." in shown.out and "Searches: asks 2 homes" in shown.out
    assert "1 more supernode is known; --all lists them" in shown.err
    every = servent("network", "show", "home", "--all").out
    assert any(line.startswith("supernode\t") for line in every.splitlines())
    assert next(row for row in rows if row[1] == "ann")[5] == "3 of 512"
    swarm = servent("network", "show", "swarm").out  # none has told of leaves yet, which are told late
    assert "up to 512" in swarm and "0 of 512" not in swarm
    shape = servent("network", "show", "swarm", "--json").data
    assert shape["network"]["mode"] == "p2p" and shape["more_peers"] > 0
    assert servent("network", "show", "nowhere").code == 4


def test_who_was_removed_is_listed_as_such(servent: Servent) -> None:
    assert servent("network", "revoke", "home", "bob").code == 0
    rows = [row.split("\t") for row in servent("network", "members", "home").out.splitlines()]
    assert ["bob", "removed"] in [row[:2] for row in rows]
    assert next(row for row in rows if row[0] == "me")[1:3] == ["founder", "this node"]


def test_an_invitation_is_made_listed_and_ended_by_either_command(servent: Servent) -> None:
    made = servent("network", "invite", "home", "--uses", "5", "--json").data
    assert (made["network"], made["uses"]) == ("home", 5)
    listed = servent("invite", "home", "--list", "--json").data
    assert made["id"] in {one["id"] for one in listed}
    assert servent("network", "revoke", "home", "--invitation", made["id"]).code == 0
    assert servent("network", "revoke", "home", "--invitation", made["id"]).code == 4
    assert servent("network", "revoke", "home").code == 2
    assert servent("network", "revoke", "home", "ann", "--invitation", "x").code == 2


def test_roles_say_why_and_are_switched(servent: Servent) -> None:
    rows = {row.split("\t")[0]: row.split("\t") for row in servent("roles").out.splitlines()}
    assert list(rows) == ["index", "relay", "observer", "store", "compute"]
    assert all(len(row) == 4 and row[3] for row in rows.values())
    off = servent("roles", "index", "off")
    assert off.out.split("\t")[:3] == ["index", "off", "-"]
    assert servent("network", "ls", "--json").data[-1]["index"] is False
    assert servent("roles", "index", "auto", "--json").data[0]["wish"] == "auto"
    assert servent("roles", "king").code == 2
    assert servent("roles", "index", "maybe").code == 2


def test_who_has_streams_holders_and_ends_with_what_it_cost(servent: Servent) -> None:
    events = servent("who-has", LINK, "--network", "home", "--json").lines
    assert [event["kind"] for event in events][-1] == "done"
    assert {event["holder"]["name"] for event in events if event["kind"] == "holder"} == {"ann", "bob", ""}
    plain = servent("who-has", LINK, "--network", "home")
    assert "\u202e" not in plain.out and "holi\ufffdday.mp4" in plain.out
    assert "3 have it; 2 of 2 supernodes answered, 4 messages" in plain.err
    assert servent("who-has", LINK, "-q").out.splitlines().count(str(ANN)) == 3
    assert servent("who-has", "http://example.com").code == 2
    assert servent("who-has", LINK, "--network", "nowhere").code == 4


def test_where_a_peer_is_by_its_newest_record(servent: Servent) -> None:
    said = servent("where", "ann").out
    assert f"ann: connected; {ANN}" in said and "192.0.2.7:4433" in said and "index, observer" in said
    assert servent("where", "ann", "--json").data["relays"] == ["https://relay.example"]
    away = servent("where", "bob")
    assert away.code == 6 and "not connected" in away.out and "Nobody who was asked" in away.err
    assert servent("where", "zed").code == 4


def test_a_search_goes_to_the_networks_alone_when_that_is_its_scope(servent: Servent) -> None:
    events = servent("search", "blue", "--scope", "networks", "--json").lines
    assert {event["kind"] for event in events} >= {"network", "done"}
    assert "peer" not in {event["kind"] for event in events}
    assert (
        servent("search", "blue", "--scope", "library", "-q").out
        == servent("search", "blue", "--mine", "-q").out
    )
    for wrong in (
        ("--mine", "--scope", "peers"),
        ("--peer", "ann", "--scope", "networks"),
        ("--scope", "moon"),
    ):
        assert servent("search", "blue", *wrong).code == 2
    assert servent("search", "blue", "--scope", "library", "--network", "home").code == 2


def test_the_search_says_how_far_each_network_was_asked(servent: Servent) -> None:
    events = servent("search", "blue", "--json").lines
    networks = {event["network"] for event in events if event["kind"] == "network"}
    assert networks == {"home", "attic", "swarm"}
    plain = servent("search", "blue", "--network", "home")
    assert "home: 2 of 2 supernodes answered, 6 messages" in plain.err
    assert " in home" in plain.out and "attic" not in plain.err
    assert servent("search", "blue", "--network", "home", "--mine").code == 2


def test_the_doctor_says_what_this_node_is_in_each_network_and_why(servent: Servent) -> None:
    said = servent("doctor").out
    assert "attic (server): leaf. Its founder named ann as its server" in said
    assert "relay: not active; no address of this node can be reached from outside" in said
