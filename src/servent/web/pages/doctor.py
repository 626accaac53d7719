"""Doctor: what was tried, what came of it, and what to do next."""

from __future__ import annotations

from nicegui import ui
from nicegui.element import Element

from servent.api.schema import Check, PeerWhy
from servent.errors import ServentError
from servent.web.desk import Desk
from servent.web.pages.roles import WORDS
from servent.web.parts import Answer, Button, Words, card, heading, icon, prose, tag

SIGNS = {"pass": "check", "warn": "warn", "fail": "fail", "skip": "skip"}
SPOKEN = {"pass": "fine", "warn": "take note", "fail": "needs you", "skip": "for information"}
ORDER = {"fail": 0, "warn": 1, "pass": 2, "skip": 3}


def draw(desk: Desk) -> None:
    head = heading("Doctor")
    answer = Answer()
    room = tag("div", "doctor", aria_live="polite")
    with room:
        Words("Looking at the network, the disk and the peers…", "p", "muted")

    async def examine() -> None:
        answer.nothing()
        try:
            report = await desk.ask(desk.client.doctor)
        except ServentError as error:
            if not room.is_deleted:
                room.clear()
                answer.problem(error)
            return
        if room.is_deleted:
            return
        room.clear()
        with room:
            Words(_verdict(report.checks), "p", "verdict")
            with card(classes="checks"):
                for check in sorted(report.checks, key=lambda check: ORDER.get(check.outcome, 4)):
                    _check(check)
            if report.networks or report.roles:
                with card("What this node does for its networks, and why"), tag("div", "whys"):
                    for network in report.networks:
                        what = "a supernode" if network.index else "a leaf"
                        _role(
                            network.network, f"{what} here, {network.mode}", network.why, active=network.index
                        )
                    for role in report.roles:
                        word = "active" if role.active else "not active"
                        _role(WORDS[role.name][0], word, role.why, active=role.active)
            if report.ways:
                with card("How peers find each other, and who learns what by it"), tag("div", "whys"):
                    for way in report.ways:
                        word = "on" if way.on else "off"
                        _role(way.title, word, f"{way.detail}. This tells {way.tells}.", active=way.on)
            if report.peers:
                with card("Your peers: how, and why so"), tag("div", "whys"):
                    for peer in report.peers:
                        _why(peer)

    with head, tag("div", "head-buttons"):
        Button("Check again", examine, sign="retry", doing="Checking…")
    ui.timer(0.0, examine, once=True)


def _verdict(checks: list[Check]) -> str:
    failed = sum(check.outcome == "fail" for check in checks)
    noted = sum(check.outcome == "warn" for check in checks)
    if failed:
        return f"{failed} thing{'' if failed == 1 else 's'} need{'s' if failed == 1 else ''} you."
    if noted:
        return f"It works. {noted} thing{'' if noted == 1 else 's'} could be better."
    return "Everything is fine."


def _check(check: Check) -> Element:
    with tag("div", "check", data_outcome=check.outcome) as row:
        icon(SIGNS.get(check.outcome, "skip"))
        with tag("div", "check-text"):
            with tag("p", "check-title"):
                Words(check.title, "strong")
                Words(SPOKEN.get(check.outcome, check.outcome), "span", "outcome")
            if check.detail:
                prose(check.detail, "muted")
            if check.remedy:
                prose(check.remedy, "remedy")
    return row


def _role(name: str, what: str, why: str, *, active: bool) -> None:
    with tag("div", "why-row"):
        tag("span", "dot", data_tone="direct" if active else "none")
        with tag("div"):
            with tag("p"):
                Words(name, "strong").props["dir"] = "auto"
                Words(what, "span", "outcome")
            if why:
                Words(why, "p", "muted").props["dir"] = "auto"


def _why(peer: PeerWhy) -> None:
    with tag("div", "why-row"):
        tag("span", "dot", data_tone=peer.path or "none")
        with tag("div"):
            with tag("p"):
                Words(peer.name or peer.id[:8], "strong").props["dir"] = "auto"
                trip = "" if peer.rtt_ms is None else f"{peer.rtt_ms:.{0 if peer.rtt_ms >= 10 else 2}f} ms"
                facts = ", ".join(
                    each for each in (peer.path or "not connected", trip, peer.address or "") if each
                )
                Words(facts, "span", "outcome")
            if peer.why:
                Words(peer.why, "p", "muted").props["dir"] = "auto"
            if peer.remedy:
                prose(peer.remedy, "remedy")
