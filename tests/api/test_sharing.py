"""The routes of sharing, through our client and over real sockets; what tokens of less than everything may see."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from servent.api import face_share, looking, schema, server
from servent.api import schema_getting as getting
from servent.api import schema_share as share
from servent.api.client import ApiError, Client
from servent.api.client_share import ShareClient
from servent.api.context import Context
from servent.api.events import Bus
from servent.api.keys import Keys
from tests.api.asgi import HOST, PORT, ask
from tests.api.fake import FakeNode
from tests.api.fake_share import ANN, BOB, FEED_LINK
from tests.api.running import client, fake_daemon


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.fixture
def node(folder: Path) -> Client:
    return client(folder)


def test_every_method_of_the_face_has_one_of_the_client() -> None:
    wanted = {
        name
        for part in face_share.ShareFace.__mro__
        for name, value in vars(part).items()
        if callable(value) and not name.startswith("_") and part.__module__ == face_share.__name__
    }
    ranges = {"read_transfer", "read_content"}  # read by players, not by our client
    assert len(wanted) > 40
    assert not {name for name in wanted - ranges if not hasattr(ShareClient, name)}


# library


def test_the_library_is_added_to_changed_and_left(node: Client, tmp_path: Path) -> None:
    assert node.library().state == "hashing"
    new = share.NewFolder(path=str(tmp_path), name="things", audience="friends", exclude=["*.tmp"])
    made = node.add_folder(new)
    assert (made.name, made.audience, made.exclude, made.state) == ("things", "friends", ["*.tmp"], "hashing")
    assert made.id in {one.id for one in node.folders()}
    assert node.folder("things").id == node.folder(made.id[:9]).id == made.id
    assert node.change_folder("things", share.FolderChange(audience="network")).audience == "network"
    assert node.pause_folder(made.id, True).state == "paused"
    assert node.pause_folder(made.id, False).state == "watching"
    assert node.rescan_folder(made.id).scanned
    node.remove_folder("things")
    assert made.id not in {one.id for one in node.folders()}


def test_a_doubtful_folder_asks_first(node: Client, tmp_path: Path) -> None:
    keys = tmp_path / ".ssh"
    keys.mkdir()
    with pytest.raises(ApiError, match="id_ed25519") as asked:
        node.add_folder(share.NewFolder(path=str(keys)))
    assert (asked.value.kind, asked.value.status) == ("confirm", 409)
    made = node.add_folder(share.NewFolder(path=str(keys), confirm=True))
    node.remove_folder(made.id)


@pytest.mark.parametrize(("name", "kind"), [("file", "usage"), ("nothing", "not-found"), ("", "usage")])
def test_only_a_folder_that_is_there_is_shared(
    node: Client, folder: Path, tmp_path: Path, name: str, kind: str
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ApiError) as refused:
        node.add_folder(share.NewFolder(path=str(tmp_path / name if name else folder)))
    assert refused.value.kind == kind


def test_the_folder_that_the_wizard_suggests_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with fake_daemon(tmp_path / "node", "--fresh"):
        node = client(tmp_path / "node")
        suggested = node.setup().folder
        assert not Path(suggested).exists()
        assert node.add_folder(share.NewFolder(path=suggested)).path == suggested
        assert Path(suggested).is_dir()


# search and browse


def test_hits_stream_in_and_the_end_comes_last(node: Client) -> None:
    events = list(node.search("nina"))
    kinds = [event.kind for event in events]
    assert kinds[-1] == "done" and kinds.count("done") == 1
    assert {event.name for event in events if event.kind == "peer"} == {"ann", "bob"}
    folded = {event.hit.content: event.hit for event in events if event.hit}
    assert events[-1].hits == len(folded) > 10
    assert any(len(hit.sources) > 1 for hit in folded.values())
    mine = [event.hit for event in node.search("nina", scope="library") if event.hit]
    assert mine and all(source.mine for hit in mine for source in hit.sources)
    one = [event.hit for event in node.search("nina", peer="bob") if event.hit]
    assert one and {source.name for hit in one for source in hit.sources} == {"bob"}


def test_a_query_without_a_word_is_a_problem_and_no_stream(node: Client) -> None:
    with pytest.raises(ApiError) as wrong:
        next(node.search("- -"))
    assert (wrong.value.kind, wrong.value.status) == ("usage", 400)
    with pytest.raises(ApiError) as unknown:
        next(node.search("nina", peer="nobody"))
    assert unknown.value.kind == "not-found"


class Endless(FakeNode):
    """A search that finds one hit, and then nothing until it is ended."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.ended = asyncio.Event()

    async def search(self, query: share.SearchQuery) -> AsyncIterator[share.SearchEvent]:
        try:
            yield share.SearchEvent(kind="peer", name="ann")
            if "breaks" in query.q:
                raise OSError("a bug of ours")
            await asyncio.sleep(3600)
        finally:
            self.ended.set()


