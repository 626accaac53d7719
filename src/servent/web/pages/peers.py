"""Peers: everyone known, and what you decided about each of them."""

from __future__ import annotations

from nicegui import ui
from nicegui.events import GenericEventArguments

from servent.api.schema import Peer
from servent.errors import NotFound, ServentError
from servent.web.desk import Desk
from servent.web.parts import Answer, Button, Words, chosen, dialog, field, heading, icon, tag


def draw(desk: Desk) -> None:
    heading("People")
    with tag("div", "dialogs") as room:
        pass

    async def edit(event: GenericEventArguments) -> None:
        peer_id = chosen(event)
        room.clear()
        try:
            peer = await desk.ask(_find, desk, peer_id)
        except ServentError as error:
            with room:
                Answer().problem(error)
            return
        with room:
            _edit(desk, peer).open()

    tag("sv-peers").on("edit", edit, ["detail"])


def _find(desk: Desk, peer_id: str) -> Peer:
    for peer in desk.client.peers():
        if peer.id == peer_id:
            return peer
    raise NotFound("this peer is not known any more")


def _edit(desk: Desk, peer: Peer) -> ui.dialog:
    client = desk.client
    name = peer.petname or peer.name or peer.short_id
    with dialog("About this peer") as box:
        Words(name, "p", "result-title").props["dir"] = "auto"
        Words(peer.id, "p", "full-id")
        petname = field("Your name for them", hint=peer.name or peer.short_id)
        petname.value = peer.petname or ""
        friend = ui.switch("Friend: may use what you offer to friends", value=peer.friend)
        answer = Answer()

        async def save() -> None:
            answer.nothing()
            try:
                await desk.ask(
                    client.change_peer, peer.id, petname=petname.value or "", friend=bool(friend.value)
                )
            except ServentError as error:
                answer.problem(error)
                return
            box.close()

        async def ping() -> None:
            answer.nothing()
            try:
                result = await desk.ask(client.ping, peer.id, 4)
            except ServentError as error:
                answer.problem(error)
                return
            if not result.rtts_ms:
                answer.good(f"No answer to {result.lost} tries.")
                return
            best = min(result.rtts_ms)
            answer.good(f"{result.path or 'path unknown'}, {best:.1f} ms at best, {result.lost} of 4 lost")

        async def block() -> None:
            answer.nothing()
            try:
                await desk.ask(client.change_peer, peer.id, blocked=not peer.blocked)
            except ServentError as error:
                answer.problem(error)
                return
            box.close()

        async def forget() -> None:
            answer.nothing()
            if not asked:
                asked.append(name)
                with answer, tag("div", "problem-box"):
                    icon("warn")
                    Words(
                        f"{name} would be neither friend nor contact any more; only a new ticket brings them back. "
                        "Press Forget once more to do it."
                    )
                return
            try:
                await desk.ask(client.forget_peer, peer.id)
            except ServentError as error:
                answer.problem(error)
                return
            box.close()

        asked: list[str] = []
        with tag("div", "dialog-foot"):
            Button("Forget", forget, kind="danger", doing="Forgetting…")
            Button("Unblock" if peer.blocked else "Block", block, kind="quiet" if peer.blocked else "danger")
            Button("Ping", ping, doing="Pinging…")
            Button("Save", save, kind="main", doing="Saving…")
    return box
