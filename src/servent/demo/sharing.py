"""The second half of the demo: libraries that are searched, sources found by content, a feed, a code that is said."""

from __future__ import annotations

import os
import time
from pathlib import Path

from servent.api import schema
from servent.api import schema_getting as getting
from servent.api import schema_share as share
from servent.demo import album
from servent.demo.report import Failed, Report, size
from servent.demo.stage import Actor
from servent.demo.waiting import transfer, wait_for

SONG_RATE = 1_000_000  # bytes/s of each source until both have sent something
FEED_FILES, FEED_FILE_BYTES = 60, 200_000


def hand_over(sender: Actor, receiver: Actor) -> tuple[None, str]:
    """Two who have nothing in common but a code."""
    letter = sender.files / "letter.txt"
    letter.write_text("Dear stranger, " + "la " * 10_000)
    made = sender.client.make_code(share.NewCode(path=str(letter)))
    begun = receiver.client.receive(share.ReceiveRequest(code=made.code, to=str(receiver.files)))

    def state(actor: Actor, id: str) -> share.Code:
        found = next(one for one in actor.client.codes() if one.id == id)
        if found.state in ("failed", "cancelled"):
            raise Failed(f"{actor.name}: {found.reason}")
        return found

    wait_for("the letter is handed over", lambda: state(receiver, begun.id).state == "done")
    wait_for("its sender knows", lambda: state(sender, made.id).state == "done")
    if (receiver.files / "letter.txt").read_bytes() != letter.read_bytes():
        raise Failed("it arrived changed")
    return None, f"“{made.code}”, one try, {size(letter.stat().st_size)}"


