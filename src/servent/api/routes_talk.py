"""People: friends, presence, conversations and what is in them, rooms and who may do what there.

What was written to this node's person needs `control`, not `read`: a token that "looks" is for programs that need
not be trusted, and letters are not theirs to read.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.api import schema
from servent.api import schema_talk as talk
from servent.api.context import Context
from servent.api.routing import Routes
from servent.errors import NotFound, UsageError

routes = Routes("talk")


class NoticeQuery(Struct, frozen=True, kw_only=True):
    """`after`: the `seq` of the last one known."""

    after: Annotated[int, Meta(ge=0)] = 0


# -- friends and presence


@routes.add("GET", "/friends", scope="read")
async def friends(ctx: Context) -> list[talk.Friend]:
    """Those who ask, then friends who are here, then the others."""
    return ctx.node.friends()


@routes.add("POST", "/friends", problems=(404, 502, 504, 507))
async def ask_friend(ctx: Context, body: talk.FriendRequest) -> talk.Friend:
    """Ask somebody to be friends; they hear of it when they are there. Yes, if they asked first."""
    return await ctx.node.ask_friend(body)


@routes.add("POST", "/friends/{peer}/answer", problems=(507,))
async def answer_friend(ctx: Context, peer: str, body: talk.FriendAnswer) -> schema.Done:
    """Say yes or no to somebody who asked. "No" tells them nothing."""
    await ctx.node.answer_friend(peer, body)
    return schema.Done()


@routes.add("PATCH", "/friends/{peer}", problems=(507,))
async def change_friend(ctx: Context, peer: str, body: talk.FriendChange) -> talk.Friend:
    """Be told when a friend comes online, or not."""
    return await ctx.node.change_friend(peer, body)


@routes.add("DELETE", "/friends/{peer}", problems=(507,))
async def end_friendship(ctx: Context, peer: str) -> schema.Done:
    """Be friends no longer, or take back a question that was not answered."""
    await ctx.node.end_friendship(peer)
    return schema.Done()


@routes.add("GET", "/presence", scope="read")
async def presence(ctx: Context) -> talk.MyPresence:
    """What friends see of this node's person."""
    return ctx.node.my_presence()


@routes.add("PATCH", "/presence", problems=(507,))
async def set_presence(ctx: Context, body: talk.PresenceChange) -> talk.MyPresence:
    """Be available, away, or seen as not there; with a few words."""
    return await ctx.node.set_presence(body)


@routes.add("POST", "/presence/touch")
async def touch(ctx: Context) -> talk.MyPresence:
    """Somebody is at the keyboard: away by idleness ends. Once a minute is often enough."""
    ctx.node.touch()
    return ctx.node.my_presence()


# -- conversations


@routes.add("GET", "/conversations")
async def conversations(ctx: Context) -> list[talk.Conversation]:
    """Persons and rooms with their newest message and what is unread, newest first."""
    return ctx.node.conversations()


@routes.add("GET", "/conversations/{conversation}")
async def conversation(ctx: Context, conversation: str) -> talk.Conversation:
    """One of them, by its id, a peer's name or a room's name; also where nothing was said yet."""
    return ctx.node.conversation(conversation)


@routes.add("PATCH", "/conversations/{conversation}", problems=(507,))
async def change_conversation(ctx: Context, conversation: str, body: talk.ConversationChange) -> schema.Done:
    """Get notices of a conversation, or none."""
    await ctx.node.change_conversation(conversation, body)
    return schema.Done()


@routes.add("GET", "/conversations/{conversation}/messages", problems=(507,))
async def messages(ctx: Context, conversation: str, query: talk.MessagesQuery) -> talk.Messages:
    """A page of a conversation, oldest first; without `before` and `after`, the newest."""
    if query.before and query.after:
        raise UsageError("either before or after", advice="Leave one of them out.")
    return await ctx.node.messages(conversation, query)


@routes.add("POST", "/conversations/{conversation}/messages", problems=(403, 507))
async def send_message(ctx: Context, conversation: str, body: talk.NewMessage) -> talk.Message:
    """Say something; it is stored when this returns, and delivered when it can be."""
    if not body.text.strip() and not body.attachments:
        raise UsageError("there is nothing in this message", advice="Give a text, or a link to attach.")
    return await ctx.node.send_message(conversation, body)