def app(node: FakeNode) -> tuple[Any, Keys]:
    keys = Keys("t" * 43)
    guard = server.build(Context(node, keys, Bus(0), "0.1.0", url=f"http://{HOST}"))
    guard.port = PORT
    return guard, keys


def test_who_hangs_up_ends_the_search(tmp_path: Path) -> None:
    async def story() -> None:
        node = Endless(tmp_path)
        guard, _ = app(node)
        left, sent = asyncio.Event(), []
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": "/api/v1/search", "raw_path": b"/api/v1/search", "root_path": "", "query_string": b"q=nina",
            "headers": [(b"host", HOST.encode()), (b"authorization", b"Bearer " + b"t" * 43)],
            "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", PORT),
        }  # fmt: skip
        first = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if first:
                return first.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            if message.get("body"):
                left.set()

        async with asyncio.timeout(60):
            await guard(scope, receive, send)
            await node.ended.wait()
        assert b'"name":"ann"' in sent[1]["body"]

    asyncio.run(story())


def test_a_search_that_breaks_ends_with_a_word(tmp_path: Path) -> None:
    guard, _ = app(Endless(tmp_path))
    answer = ask(
        guard, path="/api/v1/search", query="q=breaks", headers=[("authorization", "Bearer " + "t" * 43)]
    )
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert [line["kind"] for line in lines] == ["peer", "done"]
    assert "log" in lines[-1]["reason"] and "bug of ours" not in lines[-1]["reason"]


def test_browsing_goes_page_by_page(node: Client) -> None:
    top = node.browse("ann")
    assert top.peer == str(ANN) and {"Music", "Photos"} <= {entry.name for entry in top.entries}
    year = node.browse("ann", share.BrowseQuery(path="Photos/2019")).entries[0]
    path = f"Photos/2019/{year.name}"
    whole = node.browse(str(ANN), share.BrowseQuery(path=path, limit=1000))
    pages = [
        node.browse("ann", share.BrowseQuery(path=path, offset=at, limit=10))
        for at in range(0, whole.total, 10)
    ]
    assert list(itertools.chain.from_iterable(page.entries for page in pages)) == whole.entries
    assert len(whole.entries) == whole.total == year.files
    by_size = node.browse("ann", share.BrowseQuery(path=path, sort="size", down=True)).entries
    assert [row.size_bytes for row in by_size] == sorted((row.size_bytes for row in by_size), reverse=True)
    assert node.recommendations(share.Page(limit=3))[2].because
    with pytest.raises(ApiError) as nothing:
        node.browse("ann", share.BrowseQuery(path="no/such"))
    assert nothing.value.kind == "not-found"


# wishes, feeds, codes, safety


def test_a_wish_watches_and_is_seen(node: Client) -> None:
    made = node.add_wish(share.NewWish(q="björk ext:flac", auto=True, most=3, max_bytes=10**8))
    assert made.id in {wish.id for wish in node.wishes()}
    found = node.wish_matches("björk ext:flac", share.Page(limit=2))
    assert len(found) == min(2, made.matches)
    assert node.change_wish(made.id[:8], share.WishChange(paused=True, seen=True)).new == 0
    with pytest.raises(ApiError, match="already"):
        node.add_wish(share.NewWish(q="björk ext:flac"))
    node.remove_wish(made.id)
    assert made.id not in {wish.id for wish in node.wishes()}