class Sharing:
    """bob and cat have the same songs under different names; dan and eve look for them. ann publishes."""

    def __init__(self, report: Report, ann: Actor, bob: Actor, cat: Actor, dan: Actor) -> None:
        self.report = report
        self.ann, self.bob, self.cat, self.dan = ann, bob, cat, dan
        self.songs: list[Path] = []

    def prepare(self) -> None:
        """Put the files where they are shared later."""
        self.songs = album.make(self.bob.files / "Music" / album.ALBUM)
        album.make(self.cat.files / "Stuff", plain=True)

    def tell(self) -> None:
        """Raises Failed at the first step that does not hold."""
        step = self.report.step
        self.report.title("Libraries, searched by everyone who may")
        step("bob and cat share a folder each", self._share)
        hit = step("dan searches for Bach", self._search)
        step("dan gets a song from both, by its content", lambda: self._two_sources(hit))
        step("dan browses bob and gets the folder", self._folder)
        step("ann publishes a folder, dan follows it", self._follow)
        step("ann changes a file: the new version comes", self._renew)

    def _share(self) -> tuple[None, str]:
        for actor, folder in ((self.bob, "Music"), (self.cat, "Stuff")):
            actor.client.add_folder(share.NewFolder(path=str(actor.files / folder)))

        def hashed() -> bool:
            known = [*self.bob.client.folders(), *self.cat.client.folders()]
            return all(one.state == "watching" and one.hashed_files == len(album.SONGS) for one in known)

        wait_for("both are hashed", hashed)
        return None, f"{len(album.SONGS)} songs here, the same there as track1.mp3, track2.mp3, …"

    def _search(self) -> tuple[share.Hit, str]:
        hits: dict[str, share.Hit] = {}
        done = share.SearchEvent(kind="done")

        def both() -> bool:
            nonlocal done
            hits.clear()
            for event in self.dan.client.search("bach goldberg type:audio"):
                if event.hit is not None:
                    hits[event.hit.content] = event.hit
                done = event if event.kind == "done" else done
            return len(hits) == len(album.SONGS) and all(len(one.sources) == 2 for one in hits.values())

        wait_for("every song is found at both", both)
        best = max(hits.values(), key=lambda hit: hit.size_bytes)
        if best.tags.get("artist") != album.ARTIST:
            raise Failed(f"the artist is {best.tags.get('artist')!r}")
        return best, f"{len(hits)} hits, each at 2 peers, in {done.took_ms:.0f} ms from {done.answered} peers"

    def _two_sources(self, hit: share.Hit) -> tuple[None, str]:
        peers = [source.peer for source in hit.sources]
        to = str(self.dan.files / "song")
        wish = getting.NewGet(
            content=hit.content, size_bytes=hit.size_bytes, name=hit.name, peers=peers, to=to
        )
        for actor in (self.bob, self.cat):
            actor.client.set_limits(schema.Limits(up_bytes_per_s=SONG_RATE))
        began = time.monotonic()
        made = self.dan.client.get(wish)
        gave: set[str] = set()

        def both() -> bool:
            now = transfer(self.dan, made.id)
            gave.update(source.peer for source in now.sources if source.bytes)
            return now.state == "complete" or len(gave) == 2

        wait_for("both send", both, every=0.03)
        for actor in (self.bob, self.cat):
            actor.client.set_limits(schema.Limits())
        wait_for("the song is there", lambda: transfer(self.dan, made.id).state == "complete", every=0.03)
        took = time.monotonic() - began
        path = transfer(self.dan, made.id).path
        if path is None or Path(path).read_bytes() != self.songs[-1].read_bytes():
            raise Failed("it is not the song that bob shares")
        entry = next(one for one in self.dan.client.history().entries if one.id == made.id)
        if len(entry.peers) != 2:
            raise Failed(f"it came from {', '.join(entry.peers) or 'nobody'} alone")
        return None, f"{size(hit.size_bytes)} in {took:.1f} s from {' and '.join(sorted(entry.peers))}"

    def _folder(self) -> tuple[None, str]:
        bob = self.bob.client.id().id
        listing = self.dan.client.browse(bob, share.BrowseQuery(path=f"Music/{album.ALBUM}"))
        if [entry.name for entry in listing.entries] != [song.name for song in self.songs]:
            raise Failed("bob's folder looks different from here")
        made = self.dan.client.get(getting.NewGet(peer=bob, path="Music", to=str(self.dan.files)))
        wait_for("the folder is there", lambda: transfer(self.dan, made.id).state == "complete", every=0.03)
        root = Path(transfer(self.dan, made.id).path or "")
        for song in self.songs:
            if (root / album.ALBUM / song.name).read_bytes() != song.read_bytes():
                raise Failed(f"{song.name} is not what bob shares")
        whole = sum(entry.size_bytes for entry in listing.entries)
        return None, f"{len(self.songs)} files, {size(whole)}, as they lie there"

    def _follow(self) -> tuple[None, str]:
        folder = self.ann.files / "news"
        folder.mkdir()
        for number in range(FEED_FILES):
            (folder / f"page {number}.bin").write_bytes(os.urandom(FEED_FILE_BYTES))
        feed = self.ann.client.publish(share.NewFeed(name="news", path=str(folder)))
        wait_for("the first version is published", lambda: self._feed(self.ann).sequence == 1)
        self.dan.client.follow(
            share.FollowRequest(link=self._feed(self.ann).link or feed.link, to=str(self.dan.files))
        )
        wait_for("dan has the first version", lambda: self._feed(self.dan).have == 1)
        return None, f"version 1: {FEED_FILES} files, {size(FEED_FILES * FEED_FILE_BYTES)}"

    def _renew(self) -> tuple[None, str]:
        changed = self.ann.files / "news" / "page 7.bin"
        changed.write_bytes(os.urandom(FEED_FILE_BYTES))
        self.ann.client.publish_again(self._feed(self.ann).id)
        wait_for("dan has the second version", lambda: self._feed(self.dan).have == 2)
        if (self.dan.files / "news" / "page 7.bin").read_bytes() != changed.read_bytes():
            raise Failed("the changed file is the old one still")
        moved = next(one for one in self.dan.client.history().entries if one.name == "news").moved_bytes
        whole = FEED_FILES * FEED_FILE_BYTES
        if moved > 0.1 * whole:
            raise Failed(f"{size(moved)} of {size(whole)} were fetched for one file of {FEED_FILES}")
        return None, f"version 2: {size(moved)} of {size(whole)} fetched"

    @staticmethod
    def _feed(actor: Actor) -> share.Feed:
        found = next(one for one in actor.client.feeds() if one.name == "news")
        if found.state == "failed":
            raise Failed(f"{actor.name}: {found.reason}")
        return found
