"""The fake node's half that shares: a library, two peers who have much, wishes, feeds, codes, a queue.

`pace` stretches all waiting: 1 as with real peers, near 0 for tests.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator
from fnmatch import fnmatch
from pathlib import Path

import msgspec

from servent.api import schema
from servent.api import schema_getting as getting
from servent.api import schema_share as share
from servent.errors import Doubtful, NotFound, Refused, UsageError
from servent.identity import Identity, PeerId
from tests.api.fake_tree import ABOUT_NOW, Browsable, FakeFile, File, tree

ME, ANN, BOB = (Identity(bytes([number]) * 32).peer for number in (1, 2, 3))
NAMES = {str(ME): "me", str(ANN): "ann", str(BOB): "bob"}
FEED_LINK = "servent-feed:" + "k" * 52 + "/weekly-mix"
replace = msgspec.structs.replace


def stranger(number: int) -> PeerId:
    """Somebody who is not connected."""
    return Identity(hashlib.sha256(b"stranger %d" % number).digest()).peer


def _id(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16]


class FakeShare:
    """`ShareFace` from memory. `FakeNode` has the transfers: `add_transfer` puts one there."""

    def __init__(self, data_dir: Path, pace: float, *, fresh: bool) -> None:
        self.pace, self._born, self._downloads = pace, time.time(), str(data_dir / "downloads")
        self._trees = {
            str(ME): Browsable([] if fresh else tree(1, 0.15)),
            str(ANN): Browsable(tree(2, 1.0)),
            str(BOB): Browsable(tree(3, 0.3)),
        }
        self._folders: dict[str, share.Folder] = {}
        self._wishes: dict[str, share.Wish] = {}
        self._feeds: dict[str, share.Feed] = {}
        self._codes: dict[str, tuple[share.Code, float]] = {}
        self._blocks: dict[str, share.Block] = {}
        self._reports: list[share.Report] = []
        self._filters = share.Filters()
        self._history: list[getting.HistoryEntry] = []
        self._queue = getting.Queue()
        self._chosen: dict[str, frozenset[int]] = {}
        self._setup = getting.Setup(
            done=not fresh, name="me", folder=str(Path.home() / "Music"), downloads=self._downloads
        )
        if not fresh:
            self._fill()

    def add_transfer(self, transfer: schema.Transfer, lasts: float | None = None) -> schema.Transfer:
        raise NotImplementedError

    def transfers(self) -> list[schema.Transfer]:
        raise NotImplementedError

    def _fill(self) -> None:
        now = time.time()
        for name, audience, kind in (
            ("Music", "network", "audio"), ("Photos", "friends", "image"), ("Films", "nobody", "video"),
        ):  # fmt: skip
            mine = [file for file in self._trees[str(ME)].files if file.path.startswith(name)]
            size = sum(file.size for file in mine)
            folder = share.Folder(
                id=_id(name), path=f"/home/me/{name}", name=name, audience=audience,  # type: ignore[arg-type]
                state="watching", files=len(mine), size_bytes=size, hashed_files=len(mine), hashed_bytes=size,
                scanned=now - 300, skipped=3 if kind == "image" else 0,
                skipped_why=["2 hidden files", "DSC_0001.jpg: no permission to read it"] if kind == "image" else [],
            )  # fmt: skip
            self._folders[folder.id] = folder
        self._folders[_id("Films")] = replace(self._folders[_id("Films")], state="hashing")
        for q, auto, reason in (
            ("nina simone type:audio", True, "watching; ann and bob were asked a minute ago"),
            ("nosferatu ext:mkv", False, "watching; ann and bob were asked a minute ago"),
            ("bonobo black sands", False, "nobody has it yet"),
        ):
            found = len(self._matching(q))
            wish = share.Wish(
                id=_id("wish", q), q=q, auto=auto, matches=found, new=min(found, 2), fetched=2 if auto else 0,
                created=now - 86400, last_match=now - 600 if found else None, last_asked=now - 60, reason=reason,
            )  # fmt: skip
            self._wishes[wish.id] = wish
        versions = [
            share.FeedVersion(
                sequence=number, published=now - (8 - number) * 86400, infohash=_id("v", number) * 4,
                size_bytes=410_000_000 + number * 3_000_000, files=40 + number,
            )
            for number in range(7, 0, -1)
        ]  # fmt: skip
        for name, mine, state, reason in (
            ("family photos", True, "published", ""),
            ("site", True, "failed", "/home/me/site is gone; put it back, or remove the feed"),
            ("weekly-mix", False, "fetching", "fetching version 7, 12 of 431 MB"),
            ("openstreetmap extracts", False, "current", ""),
        ):
            feed = share.Feed(
                id=_id("feed", name), name=name, mine=mine, publisher=str(ME if mine else ANN),
                publisher_name="me" if mine else "ann", link=FEED_LINK, path=f"/home/me/{name}",
                state=state, reason=reason, sequence=7, have=6 if state == "fetching" else 7,  # type: ignore[arg-type]
                size_bytes=431_000_000, files=47, updated=now - 86400, checked=now - 120,
                followers=3 if mine else 0, versions=versions, keep=2,
            )  # fmt: skip
            self._feeds[feed.id] = feed
        bad = "0bad" * 16
        self._blocks = {
            _id("b1"): share.Block(id=_id("b1"), content=bad, name="setup-crack.exe", note="malware", since=now - 9e5),
            _id("b2"): share.Block(id=_id("b2"), peer=str(Identity(b"\x09" * 32).peer), name="spammer", since=now - 5e5),
        }  # fmt: skip
        self._reports = [
            share.Report(id=_id("r1"), content=bad, name="setup-crack.exe", reason="malware", told=1, time=now - 9e5),
            share.Report(
                id=_id("r2"), content="ab" * 32, name="not what it says.mp4", reason="mislabelled", by=str(BOB),
                note="this is an advert", mine=False, time=now - 4000,
            ),
        ]  # fmt: skip
        self._filters = share.Filters(words=["casino"], exts=["exe", "scr"])
        dice = random.Random(5)
        files = self._trees[str(ANN)].files
        for number in range(300):
            file, up = dice.choice(files), number % 3 == 0
            failed = number % 23 == 5
            self._history.append(
                getting.HistoryEntry(
                    id=_id("h", number), direction="up" if up else "down", name=file.name,
                    state="failed" if failed else "complete", size_bytes=file.size,
                    moved_bytes=file.size // 3 if failed else file.size, peers=[str(dice.choice((ANN, BOB)))],
                    path=None if up else f"{self._downloads}/{file.name}", link="" if up else f"magnet:?xt=urn:btmh:1220{file.content}",
                    started=now - number * 7000 - 600, finished=now - number * 7000,
                    error="nobody has it any more" if failed else "",
                )
            )  # fmt: skip
        self._queue = getting.Queue(
            schedule=[getting.ScheduleRule(days=[0, 1, 2, 3, 4], begin="08:00", end="18:00", up_bytes_per_s=500_000)],
            now="No schedule rule holds now; background transfers yield to whatever else uses the line.",
        )  # fmt: skip

    # library

    def folders(self) -> list[share.Folder]:
        return [self._moved(folder) for folder in self._folders.values()]

    def _moved(self, folder: share.Folder) -> share.Folder:
        """What hashes moves on; what is done hashing begins again, so that there is always something to see."""
        if folder.state != "hashing" or not folder.size_bytes:
            return folder
        part = ((time.time() - self._born) / (60 * max(self.pace, 0.01))) % 1.0
        return replace(
            folder, hashed_bytes=int(folder.size_bytes * part), hashed_files=int(folder.files * part),
            rate_bytes_per_s=folder.size_bytes / 60, eta_s=round(60 * (1 - part), 1),
            reason="hashing 01 Slow letters.flac",
        )  # fmt: skip

    def library(self) -> share.Library:
        rows = self.folders()
        kinds: dict[str, int] = {}
        for file in self._trees[str(ME)].files:
            kinds[file.kind] = kinds.get(file.kind, 0) + 1
        busy = any(row.state == "hashing" for row in rows)
        return share.Library(
            folders=len(rows), files=sum(row.files for row in rows), size_bytes=sum(row.size_bytes for row in rows),
            hashed_files=sum(row.hashed_files for row in rows), hashed_bytes=sum(row.hashed_bytes for row in rows),
            kinds=kinds, state="empty" if not rows else "hashing" if busy else "ready",
            reason="1 of 3 folders is being hashed" if busy else "",
        )  # fmt: skip

    def _folder(self, folder: str) -> share.Folder:
        if folder not in self._folders:
            raise NotFound(f"no shared folder {folder!r}", advice="`servent library` lists them.")
        return self._folders[folder]

    async def add_folder(self, new: share.NewFolder) -> share.Folder:
        known = next((row for row in self._folders.values() if row.path == new.path), None)
        if known is not None:
            raise UsageError(
                f"{new.path} is shared already", advice=f"`servent library change {known.name}`."
            )
        if not new.confirm and (".ssh" in new.path or Path(new.path) == Path.home()):
            raise Doubtful(
                f"{new.path} holds what people rarely mean to share: id_ed25519 (a private key), .bash_history",
                advice="Share a folder inside it, or confirm that you mean it.",
            )
        made = share.Folder(
            id=_id(new.path), path=new.path, name=new.name or Path(new.path).name, audience=new.audience,
            peers=new.peers, include=new.include, exclude=new.exclude, hidden=new.hidden,
            state="hashing", files=250, size_bytes=2_000_000_000, scanned=time.time(),
        )  # fmt: skip
        self._folders[made.id] = made
        return self._moved(made)

    async def change_folder(self, folder: str, change: share.FolderChange) -> share.Folder:
        values = {k: v for k, v in msgspec.structs.asdict(change).items() if v is not None and k != "confirm"}
        self._folders[folder] = replace(self._folder(folder), **values)
        return self._folders[folder]

    async def remove_folder(self, folder: str) -> None:
        del self._folders[self._folder(folder).id]

    async def pause_folder(self, folder: str, paused: bool) -> share.Folder:
        reason = "paused by you" if paused else ""
        now = replace(self._folder(folder), state="paused" if paused else "watching", reason=reason)
        self._folders[folder] = now
        return now

    async def rescan_folder(self, folder: str) -> share.Folder:
        self._folders[folder] = replace(self._folder(folder), scanned=time.time())
        return self._folders[folder]

    # search and browse

    async def search(self, query: share.SearchQuery) -> AsyncIterator[share.SearchEvent]:
        began, count = time.time(), 0
        if not any(char.isalnum() for char in query.q):
            raise UsageError("there is no word to search for", advice="Give at least one word.")
        wanted = self._resolve(query.peer) if query.peer else ""
        asked = [
            peer for peer in (str(ANN), str(BOB)) if query.scope in ("all", "peers") and wanted in ("", peer)
        ]
        sources: dict[str, share.Hit] = {}
        networks = [name for name, id in self.network_names().items() if query.network in ("", name, id)]
        if query.scope == "library" or wanted:
            networks = []
        if query.network and not networks:
            raise NotFound(f"no network is called {query.network!r}")
        for name in networks:
            yield share.SearchEvent(kind="network", network=name, asked=2, messages=2)
        async for event in self._in_networks(query, networks, sources):
            yield event
        if query.network:
            yield share.SearchEvent(kind="done", hits=len(sources), took_ms=1.0)
            return
        order = ([str(ME)] if query.scope in ("all", "library") and wanted in ("", str(ME)) else []) + asked
        for number, peer in enumerate(order):
            if peer != str(ME):
                await asyncio.sleep(0.25 * self.pace)
            found = self._matching(query.q, [peer])[: query.limit]
            for start in range(0, len(found), 12):
                for file in found[start : start + 12]:
                    hit = self._hit(file, peer, sources.get(file.content))
                    if hit.content not in sources and len(sources) >= query.limit:
                        count = query.limit
                        continue
                    sources[file.content] = hit
                    yield share.SearchEvent(kind="hit", hit=hit)
                if peer != str(ME):
                    await asyncio.sleep(0.12 * self.pace)
            if peer != str(ME):
                yield share.SearchEvent(
                    kind="peer", peer=peer, name=NAMES[peer], hits=len(found), asked=len(asked),
                    answered=number + len(asked) - len(order) + 1,
                )  # fmt: skip
        yield share.SearchEvent(
            kind="done", hits=len(sources), asked=len(asked), answered=len(asked),
            more=count > 0, took_ms=round((time.time() - began) * 1000, 1),
        )  # fmt: skip

    async def _in_networks(
        self, query: share.SearchQuery, networks: list[str], sources: dict[str, share.Hit]
    ) -> AsyncIterator[share.SearchEvent]:
        """What their supernodes find: things of people who are not connected, some of them away."""
        found = self._matching(query.q, [str(BOB), str(ANN)])
        for number, name in enumerate(networks):
            await asyncio.sleep(0.3 * self.pace)
            yield share.SearchEvent(kind="network", network=name, asked=2, answered=1, messages=4)
            for place, file in enumerate(found[number :: len(networks) + 1]):
                if len(sources) >= query.limit:
                    break
                holder = share.HitSource(
                    peer=str(stranger(place % 7)), name="" if place % 3 else f"carol {place % 7}", path=file.path,
                    network=name, reachable=(True, None, True, False)[place % 4], modified=file.modified,
                )  # fmt: skip
                hit = replace(self._hit(file, str(ANN)), sources=[])
                if place % 3 == 0:  # what nobody has who is connected
                    hit = replace(
                        hit,
                        name=f"Live {file.name}",
                        content=_id(name, file.content) * 4,
                        here=False,
                        score=0.7,
                    )
                known = sources.get(hit.content, hit)
                sources[hit.content] = replace(known, sources=[*known.sources, holder])
                yield share.SearchEvent(kind="hit", hit=sources[hit.content])
            await asyncio.sleep(0.3 * self.pace)
            yield share.SearchEvent(
                kind="network", network=name, asked=2, answered=2, messages=6, over=True, sampled=number == 2
            )

    def network_names(self) -> dict[str, str]:
        """Names and ids; `FakeNetworks` has them."""
        return {}

    def _matching(self, q: str, peers: list[str] | None = None) -> list[File]:
        words = q.lower().replace('"', "").split()
        fields = {word.partition(":")[0]: word.partition(":")[2] for word in words if ":" in word}
        plain = [word for word in words if ":" not in word and not word.startswith("-")]
        without = [word[1:] for word in words if word.startswith("-")]

        def fits(file: File) -> bool:
            text = file.path.lower()
            return (
                all(word.rstrip("*") in text for word in plain)
                and not any(word and word in text for word in without)
                and fields.get("type", file.kind) == file.kind
                and fields.get("ext", file.ext) == file.ext
                and fields.get("artist", "") in str(file.tags.get("artist", "")).lower()
            )

        trees = peers or [str(ANN), str(BOB)]
        found = {file.content: file for peer in trees for file in self._trees[peer].files if fits(file)}
        return list(found.values())[:1000]

    def _hit(self, file: File, peer: str, known: share.Hit | None = None) -> share.Hit:
        mine = peer == str(ME)
        source = share.HitSource(
            peer=peer, name=NAMES[peer], path=file.path, mine=mine, friend=peer == str(ANN), free=peer != str(BOB),
            queue=4 if peer == str(BOB) else 0, modified=file.modified,
        )  # fmt: skip
        others = [] if known is None else [one for one in known.sources if one.peer != peer]
        blocked = (
            "you block this content" if any(b.content == file.content for b in self._blocks.values()) else ""
        )
        return share.Hit(
            content=file.content, name=file.name, kind=file.kind, size_bytes=file.size, ext=file.ext, tags=file.tags,
            sources=[*others, source], score=round(1.0 + 0.1 * len(others), 2), blocked=blocked,
            here=file.content in self._trees[str(ME)].by_content,
        )  # fmt: skip

    def _resolve(self, peer: str) -> str:
        for id, name in NAMES.items():
            if peer in (id, name, Identity(bytes([1]) * 32).peer.short if id == str(ME) else name):
                return id
        if peer in (str(stranger(number)) for number in range(10)):
            return peer
        raise NotFound(f"nobody here is called {peer[:64]!r}", advice="`servent peers` lists who is.")

    async def browse(self, peer: str, query: share.BrowseQuery) -> share.Listing:
        whom = self._resolve(peer)
        await asyncio.sleep(0 if whom == str(ME) else 0.08 * self.pace)
        found = self._trees[whom].list(query)
        if found is None:
            raise NotFound(f"{NAMES[whom]} shares nothing at {query.path[:100]!r} with you")
        mine = self._trees[str(ME)].by_content
        blocks = {block.content for block in self._blocks.values() if block.content}
        entries = [
            replace(
                entry, here=entry.content in mine, blocked="you blocked it" if entry.content in blocks else ""
            )
            for entry in found[0]
        ]
        path = query.path.strip("/")
        files, size = self._trees[whom].sums[path]
        return share.Listing(
            peer=whom, name=NAMES[whom], path=path, entries=entries, offset=query.offset, total=found[1],
            files=files, size_bytes=size, partial=whom == str(BOB),
        )  # fmt: skip

    async def recommendations(self, page: share.Page) -> list[share.Recommendation]:
        mine = self._trees[str(ME)].by_content
        lacking = [file for file in self._trees[str(BOB)].files if file.content not in mine]
        rows = [
            share.Recommendation(
                hit=self._hit(file, str(BOB), self._hit(file, str(ANN))), score=round(1 / (1 + place / 50), 3),
                because=f"ann and bob have it, who have {80 - place % 40} of your files",
            )
            for place, file in enumerate(lacking)
        ]  # fmt: skip
        return rows[page.offset : page.offset + page.limit]

    # wishes

    def wishes(self) -> list[share.Wish]:
        return list(self._wishes.values())

    async def add_wish(self, new: share.NewWish) -> share.Wish:
        if any(wish.q == new.q for wish in self._wishes.values()):
            raise UsageError(f"you wish for {new.q!r} already", advice="`servent wish list` shows it.")
        found = len(self._matching(new.q))
        now = time.time()
        wish = share.Wish(
            id=_id("wish", new.q), q=new.q, auto=new.auto, max_bytes=new.max_bytes, most=new.most, peers=new.peers,
            to=new.to, matches=found, new=found, created=now, last_asked=now, last_match=now if found else None,
            reason="watching" if found else "nobody has it yet",
        )  # fmt: skip
        self._wishes[wish.id] = wish
        return wish

    async def change_wish(self, wish: str, change: share.WishChange) -> share.Wish:
        values = {k: v for k, v in msgspec.structs.asdict(change).items() if v is not None}
        if values.pop("seen", False):
            values["new"] = 0
        if "paused" in values:
            values["reason"] = "paused by you" if values["paused"] else "watching"
        self._wishes[wish] = replace(self._wishes[wish], **values)
        return self._wishes[wish]

    async def remove_wish(self, wish: str) -> None:
        del self._wishes[wish]

    async def wish_matches(self, wish: str, page: share.Page) -> list[share.WishMatch]:
        known = self._wishes[wish]
        rows = [
            share.WishMatch(
                hit=self._hit(file, str(ANN)), found=ABOUT_NOW - 60 * place, seen=place >= known.new
            )
            for place, file in enumerate(self._matching(known.q))
        ]
        return rows[page.offset : page.offset + page.limit]

    # feeds

    def feeds(self) -> list[share.Feed]:
        return list(self._feeds.values())

    async def publish(self, new: share.NewFeed) -> share.Feed:
        if any(feed.mine and feed.name == new.name for feed in self._feeds.values()):
            raise UsageError(f"you publish {new.name!r} already", advice="`servent feeds` shows it.")
        now = time.time()
        version = share.FeedVersion(
            sequence=1, published=now, infohash=_id(new.name) * 4, size_bytes=1000, files=1
        )
        feed = share.Feed(
            id=_id("feed", new.name), name=new.name, mine=True, publisher=str(ME), publisher_name="me",
            link=f"servent-feed:{ME}/{_id(new.name)}", path=new.path, state="published", watch=new.watch, sequence=1, have=1,
            size_bytes=1000, files=1, updated=now, checked=now, versions=[version],
        )  # fmt: skip
        self._feeds[feed.id] = feed
        return feed

    async def publish_again(self, feed: str) -> share.Feed:
        known = self._feeds[feed]
        if not known.mine:
            raise UsageError(f"{known.name} is {known.publisher_name}'s", advice="Only its publisher can.")
        self._feeds[feed] = replace(
            known, sequence=known.sequence + 1, have=known.sequence + 1, updated=time.time()
        )
        return self._feeds[feed]

    async def follow(self, request: share.FollowRequest) -> share.Feed:
        if not request.link.startswith("servent-feed:"):
            raise UsageError("this is no link of a feed", advice="It begins with servent-feed:")
        feed = share.Feed(
            id=_id("feed", request.link), name=request.link.rpartition("/")[2][:64] or "feed", mine=False,
            publisher=str(ANN), publisher_name="ann", link=request.link, path=request.to or self._downloads,
            state="waiting", reason="ann is asked for the newest version", auto=request.auto, keep=request.keep,
        )  # fmt: skip
        self._feeds[feed.id] = feed
        return feed

    async def change_feed(self, feed: str, change: share.FeedChange) -> share.Feed:
        values = {k: v for k, v in msgspec.structs.asdict(change).items() if v is not None}
        if "paused" in values:
            paused = values.pop("paused")
            values |= {
                "state": "paused" if paused else "current",
                "reason": "paused by you" if paused else "",
            }
        self._feeds[feed] = replace(self._feeds[feed], **values)
        return self._feeds[feed]

    async def check_feed(self, feed: str) -> share.Feed:
        self._feeds[feed] = replace(self._feeds[feed], checked=time.time())
        return self._feeds[feed]

    async def remove_feed(self, feed: str) -> None:
        del self._feeds[feed]

    # codes

    def codes(self) -> list[share.Code]:
        return [self._code(id) for id in self._codes]

    def _code(self, id: str) -> share.Code:
        made, started = self._codes[id]
        if made.state in ("failed", "cancelled"):
            return made
        steps: list[tuple[float, str, str]] = [
            (0.5, "preparing", "hashing"),
            (8.0 if made.sending else 1.0, "waiting", "say the code to whoever is to have it"),
            (10.0, "meeting", "they said the code; meeting them"),
            (14.0, "moving", "moving"),
        ]
        passed = (time.time() - started) / max(self.pace, 0.001)
        state, reason = next(((state, why) for end, state, why in steps if passed < end), ("done", "done"))
        return replace(made, state=state, reason=reason)

    async def make_code(self, new: share.NewCode) -> share.Code:
        id, now = _id("code", time.time()), time.time()
        made = share.Code(
            id=id, sending=True, code=f"{len(self._codes) + 7}-guitar-window", state="preparing", name=Path(new.path).name,
            size_bytes=48_000_000, files=12, peer_name="bob", peer=str(BOB), expires=now + new.lifetime, started=now,
            path=new.path, reason="hashing",
        )  # fmt: skip
        self._codes[id] = (made, now)
        return self._code(id)

    async def receive(self, request: share.ReceiveRequest) -> share.Code:
        if request.code.count("-") < 2:
            raise UsageError(f"{request.code[:60]!r} is no code", advice="It looks like 7-guitar-window.")
        if "wrong" in request.code:
            raise Refused(
                "nobody reachable offers anything under this code", advice="Ask them to read it again."
            )
        id, now = _id("code", time.time()), time.time()
        made = share.Code(
            id=id, sending=False, state="meeting", name="holiday pictures", size_bytes=48_000_000, files=12,
            peer=str(BOB), peer_name="bob", started=now, path=f"{request.to or self._downloads}/holiday pictures", reason="meeting",
        )  # fmt: skip
        self._codes[id] = (made, now)
        return self._code(id)

    async def cancel_code(self, code: str) -> None:
        made = self._code(code)
        self._codes[code] = (
            replace(made, state="cancelled", reason="cancelled by you"),
            self._codes[code][1],
        )

    # safety

    def blocks(self) -> list[share.Block]:
        return list(self._blocks.values())

    async def block(self, new: share.NewBlock) -> share.Block:
        peer = self._resolve(new.peer) if new.peer else ""
        made = share.Block(
            id=_id("block", new.content, peer), content=new.content or "", peer=peer, name=NAMES.get(peer, ""),
            note=new.note, since=time.time(),
        )  # fmt: skip
        self._blocks[made.id] = made
        return made

    async def unblock(self, block: str) -> None:
        del self._blocks[block]

    def reports(self) -> list[share.Report]:
        return list(self._reports)

    async def report(self, new: share.NewReport) -> share.Report:
        peer = self._resolve(new.peer) if new.peer else ""
        made = share.Report(
            id=_id("report", len(self._reports)), content=new.content or "", peer=peer, name=new.name, reason=new.reason,
            note=new.note, told=1, time=time.time(),
        )  # fmt: skip
        self._reports.insert(0, made)
        await self.block(share.NewBlock(content=new.content, peer=new.peer))
        return made

    def filters(self) -> share.Filters:
        return self._filters

    async def set_filters(self, filters: share.Filters) -> share.Filters:
        self._filters = filters
        return filters

    # getting

    async def get(self, new: getting.NewGet) -> schema.Transfer:
        whom = [self._resolve(peer) for peer in ([new.peer] if new.peer else new.peers)]
        if new.content is not None:
            file = next(
                (t.by_content[new.content] for t in self._trees.values() if new.content in t.by_content), None
            )
            name, size, files = new.name or (file.name if file else new.content[:16]), new.size_bytes, 1
            if file is not None:
                name, size = file.name, file.size
        else:
            at = self._trees[whom[0]].sums.get(new.path.strip("/"))
            if at is None:
                below = [f for f in self._trees[whom[0]].files if f.path == new.path.strip("/")]
                if not below:
                    raise NotFound(f"{NAMES[whom[0]]} shares nothing at {new.path[:100]!r} with you")
                at = [1, below[0].size]
            name, size, files = new.path.strip("/").rpartition("/")[2] or NAMES[whom[0]], at[1], at[0]
        id = hashlib.sha256(f"{new.content}{new.peer}{new.path}".encode()).hexdigest()
        made = self.add_transfer(
            schema.Transfer(
                id=id, direction="down", name=name, state="paused" if new.paused else "active",
                size_bytes=size, files=files, path=f"{new.to or self._downloads}/{name}", priority=new.priority,
                preview=new.preview, in_order=new.preview, started=time.time(), infohash=id,
                peers=len(whom) or 2, reason="paused by you" if new.paused else "",
                sources=[schema.Source(peer=peer, name=NAMES[peer], path="direct", lane="tcp") for peer in whom],
            )
        )  # fmt: skip
        if new.files:
            await self.choose_files(id, getting.FileChoice(files=new.files))
        return made

    def _transfer(self, transfer: str) -> schema.Transfer:
        found = next((one for one in self.transfers() if one.id == transfer), None)
        if found is None:
            raise NotFound(f"no transfer {transfer[:80]!r}", advice="`servent transfers` lists them.")
        return found

    async def transfer_files(self, transfer: str, page: share.Page) -> list[getting.TransferFile]:
        known = self._transfer(transfer)
        chosen = self._chosen.get(transfer)
        count = min(known.files, 5000)
        part = known.done_bytes / known.size_bytes if known.size_bytes else 0.0
        each = known.size_bytes // max(1, count)
        return [
            getting.TransferFile(
                index=index, path=f"disc {index // 12 + 1}/{index % 12 + 1:02} track.flac", size_bytes=each,
                done_bytes=int(each * part), wanted=chosen is None or index in chosen, kind="audio",
            )
            for index in range(page.offset, min(count, page.offset + page.limit))
        ]  # fmt: skip

    async def choose_files(self, transfer: str, choice: getting.FileChoice) -> list[getting.TransferFile]:
        known = self._transfer(transfer)
        wanted = range(known.files) if choice.wanted is None else choice.wanted
        if any(index >= known.files for index in wanted):
            raise UsageError(
                f"{known.name} has {known.files} files", advice=f"`servent files {transfer[:12]}`."
            )
        if choice.files:
            all_files = await self.transfer_files(transfer, share.Page(limit=share.MOST_PAGE))
            wanted = [
                file.index for file in all_files
                if any(fnmatch(file.path if "/" in one else file.path.rpartition("/")[2], one) for one in choice.files)
            ]  # fmt: skip
            if not wanted:
                raise NotFound(f"none of the {known.files} files matches {' or '.join(choice.files)}")
        self._chosen[transfer] = frozenset(wanted)
        self.add_transfer(replace(known, wanted_files=len(self._chosen[transfer])))
        return await self.transfer_files(transfer, share.Page())

    async def read_transfer(self, transfer: str, index: int) -> FakeFile:
        known = self._transfer(transfer)
        if index >= known.files:
            raise NotFound(f"{known.name} has no file {index}")
        return FakeFile(File(known.name, known.size_bytes // max(1, known.files), 0.0))

    async def read_content(self, content: str) -> FakeFile:
        for browsable in self._trees.values():
            if content in browsable.by_content:
                return FakeFile(browsable.by_content[content])
        raise NotFound("nothing here has this content")

    # queue

    async def change_transfer(self, transfer: str, change: getting.TransferChange) -> schema.Transfer:
        known = self._transfer(transfer)
        values = {k: v for k, v in msgspec.structs.asdict(change).items() if v is not None and k != "to"}
        if change.to is not None:
            values["path"] = f"{change.to}/{change.name or known.name}"
        return self.add_transfer(replace(known, **values))

    async def act_on_many(self, many: getting.ManyTransfers) -> getting.ManyDone:
        known = {one.id: one for one in self.transfers()}
        done, failed = 0, []
        fits = {
            "pause": lambda one: one.state in ("active", "queued"),
            "resume": lambda one: one.state == "paused",
            "cancel": lambda one: one.state not in schema.ENDED,
            "verify": lambda one: one.state == "complete",
            "remove": lambda one: one.state in schema.ENDED,
            "clear-ended": lambda one: one.state in schema.ENDED,
        }[many.action]
        for id in many.ids or [one.id for one in known.values() if fits(one)]:
            if id not in known or known[id].direction == "up":
                failed.append(f"{id[:12]}: no such download")
                continue
            await self.act(many.action, id)
            done += 1
        return getting.ManyDone(done=done, failed=failed[:100])

    async def act(self, action: str, transfer: str) -> None:
        raise NotImplementedError

    async def history(self, query: getting.HistoryQuery) -> getting.History:
        found = [
            one
            for one in self._history
            if query.q.lower() in one.name.lower() and query.direction in ("", one.direction)
        ]
        return getting.History(entries=found[query.offset : query.offset + query.limit], total=len(found))

    async def clear_history(self) -> None:
        self._history.clear()

    def queue(self) -> getting.Queue:
        return self._queue

    async def set_queue(self, queue: getting.Queue) -> getting.Queue:
        peers = [replace(one, peer=self._resolve(one.peer)) for one in queue.peers]
        self._queue = replace(queue, peers=peers, now=self._queue.now)
        return self._queue

    # the first run

    def setup(self) -> getting.Setup:
        return self._setup

    async def finish_setup(self, done: getting.SetupDone) -> getting.Setup:
        self._setup = replace(self._setup, done=True, name=done.name or self._setup.name)
        return self._setup


def crowd(count: int) -> list[schema.Transfer]:
    """`count` transfers of every state, up and down."""
    dice = random.Random(11)
    files = tree(2, 1.0)
    states = ["active"] * 12 + ["queued"] * 4 + ["paused"] * 2 + ["complete"] * 5 + ["failed", "connecting"]
    rows = []
    for number in range(count):
        file, state, up = dice.choice(files), dice.choice(states), number % 4 == 3
        if up and state in ("paused", "failed", "connecting"):
            state = "active"
        whom = dice.choice((ANN, BOB))
        source = schema.Source(
            peer=str(whom), name=NAMES[str(whom)], path="direct" if whom == ANN else "relayed",
            lane="tcp" if whom == ANN else "quic", state="active" if state == "active" else "queued",
            position=None if state == "active" else dice.randint(1, 40), rate_bytes_per_s=1e6 if state == "active" else 0.0,
            reason="" if state == "active" else "their 8 slots are in use",
        )  # fmt: skip
        reason = {
            "queued": f"number {dice.randint(1, 40)} in {NAMES[str(whom)]}'s queue: their 8 slots are in use",
            "paused": "paused by you", "connecting": "looking for a path to bob",
        }.get(state, "")  # fmt: skip
        rows.append(
            schema.Transfer(
                id=("up-" if up else "") + _id("crowd", number), direction="up" if up else "down", name=file.name,
                state=state, size_bytes=file.size, done_bytes=file.size if state == "complete" else 0,  # type: ignore[arg-type]
                files=1, peers=1, sources=[source], reason=reason, started=time.time() - dice.random() * 600,
                finished=time.time() if state == "complete" else None, infohash=_id(number) * 4,
                error="nobody has it any more" if state == "failed" else None,
                advice="Search for it again: somebody else may have it." if state == "failed" else None,
                priority=dice.choice(("low", "normal", "normal", "normal", "high")),
                place=number % 40 if state == "queued" and not up else None,
            )
        )  # fmt: skip
    return rows
