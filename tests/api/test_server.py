"""The API over real sockets: as curl, a browser and our client see it."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servent.api import schema, server
from servent.api import schema_getting as getting
from servent.api import schema_share as share
from servent.api.client import ApiError, Client, NodeDown
from servent.api.events import Bus
from servent.api.routing import Call, openapi, problem_of
from servent.errors import (
    BadMessage,
    DiskTrouble,
    NotFound,
    Refused,
    ServentError,
    Unreachable,
    UsageError,
    WorldError,
)
from tests.api.fake import LINK
from tests.api.running import client, fake_daemon


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.fixture
def node(folder: Path) -> Client:
    return client(folder)


def test_every_call_of_the_client_is_answered(node: Client, tmp_path: Path) -> None:
    assert node.ping_api().version
    assert node.health().ok
    assert node.status().api_url == node.url
    assert "<svg" in node.id().qr_svg
    assert node.backup_id("a long passphrase").backup
    assert node.doctor().checks
    assert node.ticket(once=True, lifetime=60.0).ticket.startswith("servent:")
    assert node.join("servent:x").connected
    assert node.create_network("club", open=True).open
    assert {network.name for network in node.networks()} == {"home", "club"}
    made = node.invite("home", uses=2, lifetime=60.0)
    assert made.uses == 2
    assert [entry.invitation for entry in node.invitations("home")] == [""]
    node.revoke_invitation("home", made.id)
    assert node.members("home")
    node.revoke_member("home", "ann")
    node.leave_network("club")
    assert {peer.name for peer in node.peers()} >= {"ann"}
    assert node.ping("ann", 3).rtts_ms == [1.0, 1.0, 1.0]
    assert node.change_peer("ann", petname="Ann at work", friend=True).petname == "Ann at work"
    assert node.change_peer("ann", petname="").petname is None
    node.forget_peer("bob")
    assert node.set_grant("servent.blobs", "friends", ["ann"])[-1].audience == "friends"
    assert node.grants()
    (tmp_path / "x").write_text("x")
    share = node.add_share(str(tmp_path / "x"), wait=True)
    assert share.link == LINK
    assert [entry.id for entry in node.shares()] == [share.id]
    assert node.share(share.id).name == "x"
    node.remove_share(share.id)
    transfer = node.download(LINK)
    assert node.pause(transfer.id).state == "paused"
    assert node.resume(transfer.id[:10]).state == "active"
    assert node.verify(transfer.id).state == "checking"
    assert node.transfers()
    assert node.transfer(transfer.id).id == transfer.id
    assert node.cancel(transfer.id).state == "cancelled"
    node.remove_transfer(transfer.id)
    assert node.set_limits(schema.Limits(up_bytes_per_s=10_000)).up_bytes_per_s == 10_000
    assert node.limits().up_bytes_per_s == 10_000
    assert node.config().settings
    assert node.change_config({"node.name": "attic"}).settings
    assert node.login_link().url.startswith(node.url + "/login?code=")
    assert node.add_token("script", "control").token
    assert [token.name for token in node.tokens()] == ["script"]
    node.remove_token("script")
    with pytest.raises(ApiError, match="without its page"):
        node.restart_web()


@pytest.mark.parametrize(
    ("call", "kind", "status"),
    [
        (lambda node: node.join("nonsense"), "usage", 400),
        (lambda node: node.join("servent:refused"), "refused", 403),
        (lambda node: node.join("servent:far"), "unreachable", 504),
        (lambda node: node.ping("zed"), "not-found", 404),
        (lambda node: node.transfer("zed"), "not-found", 404),
        (lambda node: node.download("magnet:?full"), "disk", 507),
        (lambda node: node.ping("ann", 1000), "usage", 400),
        (lambda node: node.change_config({"no.such": 1}), "not-found", 404),
        (lambda node: node.change_config({"net.lan": "perhaps"}), "usage", 400),
    ],
)
def test_problems_say_whose_move_it_is(node: Client, call: Any, kind: str, status: int) -> None:
    with pytest.raises(ApiError) as caught:
        call(node)
    assert (caught.value.kind, caught.value.status) == (kind, status)
    assert str(caught.value)


def test_settings_change_all_or_none(node: Client, folder: Path) -> None:
    node.change_config({"node.name": "before"})
    with pytest.raises(ApiError):
        node.change_config({"node.name": "after", "api.port": 99_999})
    assert [s.value for s in node.config().settings if s.key == "node.name"] == ["before"]
    node.change_config({"node.name": None})
    assert [s.source for s in node.config().settings if s.key == "node.name"] == ["default"]


@pytest.mark.parametrize(
    "error",
    [
        UsageError("x", advice="y"),
        NotFound("x"),
        Refused("x"),
        BadMessage("x"),
        Unreachable("ann", 1.0, []),
        DiskTrouble("x"),
        WorldError("x"),
        TimeoutError(),
    ],
)
def test_every_family_of_errors_has_a_problem(error: Exception) -> None:
    problem = problem_of(error)
    assert problem.status >= 400
    assert problem.detail
    if isinstance(error, ServentError):
        assert problem.advice == error.advice


def test_our_own_mistake_is_a_500_that_tells_no_secrets() -> None:
    problem = problem_of(ValueError("the seed is 1234"))
    assert problem.status == 500
    assert "1234" not in problem.detail


def test_unknown_paths_and_methods_are_problems_too(node: Client) -> None:
    for method, path, status in (
        ("GET", "/api/v1/nothing", 404),
        ("DELETE", "/api/v1/status", 405),
        ("GET", "/docs/../../etc/passwd", 404),
        ("GET", "/docs/%2e%2e%2fcore.py", 404),
    ):
        with pytest.raises(ApiError) as caught:
            node.request(method, path)
        assert caught.value.status == status
        assert caught.value.problem.type.startswith("urn:servent:")


def test_the_docs_need_nothing_from_elsewhere(node: Client) -> None:
    page = node.request("GET", "/docs")
    assert b"swagger" in page.body
    assert not re.findall(rb"https?://", page.body)
    script = node.request("GET", "/docs/swagger-ui-bundle.js")
    assert len(script.body) > 100_000
    assert "javascript" in script.headers["content-type"]


# events


def test_events_over_sse_as_curl_reads_them(folder: Path, node: Client) -> None:
    host = node.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=60)
    token = (folder / "api.token").read_text().strip()
    connection.request("GET", "/api/v1/events?topics=limits", headers={"X-API-Key": token})
    assert connection.getresponse().status == 400
    connection.close()
    connection.request("GET", "/api/v1/events?topics=networks", headers={"X-API-Key": token})
    answer = connection.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [answer.readline().decode().rstrip("\n") for _ in range(4)]
    assert lines[0].startswith("retry:")
    assert lines[2].startswith("id: ")
    event = json.loads(lines[3].removeprefix("data: "))
    assert event["topic"] == "networks"
    assert event["data"]["full"] is True
    assert event["seq"] == int(lines[2].removeprefix("id: "))
    connection.close()


def test_whoever_hears_more_than_is_written_lets_others_run() -> None:
    """Writing to a client that is gone is itself logged, and who listens to the log would hear that for ever."""

    async def story() -> None:
        bus, ready = Bus(0), asyncio.Event()
        listener = bus.listen(["log"], ready.set)
        assert listener is not None
        with server._Ears(bus, listener, ready) as ears:
            others = asyncio.create_task(asyncio.sleep(0))
            for _ in range(10):
                bus.publish("log", {"text": "socket.send() raised exception."})
                assert len(await ears.take(60.0)) == 1
            assert others.done()

    asyncio.run(story())


def test_a_change_is_told(node: Client) -> None:
    events = node.events("networks")
    next(events)
    node.create_network("soon")
    event = next(events)
    assert [item["name"] for item in event.data["items"]] == ["soon"]  # type: ignore[attr-defined]
    node.leave_network("soon")
    gone = next(events)
    assert gone.data["gone"] and not gone.data["items"]
    events.close()  # type: ignore[attr-defined]


def test_the_websocket_gives_the_same_and_goes_on_where_it_was(node: Client) -> None:
    async def story() -> None:
        watch = node.watch("networks")
        first = await anext(watch)
        assert first.data["full"] is True
        await watch.aclose()
        await asyncio.to_thread(node.create_network, "later")
        again = node.watch("networks", since=first.seq)
        event = await anext(again)
        assert event.seq > first.seq
        assert [item["name"] for item in event.data["items"]] == ["later"]  # type: ignore[attr-defined]
        await again.aclose()
        far = node.watch("networks", since=1)
        assert (await anext(far)).topic == "resync"
        assert (await anext(far)).data["full"] is True
        await far.aclose()
        await asyncio.to_thread(node.leave_network, "later")

    asyncio.run(story())


def test_a_websocket_with_a_wrong_token_is_told_so(node: Client) -> None:
    async def story() -> None:
        stranger = Client(node.url, "x" * 43)
        with pytest.raises(ApiError):
            await anext(stranger.watch("peers"))

    asyncio.run(story())
    with pytest.raises(ApiError):
        next(Client(node.url, "x" * 43).events("peers"))


def test_no_node_is_told_apart_from_a_slow_one(tmp_path: Path) -> None:
    with pytest.raises(NodeDown):
        Client.from_data_dir(tmp_path)
    with pytest.raises(NodeDown):
        Client("http://127.0.0.1:9", "x" * 43).status()


# the description


def test_the_description_names_every_route_and_every_call_of_the_client() -> None:
    described = openapi(server.COLLECTIONS, "1")
    routes = {
        (entry.method, "/api/v1" + entry.path) for rooms in server.COLLECTIONS for entry in rooms.entries
    }
    found = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert found == routes
    names = [
        operation["operationId"] for methods in described["paths"].values() for operation in methods.values()
    ]
    assert len(names) == len(set(names))
    assert all(
        operation["summary"] for methods in described["paths"].values() for operation in methods.values()
    )
    json.dumps(described)


def test_every_write_asks_for_more_than_a_reading_token() -> None:
    for rooms in server.COLLECTIONS:
        for entry in rooms.entries:
            if entry.method != "GET" and "ping" not in entry.path:
                assert entry.scope in ("control", "admin"), entry.path
            Call(entry)


def test_every_answer_can_be_read_by_an_older_client() -> None:
    """Answers may gain fields; only what is sent to the node refuses unknown ones."""
    received = {Call(entry).returns for rooms in server.COLLECTIONS for entry in rooms.entries}
    kinds = {kind for kind in received if isinstance(kind, type)}
    both = {schema.Limits, schema.Grant, share.Filters, getting.Queue}
    assert not [
        k
        for k in kinds - both
        if getattr(k, "__struct_config__", None) and k.__struct_config__.forbid_unknown_fields
    ]
