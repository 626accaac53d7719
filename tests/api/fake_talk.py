"""The fake node's people: friends in every state, rooms, conversations that answer, and a script that lets them live.

A friend who is here obeys what is written to them: "!say WORDS" has them say it, "!away", "!online" and "!offline" change
what they are, "!ask" lets a stranger ask for friendship. So a test, or somebody at the page, has both ends in hand.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Iterator

import msgspec

from servent.api import schema_talk as talk
from servent.errors import NotFound, Refused, UsageError
from servent.identity import Identity, PeerId
from tests.api.fake_share import stranger

ME, ANN, BOB = (Identity(bytes([number]) * 32).peer for number in (1, 2, 3))
CAROL, DAVE, ERIN, FRANK, FALSE_ANN, MALLORY = (stranger(200 + number) for number in range(6))
replace = msgspec.structs.replace
WORDS = (
    "did you get the recordings?", "yes, all of them", "the second one is cut off at the end", "I'll look tonight",
    "how does the new shelf look", "like the old one, but straight", "see you at eight", "bring the drill", "ok",
    "https://example.org/a-page is worth a look", "who has the slides from Tuesday?", "they are in my share, under Talks",
    "thanks! that was quick", "the match is on again tonight", "I am in", "me too, if the train is on time",
)  # fmt: skip
ODD = (
    "<b>bold?</b> <script>document.title='owned'</script> **stars** [a link](javascript:alert(1))",
    "a title\x1b]0;owned\x07 and colours\x1b[31m red",
    "name\u202egnp.exe and zero\u200bwidth",
    "W" * 300,
    "first line\nsecond line\n\n    a line of code",
)
PLAIN = random.Random(7)
LINK = "magnet:?xt=urn:btmh:1220" + "ab" * 32 + "&dn=holiday"
LEAST_LIFE = 4.0  # s between two things that happen by themselves


def _room_id(name: str) -> str:
    return hashlib.sha256(b"room " + name.encode()).hexdigest()[:32]


class FakeTalk:
    """`TalkFace` from memory. `fresh`: nobody is known and nothing was said."""

    def __init__(self, pace: float, *, fresh: bool) -> None:
        self.talk_pace = pace
        self._presence_mine = talk.MyPresence()
        self._touched = time.time()
        self._friends: dict[str, talk.Friend] = {}
        self._said: dict[str, list[talk.Message]] = {}  # by conversation, oldest first
        self._read: dict[str, str] = {}
        self._silent: set[str] = set()
        self._rooms: dict[str, talk.Room] = {}
        self._in_room: dict[str, dict[str, talk.RoomMember]] = {}
        self._tokens: dict[str, talk.Message] = {}
        self._notices: list[talk.Notice] = []
        self._counted = self._noticed = 0
        self._on_message: list[Callable[[talk.Message], None]] = []
        self._on_notice: list[Callable[[talk.Notice], None]] = []
        if not fresh:
            self._people()
            self._talk()

    def hear(
        self, on_message: Callable[[talk.Message], None], on_notice: Callable[[talk.Notice], None]
    ) -> None:
        self._on_message.append(on_message)
        self._on_notice.append(on_notice)

    # -- what there is

    def _people(self) -> None:
        now = time.time()
        rows: list[tuple[PeerId, dict[str, object], dict[str, object]]] = [
            (ANN, {"name": "ann", "petname": "ann"}, {"presence": "available", "shares": True}),
            (BOB, {"name": "bob"}, {"presence": "away", "note": "at lunch", "shares": True}),
            (CAROL, {"name": "carol", "petname": "Carol from the club"},
             {"presence": "match", "doing": "playing Chess with dave", "silent": True}),
            (DAVE, {"name": "dave"}, {"presence": "offline", "seen": now - 3 * 3600, "shares": True}),
            (ERIN, {"name": "erin"},
             {"bond": "asking", "asked": now - 600, "note_asked": "We met at the workshop, I had the blue bicycle."}),
            (FALSE_ANN, {"name": "\u0430nn", "warning": "This looks like ann, whom you know, and is somebody else."},
             {"bond": "asking", "asked": now - 60, "note_asked": "new phone, it's me"}),
            (FRANK, {"name": "frank"}, {"bond": "asked", "asked": now - 86400, "note_asked": "hello from the lab"}),
        ]  # fmt: skip
        for peer, person, friend in rows:
            bond = friend.setdefault("bond", "friend")
            shown = {"since": now - 40 * 86400} if bond == "friend" else {}
            self._friends[str(peer)] = msgspec.convert(
                {**shown, **friend, "id": str(peer), "person": _person(peer, **person)}, talk.Friend
            )

    def _talk(self) -> None:
        self._chatter(f"peer:{ANN}", [ANN, ME], 300, unread=2)
        self._chatter(f"peer:{BOB}", [BOB, ME], 40, unread=0)
        self._chatter(f"peer:{DAVE}", [DAVE, ME], 5, unread=0)
        crowd = [stranger(number) for number in range(38)]
        self._room(talk.Room(id=_room_id("lobby"), name="lobby", network="home", topic="Everything and nothing",
                             owner=_person(ANN, name="ann", petname="ann"), standing="member", joined=True),
                   [ANN, BOB, MALLORY, *crowd], 400, unread=7)  # fmt: skip
        self._room(talk.Room(id=_room_id("staff"), name="staff", network="home", policy="invite", topic="For us four",
                             owner=_person(ME, name="me", me=True), standing="owner", joined=True, slow=0.0),
                   [ANN, BOB, CAROL], 25, unread=0)  # fmt: skip
        self._room(talk.Room(id=_room_id("music"), name="music", network="home", topic="What we listen to",
                             owner=_person(BOB, name="bob"), members=12, present=4), [], 0, unread=0)  # fmt: skip
        self._room(talk.Room(id=_room_id("chess"), name="chess", network="home", policy="invite", standing="invited",
                             owner=_person(CAROL, name="carol", petname="Carol from the club"), members=5, present=2),
                   [], 0, unread=0)  # fmt: skip

    def _chatter(self, conversation: str, who: list[PeerId], count: int, *, unread: int) -> None:
        now = time.time()
        said = self._said.setdefault(conversation, [])
        for number in range(count):
            at = now - (count - number) * 600 - 90
            author = who[0] if number >= count - unread else who[PLAIN.randrange(len(who))]
            text = ODD[number // 19 % len(ODD)] if number % 19 == 7 else PLAIN.choice(WORDS)
            said.append(
                self._make(
                    conversation,
                    author,
                    text,
                    at=at,
                    attachments=[talk.Attachment(link=LINK, name="holiday", size_bytes=1_000_000)]
                    if number % 31 == 11
                    else [],
                )
            )
        for number in range(30, len(said), 60):
            said[number] = replace(said[number], reply_to=said[number - 3].id)
            said[number + 1 - 2] = replace(said[number - 1], text="", attachments=[], removed=True)
        mine = [number for number, one in enumerate(said) if one.author.me]
        if mine and conversation.startswith("peer:") and unread == 0:
            said[mine[-1]] = replace(said[mine[-1]], state="waiting")
        if len(said) > unread:
            self._read[conversation] = said[-1 - unread].order

    def _room(self, room: talk.Room, who: list[PeerId], count: int, *, unread: int) -> None:
        self._rooms[room.id] = room
        if not who:
            return
        now = time.time()
        here: dict[str, talk.RoomMember] = {}
        for number, peer in enumerate([ME, *who]):
            owner = room.owner is not None and room.owner.id == str(peer)
            here[str(peer)] = talk.RoomMember(
                person=self._someone(peer),
                standing="owner" if owner else "moderator" if peer == BOB else "member",
                present=peer == ME or number % 3 != 2,
                presence="available" if number % 3 == 0 else "away" if number % 3 == 1 else "offline",
                seen=now - number * 1000,
                muted_until=now + 900 if peer == MALLORY else None,
                reason="shouting" if peer == MALLORY else "",
            )
        self._in_room[room.id] = here
        self._chatter(f"room:{room.id}", [*who[:9], ME], count, unread=unread)
        said = self._said[f"room:{room.id}"]
        if count > 10:
            said[-9] = replace(said[-9], text="", attachments=[], event="left")
            said[-10] = replace(
                said[-10], author=self._someone(ANN), text="mallory: shouting", attachments=[], event="muted"
            )
            said[-3] = replace(said[-3], author=self._someone(ANN), text="me: are you coming?", mention=True,
                               removed=False, event="")  # fmt: skip

    def _someone(self, peer: PeerId) -> talk.Person:
        if peer == ME:
            return _person(ME, name="me", me=True)
        known = self._friends.get(str(peer))
        if known is not None:
            return known.person
        if peer == MALLORY:
            return _person(peer, name="<i>mallory</i>\u202e")
        number = int.from_bytes(hashlib.sha256(bytes(peer)).digest()[:2], "big")
        return _person(peer, name=f"{('grace', 'heidi', 'ivan', 'judy', 'olivia')[number % 5]} {number % 90}")

    def _make(
        self, conversation: str, author: PeerId, text: str, at: float = 0.0, **more: object
    ) -> talk.Message:
        self._counted += 1
        at = at or time.time()
        return msgspec.convert(
            {
                "id": hashlib.sha256(b"%d" % self._counted).hexdigest()[:32],
                "conversation": conversation,
                "author": self._someone(author),
                "text": text,
                "sent": at,
                "received": at,
                "order": f"{self._counted:016x}",
                "state": "delivered" if author == ME else "received",
                **more,
            },
            talk.Message,
        )

    def _tell(self, message: talk.Message) -> talk.Message:
        """Put in a message, or put it in the place of what it was before."""
        said = self._said.setdefault(message.conversation, [])
        for number, one in enumerate(said):
            if one.id == message.id:
                said[number] = message
                break
        else:
            said.append(message)
        for tell in self._on_message:
            tell(message)
        return message

    def _notice(
        self, kind: talk.NoticeKind, person: talk.Person, text: str = "", conversation: str = ""
    ) -> None:
        self._noticed += 1
        made = talk.Notice(
            seq=self._noticed, kind=kind, at=time.time(), conversation=conversation, person=person, text=text
        )
        self._notices = [*self._notices[-199:], made]
        for tell in self._on_notice:
            tell(made)

    # -- friends and presence

    def _friend(self, text: str) -> talk.Friend:
        for friend in self._friends.values():
            if text in (friend.id, friend.person.short_id, friend.person.petname):
                return friend
        named = [friend for friend in self._friends.values() if friend.person.name == text]
        if len(named) == 1:
            return named[0]
        raise NotFound(f"nobody here is called {text[:64]!r}", advice="`servent friends` lists who is.")

    def friends(self) -> list[talk.Friend]:
        def order(friend: talk.Friend) -> tuple[bool, bool, str]:
            return (friend.bond != "asking", friend.presence == "offline", friend.person.shown.casefold())

        return sorted((self._with_unread(friend) for friend in self._friends.values()), key=order)

    def _with_unread(self, friend: talk.Friend) -> talk.Friend:
        return replace(friend, unread=self._unread(f"peer:{friend.id}")[0])

    async def ask_friend(self, request: talk.FriendRequest) -> talk.Friend:
        text = request.peer.removeprefix("servent:")
        try:
            friend = self._friend(text)
        except NotFound:
            if len(text) != 52:
                raise
            try:
                peer = PeerId.parse(text)
            except (ValueError, UsageError):
                raise UsageError("this is no ticket", advice="A ticket begins with servent:") from None
            if peer == ME:
                raise UsageError("that is this node itself") from None
            friend = talk.Friend(id=str(peer), person=self._someone(peer), bond="none")
        if friend.bond == "asking":
            return self._befriend(friend)
        if friend.bond == "none":
            friend = replace(friend, bond="asked", asked=time.time(), note_asked=request.note)
        if request.petname:
            friend = replace(friend, person=replace(friend.person, petname=request.petname, shown=request.petname,
                                                    chosen=True, warning=""))  # fmt: skip
        self._friends[friend.id] = friend
        if friend.id == str(stranger(199)):  # who always says yes
            self._later(0.5, lambda: self._befriend(friend))
        return friend

    def _befriend(self, friend: talk.Friend) -> talk.Friend:
        now = replace(friend, bond="friend", since=time.time(), presence="available", asked=None)
        self._friends[now.id] = now
        self._notice("friend-accepted", now.person)
        return now

    async def answer_friend(self, peer: str, answer: talk.FriendAnswer) -> None:
        friend = self._friend(peer)
        if friend.bond != "asking":
            raise UsageError(f"{friend.person.shown} did not ask", advice="`servent friends` shows who does.")
        if answer.answer == "yes":
            self._befriend(friend)
        else:
            del self._friends[friend.id]

    async def change_friend(self, peer: str, change: talk.FriendChange) -> talk.Friend:
        friend = self._friend(peer)
        if change.silent is not None:
            friend = self._friends[friend.id] = replace(friend, silent=change.silent)
        return self._with_unread(friend)

    async def end_friendship(self, peer: str) -> None:
        del self._friends[self._friend(peer).id]

    def my_presence(self) -> talk.MyPresence:
        mine = self._presence_mine
        idle = bool(mine.idle_away) and time.time() - self._touched > mine.idle_away
        shown = "away" if mine.presence == "available" and idle else mine.presence
        return replace(mine, shown=shown)

    async def set_presence(self, change: talk.PresenceChange) -> talk.MyPresence:
        given = {
            name: value
            for name in ("presence", "note", "idle_away")
            if (value := getattr(change, name)) is not None
        }
        self._presence_mine = replace(self._presence_mine, **given)
        return self.my_presence()

    def touch(self) -> None:
        self._touched = time.time()

    # -- conversations

    def _conversation(self, text: str) -> str:
        kind, _, rest = text.partition(":")
        if kind == "room" and rest in self._rooms and self._rooms[rest].joined:
            return text
        if kind == "peer" and (rest in self._friends or text in self._said):
            return text
        name = text.removeprefix("#")
        rooms = [room for room in self._rooms.values() if room.joined and name in (room.name, room.id)]
        people = [] if text.startswith("#") else [
            friend for friend in self._friends.values()
            if text in (friend.id, friend.person.short_id, friend.person.petname, friend.person.name)
        ]  # fmt: skip
        if len(rooms) + len(people) > 1:
            raise UsageError(f"{text!r} could be several", advice="Give the id, or #room.")
        if rooms:
            return f"room:{rooms[0].id}"
        if people:
            return f"peer:{people[0].id}"
        raise NotFound(f"there is no conversation {text[:80]!r}", advice="`servent chat ls` lists them.")

    def _unread(self, conversation: str) -> tuple[int, int]:
        after = self._read.get(conversation, "")
        fresh = [one for one in self._said.get(conversation, ()) if one.order > after and not one.author.me]
        fresh = [one for one in fresh if not one.removed and not one.event]
        return len(fresh), sum(one.mention for one in fresh)

    def conversations(self) -> list[talk.Conversation]:
        names = list(
            dict.fromkeys([*self._said, *(f"room:{room.id}" for room in self._rooms.values() if room.joined)])
        )
        rows = [self._row(name) for name in names]
        return sorted(rows, key=lambda row: -(row.last.received if row.last else 0.0))

    def conversation(self, conversation: str) -> talk.Conversation:
        return self._row(self._conversation(conversation))

    def _row(self, conversation: str) -> talk.Conversation:
        kind, _, key = conversation.partition(":")
        unread, mentions = self._unread(conversation)
        said = self._said.get(conversation)
        last = said[-1] if said else None
        silent = conversation in self._silent
        if kind == "room":
            room = self._rooms[key]
            return talk.Conversation(id=conversation, kind="room", title=room.name, network=room.network, unread=unread,
                                     mentions=mentions, last=last, silent=silent)  # fmt: skip
        friend = self._friends.get(key)
        person = friend.person if friend else self._someone(PeerId.parse(key))
        return talk.Conversation(id=conversation, kind="peer", title=person.shown, person=person, unread=unread,
                                 mentions=mentions, last=last, silent=silent,
                                 presence=friend.presence if friend else "offline")  # fmt: skip

    async def messages(self, conversation: str, query: talk.MessagesQuery) -> talk.Messages:
        name = self._conversation(conversation)
        said = self._said.get(name, [])
        if query.after:
            found = [one for one in said if one.order > query.after][: query.limit]
        else:
            found = [one for one in said if not query.before or one.order < query.before][-query.limit :]
        return talk.Messages(
            messages=found,
            more=bool(said) and bool(found) and found[0] is not said[0],
            read_order=self._read.get(name, ""),
        )

    async def send_message(self, conversation: str, message: talk.NewMessage) -> talk.Message:
        name = self._conversation(conversation)
        if message.token and message.token in self._tokens:
            return self._tokens[message.token]
        kind, _, key = name.partition(":")
        if kind == "room" and (until := self._rooms[key].muted_until) and until > time.time():
            raise Refused("you are muted in this room", advice="It ends by itself.")
        if message.reply_to and all(one.id != message.reply_to for one in self._said.get(name, ())):
            raise NotFound("what this answers is not here")
        made = self._tell(
            self._make(
                name,
                ME,
                message.text,
                attachments=[
                    {"link": link, "name": link.partition("&dn=")[2]} for link in message.attachments
                ],
                reply_to=message.reply_to,
                state="waiting",
            )
        )
        if message.token:
            self._tokens[message.token] = made
        if kind == "room" or self._friends[key].presence != "offline":
            self._later(0.4, lambda: self._delivered(made))
        if kind == "peer":
            self._later(0.8, lambda: self._obey(key, message.text))
        return made

    def _delivered(self, made: talk.Message) -> None:
        """As it is by now: it may have been taken back meanwhile."""
        for one in self._said.get(made.conversation, ()):
            if one.id == made.id:
                self._tell(replace(one, state="delivered"))
                return

    def _obey(self, key: str, text: str) -> None:
        """What a friend does who is told to; see the top."""
        friend = self._friends.get(key)
        word, _, rest = text.partition(" ")
        if friend is None:
            return
        if word == "!say":
            self._hear_from(PeerId.parse(key), f"peer:{key}", rest)
        elif word in ("!away", "!offline", "!online"):
            self._become(key, "available" if word == "!online" else word[1:])  # type: ignore[arg-type]
        elif word == "!ask":
            peer = stranger(300 + len(self._friends))
            person = self._someone(peer)
            self._friends[str(peer)] = talk.Friend(id=str(peer), person=person, bond="asking", asked=time.time(),
                                                   note_asked=rest)  # fmt: skip
            self._notice("friend-asks", person, rest)

    def _become(self, key: str, presence: talk.Presence) -> None:
        friend = self._friends[key]
        came = friend.presence == "offline" and presence != "offline"
        seen = time.time() if presence == "offline" else friend.seen
        self._friends[key] = replace(friend, presence=presence, seen=seen, note="" if came else friend.note)
        if came and not friend.silent:
            self._notice("friend-online", friend.person)
        if came:
            for one in list(self._said.get(f"peer:{key}", ())):
                if one.author.me and one.state == "waiting":
                    self._tell(replace(one, state="delivered"))

    def _hear_from(self, peer: PeerId, conversation: str, text: str) -> None:
        made = self._tell(self._make(conversation, peer, text, mention="me:" in text))
        if conversation not in self._silent and (conversation.startswith("peer:") or made.mention):
            kind: talk.NoticeKind = "mention" if made.mention else "message"
            self._notice(kind, made.author, text[:200], conversation)

    async def take_back(self, conversation: str, message: str) -> None:
        name = self._conversation(conversation)
        kind, _, key = name.partition(":")
        found = next((one for one in self._said.get(name, ()) if one.id == message), None)
        if found is None:
            raise NotFound("no message has this id")
        if not found.author.me and (
            kind == "peer" or self._rooms[key].standing not in ("owner", "moderator")
        ):
            raise Refused("only who wrote it, or a moderator of the room, can take it back")
        self._tell(replace(found, text="", attachments=[], removed=True))

    async def mark_read(self, conversation: str, mark: talk.ReadMark) -> None:
        name = self._conversation(conversation)
        said = self._said.get(name)
        self._read[name] = max(self._read.get(name, ""), mark.order or (said[-1].order if said else ""))

    async def change_conversation(self, conversation: str, change: talk.ConversationChange) -> None:
        name = self._conversation(conversation)
        if change.silent is not None:
            (self._silent.add if change.silent else self._silent.discard)(name)

    async def forget_messages(self, conversation: str) -> None:
        self._said[self._conversation(conversation)] = []

    async def search_talk(self, query: talk.TalkQuery) -> list[talk.TalkHit]:
        where = [self._conversation(query.conversation)] if query.conversation else list(self._said)
        author = self._friend(query.author).id if query.author not in ("", "me") else query.author
        wanted, unwanted = [], []
        for number, piece in enumerate(query.text.casefold().split('"')):
            for word in [piece] if number % 2 else piece.split():
                (unwanted if word.startswith("-") else wanted).append(word.removeprefix("-"))
        hits = []
        for name in where:
            for one in self._said.get(name, ()):
                low = one.text.casefold()
                by = not author or one.author.id == author or (author == "me" and one.author.me)
                if not by or (query.before is not None and one.received >= query.before):
                    continue
                if one.text and all(w in low for w in wanted) and not any(w and w in low for w in unwanted):
                    ranges = [(at, at + len(w)) for w in wanted if w and (at := low.find(w)) >= 0]
                    hits.append(talk.TalkHit(message=one, title=self._row(name).title, ranges=sorted(ranges)))
        return sorted(hits, key=lambda hit: -hit.message.received)[: query.limit]

    def notices(self, after: int = 0) -> list[talk.Notice]:
        return [one for one in self._notices if one.seq > after]

    def talk_sums(self) -> talk.TalkSums:
        counts = [
            (row.unread, row.unread if row.kind == "peer" else row.mentions) for row in self.conversations()
        ]
        return talk.TalkSums(
            unread=sum(unread for unread, _ in counts),
            mentions=sum(mine for _, mine in counts),
            asking=sum(friend.bond == "asking" for friend in self._friends.values()),
            invitations=sum(room.standing == "invited" for room in self._rooms.values()),
        )

    # -- rooms

    def _find_room(self, text: str) -> talk.Room:
        for room in self._rooms.values():
            if text.removeprefix("room:").removeprefix("#") in (room.name, room.id):
                return room
        raise NotFound(f"there is no room {text[:64]!r}", advice="`servent room ls` lists them.")

    def _ruled(self, text: str) -> talk.Room:
        room = self._find_room(text)
        if room.standing not in ("owner", "moderator"):
            raise UsageError(f"you are no moderator of {room.name}", advice="Ask one.")
        return room

    def rooms(self) -> list[talk.Room]:
        rows = []
        for room in self._rooms.values():
            unread, mentions = self._unread(f"room:{room.id}")
            here = self._in_room.get(room.id)
            if here is not None:
                known = [one for one in here.values() if one.standing not in ("banned", "invited")]
                room = replace(room, members=len(known), present=sum(one.present for one in known))
            silent = f"room:{room.id}" in self._silent
            rows.append(replace(room, unread=unread, mentions=mentions, silent=silent))
        return sorted(rows, key=lambda room: (not room.joined, room.standing != "invited", room.name))

    def _shown(self, room: str) -> talk.Room:
        return next(row for row in self.rooms() if row.id == room)

    async def create_room(self, new: talk.NewRoom) -> talk.Room:
        if new.network not in ("", "home", "ab" * 16):
            raise NotFound(
                f"no network is called {new.network[:64]!r}", advice="`servent network ls` lists them."
            )
        if any(room.name == new.name for room in self._rooms.values()):
            raise UsageError(f"a room called {new.name!r} exists")
        me = _person(ME, name="me", me=True)
        room = talk.Room(id=_room_id(new.name), name=new.name, network="home", policy=new.policy, topic=new.topic,
                         owner=me, standing="owner", joined=True)  # fmt: skip
        self._rooms[room.id] = room
        self._in_room[room.id] = {me.id: talk.RoomMember(person=me, standing="owner", present=True)}
        return self._shown(room.id)

    async def join_room(self, room: str) -> talk.Room:
        found = self._find_room(room)
        if not found.joined:
            if found.policy == "invite" and found.standing != "invited":
                raise UsageError(f"{found.name} is by invitation", advice="Ask one of its moderators.")
            self._rooms[found.id] = replace(found, joined=True, standing="member")
            me = _person(ME, name="me", me=True)
            here = {me.id: talk.RoomMember(person=me, present=True)}
            if found.owner is not None:
                here[found.owner.id] = talk.RoomMember(person=found.owner, standing="owner", present=True)
            self._in_room[found.id] = here
            self._tell(self._make(f"room:{found.id}", ME, "", event="joined"))
        return self._shown(found.id)

    async def leave_room(self, room: str) -> None:
        found = self._find_room(room)
        if found.standing == "owner" and not found.closed:
            raise UsageError("hand the room over first", advice=f"`servent room owner {found.name} PEER`.")
        self._rooms[found.id] = replace(found, joined=False, standing="none")
        self._said.pop(f"room:{found.id}", None)
        self._in_room.pop(found.id, None)
        if found.standing == "owner" or found.policy == "invite":
            del self._rooms[found.id]

    async def close_room(self, room: str) -> None:
        found = self._find_room(room)
        if found.standing != "owner":
            raise UsageError("only its owner can close a room")
        self._rooms[found.id] = replace(found, closed=True)

    async def change_room(self, room: str, change: talk.RoomChange) -> talk.Room:
        found = self._ruled(room)
        given = {
            name: value
            for name in ("name", "topic", "policy", "slow")
            if (value := getattr(change, name)) is not None
        }
        self._rooms[found.id] = replace(found, **given)
        return self._shown(found.id)

    def room_members(self, room: str) -> list[talk.RoomMember]:
        return list(self._in_room.get(self._find_room(room).id, {}).values())

    def _in_some_room(self, text: str) -> talk.Person:
        for here in self._in_room.values():
            for member in here.values():
                if text in (
                    member.person.id,
                    member.person.short_id,
                    member.person.petname,
                    member.person.name,
                ):
                    return member.person
        return self._friend(text).person

    async def invite_to_room(self, room: str, peer: str) -> None:
        found, person = self._find_room(room), self._in_some_room(peer)
        if not found.joined:
            raise UsageError(f"you are not in {found.name}")
        here = self._in_room[found.id]
        here.setdefault(person.id, talk.RoomMember(person=person, standing="invited"))

    async def moderate(self, room: str, moderation: talk.Moderation) -> None:
        found, person = self._ruled(room), self._in_some_room(moderation.peer)
        here = self._in_room[found.id]
        member = here.get(person.id)
        if member is None and moderation.action not in ("ban", "unban"):
            raise NotFound(f"{person.shown} is not in {found.name}")
        member = member or talk.RoomMember(person=person, standing="none")
        if person.me:
            raise UsageError("not yourself")
        until = None if moderation.seconds is None else time.time() + moderation.seconds
        match moderation.action:
            case "kick" | "unban":
                here.pop(person.id, None)
            case "ban":
                here[person.id] = replace(member, standing="banned", present=False, reason=moderation.reason)
            case "mute":
                here[person.id] = replace(
                    member, muted_until=until or time.time() + 10**9, reason=moderation.reason
                )
            case "unmute":
                here[person.id] = replace(member, muted_until=None, reason="")
            case "owner":
                here[str(ME)] = replace(here[str(ME)], standing="moderator")
                here[person.id] = replace(member, standing="owner")
                self._rooms[found.id] = replace(found, owner=person, standing="moderator")
            case "moderator" | "member":
                here[person.id] = replace(member, standing=moderation.action)
        name = f"room:{found.id}"
        if moderation.purge:
            for one in list(self._said.get(name, ())):
                if one.author.id == person.id and not one.removed:
                    self._tell(replace(one, text="", attachments=[], removed=True))
        if moderation.action in ("kick", "ban", "mute"):
            word = {"kick": "kicked", "ban": "banned", "mute": "muted"}[moderation.action]
            text = f"{person.shown}: {moderation.reason}" if moderation.reason else person.shown
            self._tell(self._make(name, ME, text, event=word))

    # -- life

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_later(seconds * self.talk_pace, act)

    async def live(self) -> None:
        """Friends come and go and write now and then, until cancelled."""
        script = self._script(random.Random(11))
        while True:
            await asyncio.sleep(LEAST_LIFE * max(self.talk_pace, 0.1))
            next(script)()

    def _script(self, dice: random.Random) -> Iterator[Callable[[], None]]:
        lobby = f"room:{_room_id('lobby')}"
        while True:
            yield lambda: self._become(str(DAVE), "available")
            yield lambda: self._hear_from(DAVE, f"peer:{DAVE}", "back again. " + dice.choice(WORDS))
            for _ in range(4):
                yield lambda: self._hear_from(
                    dice.choice([ANN, BOB, stranger(3), stranger(4)]), lobby, dice.choice(WORDS)
                )
            yield lambda: self._hear_from(ANN, f"peer:{ANN}", dice.choice(WORDS))
            yield lambda: self._become(str(BOB), dice.choice(["available", "away"]))
            yield lambda: self._hear_from(ANN, lobby, "me: " + dice.choice(WORDS))
            yield lambda: self._become(str(DAVE), "offline")


def _person(peer: PeerId, **more: object) -> talk.Person:
    petname, name = more.get("petname"), more.get("name", "")
    return msgspec.convert(
        {
            "id": str(peer),
            "short_id": peer.short,
            "shown": petname or name or peer.short,
            "mark": str(peer)[:4],
            "chosen": bool(petname),
            **more,
        },
        talk.Person,
    )