def test_feeds_of_both_kinds(node: Client, tmp_path: Path) -> None:
    made = node.publish(share.NewFeed(name="notes", path=str(tmp_path)))
    assert made.mine and made.link
    assert node.publish_again("notes").sequence == made.sequence + 1
    followed = node.follow(share.FollowRequest(link=f"  {FEED_LINK}\n", to=str(tmp_path)))
    assert (followed.mine, followed.link) == (False, FEED_LINK)
    assert node.check_feed(followed.id).checked
    assert node.change_feed(followed.id, share.FeedChange(paused=True)).state == "paused"
    assert {made.id, followed.id} <= {feed.id for feed in node.feeds()}
    node.remove_feed(followed.id)
    node.remove_feed("notes")
    with pytest.raises(ApiError, match="no link"):
        node.follow(share.FollowRequest(link="http://example.org"))


def test_codes_are_made_completed_used_and_taken_back(node: Client, tmp_path: Path) -> None:
    (tmp_path / "gift").write_text("x")
    made = node.make_code(share.NewCode(path=str(tmp_path / "gift")))
    assert made.code and made.sending
    node.cancel_code(made.id)
    assert {code.id: code.state for code in node.codes()}[made.id] == "cancelled"
    got = node.receive(share.ReceiveRequest(code=" 7-guitar-window "))
    assert not got.sending and not got.code
    assert "4711-walnut" in node.complete_code("4711-waln")
    with pytest.raises(ApiError) as refused:
        node.receive(share.ReceiveRequest(code="7-wrong-window"))
    assert refused.value.kind == "refused"


def test_blocks_reports_and_filters(node: Client) -> None:
    content = "cd" * 32
    made = node.block(share.NewBlock(content=content, note="junk"))
    assert content in {block.content for block in node.blocks()}
    node.unblock(content)
    assert made.id not in {block.id for block in node.blocks()}
    told = node.report(share.NewReport(peer="bob", reason="spam"))
    assert node.reports()[0].id == told.id
    assert str(BOB) in {block.peer for block in node.blocks()}
    node.unblock("bob")
    wanted = share.Filters(words=["casino"], kinds=["program"], max_bytes=10**9)
    assert node.set_filters(wanted) == node.filters() == wanted
    for wrong in (share.NewBlock(), share.NewBlock(content=content, peer="bob")):
        with pytest.raises(ApiError) as asked:
            node.block(wrong)
        assert asked.value.kind == "usage"


# getting, queue, setup


def test_what_was_found_becomes_a_transfer(node: Client, tmp_path: Path) -> None:
    hit = next(event.hit for event in node.search("nina") if event.hit)
    peers = [source.peer for source in hit.sources]
    made = node.get(
        getting.NewGet(
            content=hit.content, size_bytes=hit.size_bytes, name=hit.name, peers=peers, to=str(tmp_path)
        )
    )
    assert (made.name, made.path) == (hit.name, f"{tmp_path}/{hit.name}")
    tree = node.get(getting.NewGet(peer="ann", path="Music", priority="low"))
    assert tree.files > 100 and tree.priority == "low"
    files = node.transfer_files(tree.id, share.Page(limit=5))
    assert [file.index for file in files] == [0, 1, 2, 3, 4]
    chosen = node.choose_files(tree.id, getting.FileChoice(wanted=[1, 3]))
    assert [file.index for file in chosen if file.wanted] == [1, 3]
    assert node.transfer(tree.id).wanted_files == 2
    moved = node.change_transfer(
        tree.id, getting.TransferChange(priority="high", place=0, to=str(tmp_path), name="Songs")
    )
    assert (moved.priority, moved.path) == ("high", f"{tmp_path}/Songs")
    for neither in (getting.NewGet(), getting.NewGet(content="ab" * 32, peer="ann")):
        with pytest.raises(ApiError) as wrong:
            node.get(neither)
        assert wrong.value.kind == "usage"


def test_many_at_once(node: Client) -> None:
    ids = [node.download(f"magnet:?many{number}").id for number in range(4)]
    done = node.act_on_many(getting.ManyTransfers(action="pause", ids=[*ids, "f" * 64]))
    assert done.done == 4 and len(done.failed) == 1
    assert {node.transfer(id).state for id in ids} == {"paused"}
    node.act_on_many(getting.ManyTransfers(action="cancel", ids=ids))
    node.act_on_many(getting.ManyTransfers(action="clear-ended"))
    assert not {one.id for one in node.transfers()} & set(ids)


