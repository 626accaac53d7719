"""Tokens: what programs show to be let in by the local API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from nicegui import ui

from servent.api.schema import Scope, Token
from servent.errors import ServentError, UsageError
from servent.web.desk import Desk, lasting
from servent.web.parts import Answer, Button, Words, choice, field, tag, to_pass_on

SCOPES: dict[str, str] = {
    "read": "may look",
    "control": "may send, fetch and share",
    "admin": "may do all you may",
}


def draw_tokens(desk: Desk) -> None:
    Words(
        "A program of yours that talks to this node shows a token. Each has its own, so that one can be taken back.",
        "p",
        "muted",
    )
    room = tag("div", "endings")
    answer = Answer()

    async def refresh() -> None:
        try:
            tokens = await desk.ask(desk.client.tokens)
        except ServentError as error:
            answer.problem(error)
            return
        if room.is_deleted:
            return
        room.clear()
        with room:
            for token in tokens:
                _token(desk, token, answer, refresh)
            if not tokens:
                Words("No program has one yet.", "p", "muted")

    with tag("div", "form-row"):
        name = field("For which program", hint="backup script")
        scope = choice("It", dict(SCOPES), "read")

        async def make() -> None:
            answer.nothing()
            try:
                wanted = (name.value or "").strip()
                if not wanted:
                    raise UsageError("the token has no name", advice="Name the program that will use it.")
                made = await desk.ask(desk.client.add_token, wanted, cast(Scope, scope.value))
            except ServentError as error:
                answer.problem(error)
                return
            name.value = ""
            await refresh()
            with answer:
                to_pass_on(made.token, note="Shown this once. Keep it as you would a password.")

        Button("Make a token", make, doing="Making it…")
    ui.timer(0.0, refresh, once=True)


def _token(desk: Desk, token: Token, answer: Answer, refresh: Callable[[], Awaitable[None]]) -> None:
    with tag("div", "ending"):
        with tag("div", "what"):
            Words(token.name, "span", "name")
            age = f", made {lasting(desk.wall_clock() - token.created)} ago" if token.created else ""
            Words(f"{SCOPES.get(token.scope, token.scope)}{age}", "span", "why")

        async def take_back() -> None:
            answer.nothing()
            try:
                await desk.ask(desk.client.remove_token, token.name)
            except ServentError as error:
                answer.problem(error)
                return
            await refresh()

        Button("Take back", take_back, kind="danger", doing="Taking it back…").classes("small-button")
