"""Rooms: those of this node, what is said in them, and what was missed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from servent.identity import PeerId
from servent.talk.records import Invite, Policy
from servent.talk.room_facts import MemberFacts, Moderated, RoomFacts
from servent.talk.shelf import Row


class Rooms:
    """Make it on a running loop, after the overlay; `open` it when the store is open, `run` it in a task, `close` it first.

    A room is named by its 16 bytes. Whatever changes waits until it is kept.
    """

    async def open(self) -> None:
        """Load all rooms and enter them as their networks come up."""
        raise NotImplementedError

    async def run(self) -> None:
        """Until cancelled or closed."""
        raise NotImplementedError

    async def close(self) -> None:
        """Say in every room that we go. Safe twice."""
        raise NotImplementedError

    # -- callbacks, on the loop

    def on_message(self, callback: Callable[[bytes, Row], None]) -> None:
        """Call `callback(room, row)` for each message that is new here, our own too, after the shelf has it."""
        raise NotImplementedError

    def on_removed(self, callback: Callable[[bytes, Sequence[bytes]], None]) -> None:
        """Call `callback(room, ids)` when messages were taken back."""
        raise NotImplementedError

    def on_delivered(self, callback: Callable[[bytes, bytes], None]) -> None:
        """Call `callback(room, id)` when another member is known to have a message of ours."""
        raise NotImplementedError

    def on_act(self, callback: Callable[[Moderated], None]) -> None:
        """Call `callback(act)` for each new act that counts, in a room we are in."""
        raise NotImplementedError

    def on_room(self, callback: Callable[[bytes], None]) -> None:
        """Call `callback(room)` when `room(room)` or `members(room)` may be another; a few times a second at most."""
        raise NotImplementedError

    # -- how things are

    def rooms(self) -> list[RoomFacts]:
        """Those we are in, then invitations, then open ones we heard of; each by name."""
        raise NotImplementedError

    def room(self, room: bytes) -> RoomFacts:
        """Raises NotFound."""
        raise NotImplementedError

    def members(self, room: bytes) -> list[MemberFacts]:
        """Owner, moderators, members, those invited, those banned. Raises NotFound."""
        raise NotImplementedError

    # -- what the person here does. All raise NotFound; UsageError says why it cannot be.

    async def create(
        self, network: bytes, name: str, *, policy: Policy = "open", topic: str = ""
    ) -> RoomFacts:
        """Found a room and be in it."""
        raise NotImplementedError

    async def join(self, room: bytes) -> RoomFacts:
        """Enter an open room we heard of, or say yes to an invitation."""
        raise NotImplementedError

    async def leave(self, room: bytes) -> None:
        """Or say no to an invitation. UsageError: the owner hands over or closes the room first."""
        raise NotImplementedError

    async def shut(self, room: bytes) -> None:
        """As the owner: nothing can be said in it any more."""
        raise NotImplementedError

    async def change(
        self, room: bytes, *, name: str | None = None, topic: str | None = None, slow: float | None = None
    ) -> RoomFacts:
        """Only what is given changes."""
        raise NotImplementedError

    async def say(
        self, room: bytes, text: str, *, links: Sequence[str] = (), reply_to: bytes | None = None
    ) -> Row:
        """Returns once it is kept. UsageError: too long, too fast, muted, banned, closed."""
        raise NotImplementedError

    async def take_back(self, room: bytes, message: bytes) -> None:
        """Our own message, or as a moderator anybody's."""
        raise NotImplementedError

    async def moderate(
        self,
        room: bytes,
        deed: str,
        peer: PeerId,
        *,
        seconds: float | None = None,
        reason: str = "",
        purge: bool = False,
    ) -> None:
        """`deed`: kick, ban, unban, mute, unmute, moderator, member or owner (the last three: what somebody is from now on)."""
        raise NotImplementedError

    async def invite(self, room: bytes, peer: PeerId) -> Invite:
        """Let somebody in; what is returned is to be handed to them, by a direct message and no other way."""
        raise NotImplementedError

    async def invited(self, sender: PeerId, invite: Invite) -> RoomFacts | None:
        """`sender` handed us that. None when there is nothing new in it. Raises Forged, BadMessage."""
        raise NotImplementedError