def test_history_is_read_in_pages_and_forgotten(tmp_path: Path) -> None:
    with fake_daemon(tmp_path):
        node = client(tmp_path)
        first = node.history(getting.HistoryQuery(limit=10))
        assert first.total == 300 and len(first.entries) == 10
        assert node.history(getting.HistoryQuery(offset=290, limit=100)).entries[0].id != first.entries[0].id
        up = node.history(getting.HistoryQuery(direction="up", limit=1000))
        assert 0 < up.total < 300 and {entry.direction for entry in up.entries} == {"up"}
        node.clear_history()
        assert node.history().total == 0


def test_the_queue_is_replaced_whole(node: Client) -> None:
    rule = getting.ScheduleRule(days=[5, 6], begin="22:00", end="06:00", pause=True)
    limit = getting.PeerLimit(peer="ann", up_bytes_per_s=10_000)
    now = node.set_queue(getting.Queue(most_active=2, schedule=[rule], peers=[limit], polite=False))
    assert (now.most_active, now.schedule, now.polite, now.peers[0].peer) == (2, [rule], False, str(ANN))
    assert node.queue() == now


def test_the_wizard_ends_once(tmp_path: Path) -> None:
    with fake_daemon(tmp_path, "--fresh"):
        node = client(tmp_path)
        assert not node.setup().done and node.library().state == "empty"
        assert node.finish_setup(getting.SetupDone(name="attic")).name == "attic"
        assert node.setup().done


# who may


def test_a_token_that_only_reads_changes_nothing_and_sees_no_code(node: Client, tmp_path: Path) -> None:
    (tmp_path / "gift").write_text("x")
    node.make_code(share.NewCode(path=str(tmp_path / "gift")))
    reader = Client(node.url, node.add_token("reader", "read").token)
    assert reader.library() and list(reader.search("nina")) and reader.queue()
    for act in (
        lambda: reader.add_wish(share.NewWish(q="x")),
        lambda: reader.set_filters(share.Filters()),
        lambda: reader.codes(),
        lambda: reader.get(getting.NewGet(peer="ann")),
        lambda: next(reader.events("codes")),
    ):
        with pytest.raises(ApiError) as refused:
            act()  # type: ignore[no-untyped-call]
        assert refused.value.kind == "refused"
    stream = reader.events()
    topics = {next(stream).topic for _ in range(13)}
    stream.close()  # type: ignore[attr-defined]
    assert {"folders", "wishes", "feeds"} <= topics and not topics & schema.PRIVATE
    node.remove_token("reader")


def test_only_an_admin_may_set_what_is_run(node: Client) -> None:
    control = Client(node.url, node.add_token("control", "control").token)
    now = control.queue()
    assert control.set_queue(now) == now
    with pytest.raises(ApiError, match="admin") as refused:
        control.set_queue(getting.Queue(on_complete="/bin/sh -c true"))
    assert refused.value.status == 403 and node.queue().on_complete == now.on_complete
    assert node.set_queue(getting.Queue(on_complete="/usr/bin/true")).on_complete == "/usr/bin/true"
    node.remove_token("control")


def test_the_new_tables_are_told_as_they_change(node: Client) -> None:
    events = node.events("wishes", "folders")
    first = {event.topic: event for event in (next(events), next(events))}
    assert first["wishes"].data["full"] and first["folders"].data["full"]
    made = node.add_wish(share.NewWish(q="portishead"))
    for event in events:
        if event.topic == "wishes":
            assert [item["id"] for item in event.data["items"]] == [made.id]  # type: ignore[attr-defined]
            break
    events.close()  # type: ignore[attr-defined]
    node.remove_wish(made.id)


def test_a_part_that_is_not_well_leaves_the_others_their_events(tmp_path: Path) -> None:
    class Unwell(FakeNode):
        def feeds(self) -> list[share.Feed]:
            from servent.errors import WorldError

            raise WorldError("the disk is away")

    ctx = Context(Unwell(tmp_path), Keys("t" * 43), Bus(0), "0.1.0")
    listener = ctx.bus.listen(schema.TOPICS, lambda: None)
    assert listener is not None
    asyncio.run(looking.look(ctx, frozenset(schema.TOPICS)))
    told = {json.loads(event)["topic"] for _, event in listener.take()}
    assert "feeds" not in told and {"wishes", "folders", "status"} <= told