@routes.add("DELETE", "/conversations/{conversation}/messages", problems=(507,))
async def forget_messages(ctx: Context, conversation: str) -> schema.Done:
    """Forget a conversation on this node; what others have stays theirs."""
    await ctx.node.forget_messages(conversation)
    return schema.Done()


@routes.add("DELETE", "/conversations/{conversation}/messages/{message}", problems=(403, 507))
async def take_back(ctx: Context, conversation: str, message: str) -> schema.Done:
    """Take a message back: its text goes from all nodes that follow. Moderators may, too."""
    if len(message) != 32 or not all(letter in "0123456789abcdef" for letter in message):
        raise NotFound("no message has an id like that")
    await ctx.node.take_back(conversation, message)
    return schema.Done()


@routes.add("POST", "/conversations/{conversation}/read", problems=(507,))
async def mark_read(
    ctx: Context,
    conversation: str,
    body: talk.ReadMark = talk.ReadMark(),  # noqa: B008
) -> schema.Done:
    """Everything up to a message has been read; without a body, everything."""
    await ctx.node.mark_read(conversation, body)
    return schema.Done()


@routes.add("GET", "/talk", scope="read")
async def talk_sums(ctx: Context) -> talk.TalkSums:
    """For a badge: what is unread, who asks, what this node is invited to."""
    return ctx.node.talk_sums()


@routes.add("GET", "/talk/search", problems=(404, 507))
async def search_talk(ctx: Context, query: talk.TalkQuery) -> list[talk.TalkHit]:
    """Search what was said, here alone: nobody else is asked. Newest first."""
    return await ctx.node.search_talk(query)


@routes.add("GET", "/notices")
async def notices(ctx: Context, query: NoticeQuery) -> list[talk.Notice]:
    """What a person wants to hear of now; the last 200."""
    return ctx.node.notices(query.after)


# -- rooms


@routes.add("GET", "/rooms", scope="read")
async def rooms(ctx: Context) -> list[talk.Room]:
    """Rooms this node is in, then invitations, then open ones it has heard of."""
    return ctx.node.rooms()


@routes.add("POST", "/rooms", problems=(404, 507))
async def create_room(ctx: Context, body: talk.NewRoom) -> talk.Room:
    """A new room of a network; this node is its owner."""
    return await ctx.node.create_room(body)


@routes.add("PATCH", "/rooms/{room}", problems=(507,))
async def change_room(ctx: Context, room: str, body: talk.RoomChange) -> talk.Room:
    """Name, topic, policy, slowness; owner and moderators can."""
    return await ctx.node.change_room(room, body)


@routes.add("DELETE", "/rooms/{room}", problems=(507,))
async def close_room(ctx: Context, room: str) -> schema.Done:
    """Close a room for everybody and for good; only its owner can."""
    await ctx.node.close_room(room)
    return schema.Done()


@routes.add("POST", "/rooms/{room}/join", problems=(502, 504, 507))
async def join_room(ctx: Context, room: str) -> talk.Room:
    """Enter an open room, or one this node is invited to."""
    return await ctx.node.join_room(room)


@routes.add("POST", "/rooms/{room}/leave", problems=(507,))
async def leave_room(ctx: Context, room: str) -> schema.Done:
    """Leave a room, or decline its invitation. An owner hands it over or closes it first."""
    await ctx.node.leave_room(room)
    return schema.Done()


@routes.add("GET", "/rooms/{room}/members", scope="read")
async def room_members(ctx: Context, room: str) -> list[talk.RoomMember]:
    """Who is in a room, who is invited and who is banned."""
    return ctx.node.room_members(room)


@routes.add("POST", "/rooms/{room}/invite", problems=(507,))
async def invite_to_room(ctx: Context, room: str, body: talk.RoomInvite) -> schema.Done:
    """Invite a member of the room's network."""
    await ctx.node.invite_to_room(room, body.peer)
    return schema.Done()


@routes.add("POST", "/rooms/{room}/moderation", problems=(507,))
async def moderate(ctx: Context, room: str, body: talk.Moderation) -> schema.Done:
    """Kick, ban, mute, or say what somebody is from now on."""
    await ctx.node.moderate(room, body)
    return schema.Done()
