"""Friends, conversations and rooms over HTTP: what is given and taken, who may, and what is said as it happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from servent.api import schema
from servent.api import schema_talk as talk
from servent.api.client import ApiError, Client
from tests.api.fake import ANN, BOB, LINK
from tests.api.fake_talk import DAVE, ERIN, FALSE_ANN
from tests.api.running import client, fake_daemon


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.fixture
def node(folder: Path) -> Client:
    return client(folder)


def kind_of(act: Callable[[], object]) -> str:
    with pytest.raises(ApiError) as wrong:
        act()
    return wrong.value.kind


def heard(
    node: Client, topic: schema.Topic, act: Callable[[], object], enough: Callable[[Any], bool]
) -> list[Any]:
    """What is said of a topic from before `act` on, until `enough`; `act` runs once the stream is open."""
    events = node.events(topic, "presence")
    assert next(events).topic == "presence"
    threading.Thread(target=act, daemon=True).start()
    said = []
    for event in events:
        said.append(event.data)
        if enough(event.data):
            break
    events.close()  # type: ignore[attr-defined]
    return said


def test_friends_come_in_the_order_in_which_they_matter_with_warnings_and_marks(node: Client) -> None:
    known = node.friends()
    assert {one.id for one in known[:2]} == {str(ERIN), str(FALSE_ANN)}
    false = next(one for one in known if one.id == str(FALSE_ANN))
    assert false.person.warning and not false.person.chosen and false.person.mark == false.id[:4]
    real = next(one for one in known if one.id == str(ANN))
    assert real.person.chosen and not real.person.warning and real.unread == 2


def test_somebody_is_asked_answers_and_is_a_friend_no_more(node: Client) -> None:
    made = node.ask_friend("servent:" + str(DAVE), petname="David")
    assert (made.bond, made.person.shown, made.person.chosen) == ("friend", "David", True)
    node.answer_friend(str(ERIN), yes=True)
    assert next(one for one in node.friends() if one.id == str(ERIN)).bond == "friend"
    assert kind_of(lambda: node.answer_friend(str(ERIN), yes=True)) == "usage"
    assert node.change_friend(str(ERIN), silent=True).silent
    node.end_friendship(str(ERIN))
    assert kind_of(lambda: node.end_friendship(str(ERIN))) == "not-found"


def test_presence_is_what_was_said_and_only_that_changes(node: Client) -> None:
    assert node.set_presence(talk.PresenceChange(presence="away", note="lunch")).note == "lunch"
    now = node.set_presence(talk.PresenceChange(presence="available"))
    assert (now.presence, now.note, now.shown) == ("available", "lunch", "available")
    assert node.touch().shown == "available"
    node.set_presence(talk.PresenceChange(note=""))


def test_a_message_is_sent_once_told_as_an_event_and_then_as_delivered(node: Client) -> None:
    def act() -> None:
        first = node.send_message(f"peer:{ANN}", "hello", attachments=[LINK], token="t1")
        assert node.send_message(f"peer:{ANN}", "hello", attachments=[LINK], token="t1").id == first.id

    said = heard(node, "messages", act, lambda one: one["state"] == "delivered")
    told = [msgspec.convert(one, talk.Message) for one in said]
    assert [one.state for one in told] == ["waiting", "delivered"] and len({one.id for one in told}) == 1
    assert told[0].text == "hello" and told[0].attachments[0].link == LINK


def test_history_comes_in_pages_without_gap_or_repetition(node: Client) -> None:
    whole = node.messages("lobby", limit=500)
    assert not whole.more and len(whole.messages) > 300
    pages, before = [], ""
    while True:
        page = node.messages("lobby", before=before, limit=150)
        pages = page.messages + pages
        before = page.messages[0].order
        if not page.more:
            break
    assert [one.id for one in pages] == [one.id for one in whole.messages]
    middle = whole.messages[100].order
    after = node.messages("lobby", after=middle, limit=10).messages
    assert [one.id for one in after] == [one.id for one in whole.messages[101:111]]
    assert kind_of(lambda: node.messages("lobby", after=middle, before=middle)) == "usage"


def test_what_is_read_is_not_unread_and_the_sums_say_so(node: Client) -> None:
    before = node.talk_sums()
    lobby = node.conversation("#lobby")
    assert lobby.kind == "room" and lobby.unread == 7 and lobby.mentions == 1
    node.mark_read(lobby.id, node.messages(lobby.id).messages[-4].order)
    assert node.conversation(lobby.id).unread == 3
    node.mark_read(lobby.id)
    assert node.conversation(lobby.id).unread == 0
    assert before.unread - node.talk_sums().unread == 7


def test_what_a_friend_writes_arrives_as_message_notice_and_unread(node: Client) -> None:
    node.mark_read(f"peer:{BOB}")
    first = max((one.seq for one in node.notices()), default=0)
    heard(
        node,
        "messages",
        lambda: node.send_message("bob", "!say how are you"),
        lambda one: one["text"] == "how are you",
    )
    assert node.conversation("bob").unread == 1
    (notice,) = [one for one in node.notices(first) if one.kind == "message"]
    assert notice.person is not None and notice.person.id == str(BOB) and notice.conversation == f"peer:{BOB}"


def test_a_message_is_taken_back_by_who_wrote_it(node: Client) -> None:
    mine = node.send_message("bob", "oops")
    node.take_back("bob", mine.id)
    left = next(one for one in node.messages("bob").messages if one.id == mine.id)
    assert left.removed and left.text == ""
    theirs = next(one for one in node.messages("bob", limit=100).messages if not one.author.me)
    assert kind_of(lambda: node.take_back("bob", theirs.id)) == "refused"
    assert kind_of(lambda: node.take_back("bob", "0" * 32)) == "not-found"
    assert kind_of(lambda: node.take_back("bob", "../../id")) == "not-found"


def test_search_says_where_what_it_found_stands(node: Client) -> None:
    hits = node.search_talk(talk.TalkQuery(text="recordings -tuesday", conversation="lobby"))
    assert hits and all(hit.title == "lobby" for hit in hits)
    for hit in hits:
        assert [hit.message.text[first:end].casefold() for first, end in hit.ranges] == ["recordings"]
    assert node.search_talk(talk.TalkQuery(text="nobody-said-this-word")) == []
    assert kind_of(lambda: node.search_talk(talk.TalkQuery(text="x", conversation="nowhere"))) == "not-found"


def test_a_room_is_made_entered_moderated_and_closed(node: Client) -> None:
    made = node.create_room(talk.NewRoom(name="workshop", topic="who brings what", policy="invite"))
    assert (made.standing, made.joined, made.policy) == ("owner", True, "invite")
    node.invite_to_room("workshop", "ann")
    assert {one.standing for one in node.room_members("workshop")} == {"owner", "invited"}
    node.moderate("staff", talk.Moderation(action="mute", peer="bob", seconds=60, reason="shouting"))
    bob = next(one for one in node.room_members("staff") if one.person.id == str(BOB))
    assert bob.muted_until is not None and bob.reason == "shouting"
    assert node.change_room("workshop", talk.RoomChange(slow=5.0)).slow == 5.0
    assert kind_of(lambda: node.change_room("lobby", talk.RoomChange(topic="mine now"))) == "usage"
    assert kind_of(lambda: node.leave_room("workshop")) == "usage"
    node.close_room("workshop")
    assert next(one for one in node.rooms() if one.name == "workshop").closed
    assert node.join_room("chess").standing == "member"
    node.leave_room("chess")
    assert all(one.name != "chess" or not one.joined for one in node.rooms())


def test_a_purge_takes_messages_back_and_pages_hear_of_each(node: Client) -> None:
    wrote = [
        one.id for one in node.messages("staff").messages if one.author.id == str(ANN) and not one.removed
    ]
    gone: set[str] = set()

    def enough(data: dict[str, Any]) -> bool:
        if data.get("removed"):
            gone.add(data["id"])
        return len(gone) == len(wrote)

    purge = talk.Moderation(action="ban", peer="ann", purge=True)
    heard(node, "messages", lambda: node.moderate("staff", purge), enough)
    assert gone == set(wrote) and wrote


def test_a_token_that_only_looks_reads_no_letters(node: Client) -> None:
    reader = Client(node.url, node.add_token("looker", "read").token)
    assert reader.friends() and reader.rooms() and reader.presence() and reader.talk_sums()
    assert reader.room_members("lobby")
    for act in (
        reader.conversations,
        lambda: reader.conversation("ann"),
        lambda: reader.messages("ann"),
        lambda: reader.search_talk(talk.TalkQuery(text="recordings")),
        reader.notices,
        lambda: next(reader.events("messages")),
        lambda: next(reader.events("friends", "conversations")),
        lambda: next(reader.events("notices")),
        lambda: reader.send_message("ann", "x"),
        lambda: reader.set_presence(talk.PresenceChange(presence="away")),
        lambda: reader.join_room("music"),
    ):
        assert kind_of(act) == "refused"
    assert next(reader.events("friends")).topic == "friends"
    node.remove_token("looker")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/conversations/ann/messages", {"text": "x" * 4001}),
        ("POST", "/conversations/ann/messages", {"text": "  "}),
        ("POST", "/conversations/ann/messages", {"text": "x", "attachments": ["l"] * 9}),
        ("POST", "/conversations/ann/messages", {"text": "x", "reply_to": "not an id"}),
        ("POST", "/conversations/ann/messages", {"text": "x", "markup": "html"}),
        ("POST", "/friends", {"peer": ""}),
        ("PATCH", "/presence", {"presence": "match"}),
        ("POST", "/rooms", {"name": "x" * 49}),
        ("POST", "/rooms/lobby/moderation", {"action": "explode", "peer": "ann"}),
        ("POST", "/rooms/lobby/moderation", {"action": "ban", "peer": "ann", "seconds": -1}),
        ("GET", "/conversations/ann/messages?limit=501", None),
        ("GET", "/talk/search?text=", None),
        ("GET", "/notices?after=-1", None),
    ],
)
def test_nonsense_is_refused_before_it_reaches_the_node(
    node: Client, method: str, path: str, body: object
) -> None:
    raw = None if body is None else msgspec.json.encode(body)
    assert kind_of(lambda: node.request(method, "/api/v1" + path, raw)) == "usage"


def test_tables_of_friends_and_conversations_change_by_row(node: Client) -> None:
    events = node.events("friends", "conversations")
    first = {event.topic: event.data for event in (next(events), next(events))}
    assert first["friends"]["full"] and first["conversations"]["full"]
    node.send_message("ann", "!away")
    changed = next(event for event in events if event.topic == "friends")
    assert [(row["id"], row["presence"]) for row in changed.data["items"]] == [(str(ANN), "away")]  # type: ignore[attr-defined]
    events.close()  # type: ignore[attr-defined]
