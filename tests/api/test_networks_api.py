"""Networks, roles and who-has over HTTP: what is given and taken, who may, and how a stream ends."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from servent.api import schema_network as network
from servent.api.client import ApiError, Client
from tests.api.fake import ANN, LINK, ME
from tests.api.running import client, fake_daemon


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir, "--networks"):
        yield data_dir


@pytest.fixture
def node(folder: Path) -> Client:
    return client(folder)


def raw(node: Client, method: str, path: str, token: str, body: object = None) -> tuple[int, Any]:
    """One request as any program makes it."""
    connection = http.client.HTTPConnection(urlsplit(node.url).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers=headers)
    answer = connection.getresponse()
    said = json.loads(answer.read() or b"null")
    connection.close()
    return answer.status, said


def test_an_event_says_that_a_network_looks_different_or_a_role_changed(node: Client) -> None:
    events = node.events("shape")
    first = next(events).data
    assert set(first["networks"]) == {row.id for row in node.networks()}  # type: ignore[call-overload]
    assert [role["name"] for role in first["roles"]][:2] == ["index", "relay"]  # type: ignore[attr-defined, index]
    node.set_role("index", "on")
    second = next(events).data
    assert second["roles"][0]["wish"] == "on"  # type: ignore[index]
    assert second["networks"]["ab" * 16] != first["networks"]["ab" * 16]  # type: ignore[index]
    node.set_role("index", "auto")
    events.close()  # type: ignore[attr-defined]


def test_a_row_says_mode_role_and_why_and_so_do_events(node: Client) -> None:
    rows = {row.name: row for row in node.networks()}
    assert {name: row.mode for name, row in rows.items()} == {
        "home": "hybrid", "attic": "server", "swarm": "p2p",
    }  # fmt: skip
    assert all(row.why for row in rows.values()) and rows["attic"].servers == [str(ANN)]
    events = node.events("networks")
    first = next(events)
    told = {row["name"]: row["mode"] for row in first.data["items"]}  # type: ignore[attr-defined]
    assert told["attic"] == "server"
    node.set_mode("home", "p2p")
    changed = next(events)
    assert [(row["name"], row["index"]) for row in changed.data["items"]] == [("home", True)]  # type: ignore[attr-defined]
    node.set_mode("home", "hybrid")


def test_a_mode_is_switched_by_the_founder_with_servers_that_exist(node: Client) -> None:
    now = node.set_mode("home", "server", ["ann", "me"])
    assert now.servers == [str(ANN), str(ME)]
    assert node.set_mode("home", "hybrid").mode == "hybrid"
    for name, mode, servers, kind in (
        ("attic", "p2p", [], "usage"),
        ("home", "server", ["nobody"], "not-found"),
        ("nowhere", "p2p", [], "not-found"),
        ("home", "p2p", ["ann"], "usage"),
    ):
        with pytest.raises(ApiError) as wrong:
            node.set_mode(name, mode, servers)  # type: ignore[arg-type]
        assert wrong.value.kind == kind
    with pytest.raises(ApiError) as wrong:
        node.set_mode("home", "server", ["ann"] * (network.MOST_SERVERS + 1))
    assert wrong.value.status == 400


def test_a_token_that_may_read_sees_networks_and_changes_nothing(node: Client) -> None:
    token = node.add_token("reader", "read").token
    for path in ("/networks", "/networks/home/shape", "/networks/home/members", "/roles", "/where/ann"):
        assert raw(node, "GET", path, token)[0] == 200, path
    for method, path, body in (
        ("POST", "/networks/home/mode", {"mode": "p2p"}),
        ("PUT", "/roles", {"name": "index", "wish": "off"}),
        ("DELETE", "/networks/home/members/ann", None),
        ("POST", "/networks/home/invitations", {}),
    ):
        assert raw(node, method, path, token, body)[0] == 403, path
    node.remove_token("reader")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/networks/home/mode", {"mode": "anarchy"}),
        ("/networks/home/mode", {}),
        ("/networks/home/mode", {"mode": "server", "servers": "ann"}),
        ("/networks/home/mode", {"mode": "server", "king": "ann"}),
        ("/networks", {"name": "", "mode": "p2p"}),
    ],
)
def test_nonsense_is_refused_before_it_reaches_the_node(
    folder: Path, node: Client, path: str, body: object
) -> None:
    token = (folder / "api.token").read_text().strip()
    status, said = raw(node, "POST", path, token, body)
    assert status == 400 and said["type"] == "urn:servent:usage"


def test_the_shape_of_a_network_names_each_peer_once(node: Client) -> None:
    for name in ("home", "attic", "swarm"):
        shape = node.shape(name)
        assert len({peer.id for peer in shape.peers}) == len(shape.peers)
        assert shape.network.name == name
        assert all(peer.path is None for peer in shape.peers if peer.link == "supernode")


def test_a_role_is_wished_for_and_told_with_its_reason(node: Client) -> None:
    known = node.set_role("index", "off")
    assert (known[0].name, known[0].wish, known[0].active) == ("index", "off", False)
    assert all(role.why for role in node.set_role("index", "auto"))


def test_who_has_ends_with_done_and_hanging_up_ends_it_early(node: Client) -> None:
    events = list(node.who_has(LINK))
    assert events[-1].kind == "done" and sum(event.kind == "done" for event in events) == 1
    assert events[-1].found == sum(event.kind == "holder" for event in events) == 9
    begun = node.who_has(LINK)
    assert next(begun).kind == "network"
    begun.close()  # type: ignore[attr-defined]
    with pytest.raises(ApiError) as wrong:
        next(node.who_has("nonsense"))
    assert wrong.value.kind == "usage"


def test_where_a_peer_is_and_that_nobody_knows(node: Client) -> None:
    assert node.where("ann").addresses and node.where("ann").known
    assert not node.where("bob").known
    with pytest.raises(ApiError) as wrong:
        node.where("nobody")
    assert wrong.value.kind == "not-found"


def test_the_doctor_has_networks_and_roles(node: Client) -> None:
    report = node.doctor()
    assert {one.network for one in report.networks} == {"home", "attic", "swarm"}
    assert report.roles[0].name == "index" and len(report.checks) > 2
