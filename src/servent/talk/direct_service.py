"""Messages from person to person: what is written here, what comes in, and from whom it is taken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from servent.errors import NotFound, ServentError, UsageError
from servent.identity import PeerId
from servent.net.session import Session
from servent.talk import history, outbox, texts, wire
from servent.talk.history import Row
from servent.talk.history_service import History
from servent.talk.settings import From

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

MOST_OF_STRANGER = 20  # messages of somebody to whom the person here never wrote
MOST_STRANGERS = 100  # conversations that others began and nobody here answered
AHEAD = 300.0  # s that a sender's clock may be ahead of ours before we do not believe it

Post = Callable[[PeerId, wire.Body, Callable[["sqlite3.Connection", bytes, float], bool]], Awaitable[bytes]]
TakeParcel = Callable[[PeerId, bytes], Awaitable[None]]


class Who(Protocol):
    """What is known of peers."""

    def trusted(self, peer: PeerId) -> bool: ...


class Direct:
    """Owns the conversations with persons, in `history`.

    Args:
        me: this node.
        post: of `Mail`.
        messages_from: who may write to us besides friends; asked again each time.
        on_row: called with each row that is new or another, and whether it just came from a peer.
    """

    def __init__(
        self,
        me: PeerId,
        records: History,
        who: Who,
        post: Post,
        *,
        my_name: Callable[[], str],
        messages_from: Callable[[], From],
        on_row: Callable[[Row, bool], None],
        wall: Callable[[], float],
    ) -> None:
        self._me, self._history, self._who, self._post = bytes(me), records, who, post
        self._my_name, self._messages_from, self._on_row, self._wall = my_name, messages_from, on_row, wall
        self._parcels: dict[str, TakeParcel] = {}
        self._taking = asyncio.Lock()  # one parcel at a time: they are rare, and what they open may wait

    def on_parcel(self, kind: str, take: TakeParcel) -> None:
        """Let `take(sender, data)` have parcels of this kind. It is called again for one that was not recorded before a
        crash; what it raises as a ServentError is told to the sender."""
        self._parcels[kind] = take

    # -- what the person here does

    async def send(
        self, peer: PeerId, text: str, attachments: tuple[str, ...], reply_to: str | None, token: str
    ) -> Row:
        """Returns once it is on our disk. Raises UsageError: nothing in it, too much, or too much waits."""
        text, links = texts.checked(text, attachments)
        answered = None if reply_to is None else bytes.fromhex(reply_to)
        conversation = name_of(peer)
        found: list[Row] = []

        def write(db: sqlite3.Connection, id: bytes, now: float) -> bool:
            known = history.by_token(db, conversation, token, now)
            if known is not None:
                found.append(known)
                return False
            row = Row(
                conversation, id, self._me, history.next_place(db, conversation, now), now, now,
                state=history.WAITING, text=text, attachments=links, reply_to=answered, token=token,
            )  # fmt: skip
            made = history.add(db, row)
            assert made is not None, "a number is used once"
            found.append(made)
            return True

        await self._post(peer, wire.Text(text, list(links), answered), write)
        row = found[-1]
        await self._history.refresh(conversation)
        self._on_row(row, False)
        return row

    async def take_back(self, peer: PeerId, message: str) -> None:
        """Raises NotFound, and UsageError where somebody else wrote it."""
        conversation, id = name_of(peer), bytes.fromhex(message)
        row = await self._history.get(conversation, id)
        if row.author != self._me:
            raise UsageError("somebody else wrote this", advice="Only its author can take back a message.")
        if row.removed:
            return
        gone: list[Row] = []

        def write(db: sqlite3.Connection, _: bytes, now: float) -> bool:
            gone.extend(history.take_back(db, conversation, [id]))
            return bool(gone)

        await self._post(peer, wire.TakeBack(id), write)
        await self._history.refresh(conversation)
        for one in gone:
            self._on_row(one, False)

    async def give_up(self, peer: PeerId, why: str) -> None:
        """What waits for `peer` is not to be delivered any more."""
        conversation = name_of(peer)

        def job(db: sqlite3.Connection) -> list[Row]:
            outbox.drop(db, bytes(peer))
            return history.give_up(db, conversation, why)

        for row in await self._history.write(conversation, job):
            self._on_row(row, False)

    async def parcel(self, peer: PeerId, kind: str, data: bytes) -> None:
        """Hand something to the same part of another node, once both are there."""
        await self._post(peer, wire.Parcel(kind, data), lambda db, id, now: True)

    # -- what comes (mail_service.Bodies)

    async def store(self, session: Session, say: wire.Say) -> str | None:
        """See `mail_service.Bodies`."""
        why = self._refusal(session, say.body)
        if why is None and isinstance(say.body, wire.Parcel):
            why = await self._take_parcel(session.peer, say.body)
        peer, conversation = bytes(session.peer), name_of(session.peer)
        now = self._wall()
        changed: list[Row] = []
        new = False

        def job(db: sqlite3.Connection) -> str | None:
            nonlocal new
            no = why or (None if self._who.trusted(session.peer) else _too_much(db, conversation, self._me))
            if not outbox.came(db, peer, say.chain, say.seq, now, no) or no is not None:
                return no
            match say.body:
                case wire.Text():
                    new = True
                    row = history.add(db, self._row(db, conversation, peer, say, say.body, now))
                    changed.extend([] if row is None else [row])
                case wire.TakeBack(id):
                    old = history.get(db, conversation, id)
                    if old is not None and old.author == peer:
                        changed.extend(history.take_back(db, conversation, [id]))
            return None

        said = await self._history.write(conversation, job)
        for row in changed:
            self._on_row(row, new)
        return said

    def _row(
        self,
        db: sqlite3.Connection,
        conversation: str,
        peer: bytes,
        say: wire.Say,
        body: wire.Text,
        now: float,
    ) -> Row:
        text, links = texts.received(body.text, body.attachments)
        sent = say.sent if say.sent <= now + AHEAD else now
        return Row(
            conversation, wire.message_id(peer, say.chain, say.seq), peer,
            history.next_place(db, conversation, now), sent, now, unread=True, mention=True, text=text,
            attachments=links, reply_to=body.reply_to,
        )  # fmt: skip

    def _refusal(self, session: Session, body: wire.Body) -> str | None:
        """Why nothing is taken from this peer, in words for it."""
        if self._who.trusted(session.peer):
            return None
        if session.verdict.guest or not session.verdict.networks:
            return "they do not know you"
        if isinstance(body, wire.Parcel) or self._messages_from() == "network":
            return None
        return "they take messages from friends alone"

    async def _take_parcel(self, peer: PeerId, parcel: wire.Parcel) -> str | None:
        take = self._parcels.get(parcel.kind)
        if take is None:
            return "their version does not know what this is"
        try:
            async with self._taking:
                await take(peer, parcel.data)
        except ServentError as wrong:
            log.info("%s sent something that is not taken: %s", peer.short, wrong)
            return "it is not taken"
        return None

    async def settled(self, peer: PeerId, say: wire.Say, why: str | None) -> None:
        """See `mail_service.Bodies`."""
        conversation = name_of(peer)
        id = wire.message_id(self._me, say.chain, say.seq)
        reason = None if why is None else texts.cleaned(why)[:200]

        def job(db: sqlite3.Connection) -> Row | None:
            body = outbox.done(db, bytes(peer), say.chain, say.seq)
            if not isinstance(body, wire.Text):
                return None
            state = history.DELIVERED if reason is None else history.FAILED
            return history.settle(db, conversation, id, state, reason or "")

        row = await self._history.write(conversation, job)
        if row is not None:
            self._on_row(row, False)


def name_of(peer: PeerId) -> str:
    """What the conversation with a person is called."""
    return f"peer:{peer}"


def peer_of(conversation: str) -> PeerId:
    """The other way round. Raises NotFound."""
    kind, _, id = conversation.partition(":")
    if kind != "peer":
        raise NotFound(f"{conversation[:80]!r} is no conversation with a person")
    return PeerId.parse(id)


def _too_much(db: sqlite3.Connection, conversation: str, me: bytes) -> str | None:
    """Why no more is taken of a stranger."""
    if history.count_of(db, conversation, me):
        return None  # they were written to
    if history.count(db, conversation) >= MOST_OF_STRANGER:
        return "they have not answered you yet"
    if history.count(db, conversation) == 0 and history.unanswered(db, me) >= MOST_STRANGERS:
        return "too many people wrote to them who are no friends"
    return None
