"""One peer: your name for them, what they may do, and the ways to be rid of them."""

from __future__ import annotations

from urllib.parse import quote

from nicegui import ui

from servent.api.schema import Grant, Peer
from servent.api.schema_share import NewReport
from servent.errors import ServentError
from servent.web.desk import Desk
from servent.web.pages.grants import allowed, called, in_use
from servent.web.parts import Answer, Button, Words, choice, dialog, field, icon, tag

REASONS: dict[str, str] = {
    "spam": "Spam",
    "abuse": "Abuse",
    "malware": "Spreads malware",
    "mislabelled": "Shares what is not what it says",
    "illegal": "Something illegal",
    "other": "Something else",
}


def person(desk: Desk, peer: Peer, grants: list[Grant]) -> ui.dialog:
    """The dialog about `peer`, closed yet."""
    client = desk.client
    name = peer.petname or peer.name or peer.short_id
    with dialog("About this peer") as box:
        Words(name, "p", "result-title").props["dir"] = "auto"
        Words(peer.id, "p", "full-id")
        if peer.networks:
            Words(f"Shares {_listed(peer.networks)} with you.", "p", "muted")
        with tag("div", "drawer-actions"):
            if not peer.blocked:
                link = tag("a", "quiet-button small-button", href=f"/browse?peer={quote(peer.id)}")
                with link.on("click", box.close, []):
                    icon("search")
                    Words("Browse what they share", "span")
        petname = field("Your name for them", hint=peer.name or peer.short_id)
        petname.value = peer.petname or ""
        friend = ui.switch("Friend: may use what you offer to friends", value=peer.friend)
        with tag("details", "fold"):
            Words("What they may do", "summary")
            with tag("ul", "allowed"):
                for grant in in_use(grants):
                    may, why = allowed(grant, peer)
                    with tag("li"):
                        icon("check" if may else "skip")
                        Words(called(grant.service), "span")
                        Words(why, "span", "outcome")
            with tag("a", "more", href="/people?tab=grants").on("click", box.close, []):
                Words("Change it for everyone", "span")
        answer = Answer()
        _report(desk, peer, box, answer)

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


def _report(desk: Desk, peer: Peer, box: ui.dialog, answer: Answer) -> None:
    with tag("details", "fold"):
        Words("Report them", "summary")
        Words(
            "They are blocked here, and the admins of the networks you share with them are told.",
            "p",
            "muted",
        )
        reason = choice("Why", dict(REASONS), "spam")
        note = field("What the admins should know", lines=2)

        async def report() -> None:
            answer.nothing()
            try:
                made = NewReport(peer=peer.id, reason=reason.value, note=(note.value or "").strip()[:500])
                await desk.ask(desk.client.report, made)
            except ServentError as error:
                answer.problem(error)
                return
            box.close()

        with tag("div", "form-foot"):
            Button("Report and block", report, kind="danger", doing="Reporting…")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
