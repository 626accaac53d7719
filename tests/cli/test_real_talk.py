"""Two real nodes are friends and write, by the command lines that people type."""

from __future__ import annotations

from pathlib import Path

import pytest

from servent.api import schema_talk as talk
from tests.api.running import client
from tests.cli.test_real import data, run, up
from tests.cli.test_real_sharing import until

pytestmark = [pytest.mark.real]


def friend(data_dir: Path, name: str) -> talk.Friend | None:
    """The friend of that name, asked for over the API, which is quicker than a command."""
    known = client(data_dir).friends()
    return next((one for one in known if name in (one.person.petname, one.person.name)), None)


def texts(data_dir: Path, where: str) -> list[str]:
    said = client(data_dir).messages(where).messages
    return [one.text for one in said if one.text and not one.event]


def test_from_a_ticket_to_friends_messages_and_a_search(tmp_path: Path) -> None:
    ann, bob, music = tmp_path / "ann", tmp_path / "bob", tmp_path / "music"
    music.mkdir()
    (music / "river.mp3").write_bytes(b"r" * 10_000)
    with up(ann, "--name", "ann"):
        with up(bob, "--name", "bob"):
            run(ann, "library", "add", str(music), "--for", "friends", "--wait")
            ticket = run(ann, "ticket").strip()
            run(bob, "friends", "add", ticket, "--as", "Ann", "--note", "it is me")
            asked = until(lambda: friend(ann, "bob"))
            if asked.bond == "asking":  # a ticket may be a yes that was given before
                run(ann, "friends", "accept", "bob")
            run(ann, "contact", asked.id, "--name", "Bob")
            for side, name in ((bob, "Ann"), (ann, "Bob")):
                until(lambda side=side, name=name: is_here(side, name))

            # a friend is seen, and browsed by the name that was given
            assert data(bob, "browse", "Ann")["entries"][0]["name"] == "music"
            run(ann, "presence", "away", "--note", "at lunch")
            until(lambda: friend(bob, "Ann").note == "at lunch")
            assert "away: at lunch" in run(bob, "friends")

            # both ways, with links; what is written is delivered, unread, and read
            run(bob, "chat", "Ann", "the", "zeppelin", "has", "landed", "--wait", "20")
            until(lambda: client(ann).talk_sums().unread == 1)
            assert run(ann, "chat", "Bob").endswith("Bob\tthe zeppelin has landed\n")
            assert client(ann).talk_sums().unread == 0
            link = "magnet:?xt=urn:btmh:1220" + "ab" * 32
            run(ann, "chat", "Bob", "saw it", "--attach", link, "--wait", "20")
            last = data(bob, "chat", "Ann", "--history", "1")["messages"][0]
            assert (last["text"], last["attachments"][0]["link"]) == ("saw it", link)

            # the own history
            (hit,) = data(ann, "chat", "search", "zeppelin", "-saw")
            assert hit["message"]["text"] == "the zeppelin has landed" and hit["title"] == "Bob"
        # bob is gone; what is written now waits, through a restart of his
        assert run(ann, "chat", "Bob", "one more thing", "--wait", "0", code=6) == ""
        run(ann, "chat", "Bob", "and another")
        with up(bob, "--name", "bob"):
            until(lambda: texts(bob, "Ann")[-2:] == ["one more thing", "and another"])
            until(lambda: client(ann).messages("Bob").messages[-1].state == "delivered")


def is_here(data_dir: Path, name: str) -> bool:
    found = friend(data_dir, name)
    return found is not None and (found.bond, found.presence) == ("friend", "available")
