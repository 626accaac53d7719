"""The service: what was decided is there after a restart, in force at once, and told to those who listen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from servent.errors import DiskTrouble, NotFound, UsageError
from servent.identity import Identity
from servent.store import Store, StoreTrouble
from servent.trust.service import TrustService
from tests.trust.people import DAY, T0, seed


class Node:
    """A trust service on a database file; `async with` is one run of the program."""

    def __init__(self, name: str, folder: Path) -> None:
        self.identity = Identity(seed(name))
        self.path = folder / f"{name}.db"

    async def __aenter__(self) -> TrustService:
        self.store = Store(self.path)
        self.trust = TrustService(self.store, self.identity, wall=lambda: T0)
        await self.store.open()
        await self.trust.open()
        return self.trust

    async def __aexit__(self, *_: object) -> None:
        await self.trust.close()
        await self.store.close()


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


async def hello(
    dialer: TrustService, acceptor: TrustService, secret: bytes | None = None
) -> tuple[bool, bool]:
    """One hello as the network floor does it: (acceptor knows dialer, dialer knows acceptor)."""
    nonce = seed("nonce")
    proof = dialer.contact_proof(secret, dialer.me, acceptor.me, nonce) if secret else None
    there = await acceptor.judge(dialer.me, nonce, dialer.proofs(dialer.me, acceptor.me, nonce), proof)
    back = await dialer.judge(acceptor.me, nonce, acceptor.proofs(acceptor.me, dialer.me, nonce), None)
    return there.known, back.known


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    ann, bob, eve = (Node(name, tmp_path) for name in ("ann", "bob", "eve"))

    async def story() -> None:
        async with ann as a, bob as b, eve as e:
            await a.create_network("home", mode="hybrid")
            await a.rename_network("home", "den")
            invitation = await a.invite("den")
            await b.accept_invitation(invitation)
            assert await hello(b, a) == (True, True)
            await b.merge_records(b.network("home").key, a.me, a.records_since(a.network("den").key).records)
            await e.accept_invitation(invitation)
            secret = await a.issue_ticket_secret()
            await a.add_contact(b.me, "bob")
            await a.block(e.me)
            await a.grant("door/1", "nobody", [b.me])
        async with ann as a, bob as b, eve as e:
            (view,) = a.networks()
            assert (view.name, view.full_name, view.mode, view.admin) == ("den", "home", "hybrid", True)
            assert [m.peer for m in a.members("den")] == [a.me, b.me]
            assert a.records_digest(view.key) == b.records_digest(view.key)
            assert a.invitations("den")[0].used == 1
            assert a.resolve("bob") == b.me and a.contacts()[0].friend
            assert a.verdict(e.me).reason == "blocked"
            assert a.allows(b.me, "door/1") and not a.allows(e.me, "door/1")
            assert await hello(e, a, secret) == (False, True)
            assert await hello(b, a) == (True, True)
            await a.unblock(e.me)
            assert await hello(e, a, secret) == (True, True), "by the ticket"
            assert await hello(e, b) == (False, True), "the use of the invitation is still gone"
            await a.remove_member("den", b.me)
        async with ann as a, bob as b:
            await a.remove(b.me)
            await a.ungrant("door/1")
            assert await hello(b, a) == (False, True), "out, though he does not know it yet"

    run(story)


def test_my_own_use_of_an_invitation_counts_after_a_restart(tmp_path: Path) -> None:
    ann, bob, eve = (Node(name, tmp_path) for name in ("ann", "bob", "eve"))

    async def story() -> None:
        async with ann as a, bob as b, eve as e:
            await a.create_network("home")
            invitation = await a.invite("home")
            await b.accept_invitation(invitation)
            await e.accept_invitation(invitation)
        async with bob as b, eve as e:
            assert await hello(e, b) == (False, False)

    run(story)


def test_listeners_hear_of_changes_and_of_records(tmp_path: Path) -> None:
    ann, bob = Node("ann", tmp_path), Node("bob", tmp_path)

    async def story() -> None:
        heard: list[object] = []
        async with ann as a, bob as b:
            network = await a.create_network("home")
            await b.accept_invitation(await a.invite("home"))
            a.on_change(lambda: heard.append("change"))
            a.on_records(heard.append)
            await hello(b, a)
            assert heard == ["change", network.key]
            heard.clear()
            await hello(b, a)
            assert heard == []
            await a.block(b.me)
            assert heard == ["change"]

    run(story)


def test_a_full_disk_keeps_nobody_out_and_is_told_to_the_person(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = Node("ann", tmp_path), Node("bob", tmp_path)

    async def story() -> None:
        async with ann as a, bob as b:
            await a.create_network("home")
            await b.accept_invitation(await a.invite("home"))

            async def full(_: object) -> None:
                raise DiskTrouble("no space left")

            monkeypatch.setattr(ann.store, "write", full)
            assert await hello(b, a) == (True, True)
            assert "no space left" in caplog.text
            with pytest.raises(DiskTrouble):
                await a.block(b.me)
            assert not a.verdict(b.me).known, "in force all the same"
            monkeypatch.undo()

    run(story)


def test_nothing_secret_is_logged_or_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ann, bob = Node("ann", tmp_path), Node("bob", tmp_path)
    caplog.set_level(0)

    async def story() -> None:
        async with ann as a, bob as b:
            await a.create_network("home")
            invitation = await a.invite("home")
            await b.accept_invitation(invitation)
            secret = await a.issue_ticket_secret()
            await hello(b, a, secret)
            text = caplog.text + repr(
                [
                    a.networks(),
                    a.invitations("home"),
                    a.ticket_secrets(),
                    a.contacts(),
                    invitation,
                    a.members("home"),
                ]
            )
            assert invitation.seed is not None
            for one in (secret, invitation.secret, invitation.seed, ann.identity.seed):
                assert repr(one)[2:-1] not in text and one.hex() not in text

    run(story)


def test_the_database_is_for_its_owner_alone_and_nonsense_in_it_is_an_error(tmp_path: Path) -> None:
    ann = Node("ann", tmp_path)

    async def story() -> None:
        async with ann as a:
            await a.create_network("home")
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
            assert set(modes.values()) == {0o600}, modes
            await ann.store.write(lambda db: db.execute("UPDATE trust_network SET membership = x'c1'"))
        with pytest.raises(StoreTrouble, match=r"ann\.db cannot be read"):
            async with ann:
                pass
        await ann.store.close()

    run(story)


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    ann, bob = Node("ann", tmp_path), Node("bob", tmp_path)

    async def story() -> None:
        async with ann as a, bob as b:
            await a.create_network("home")
            await b.accept_invitation(await a.invite("home", uses=5, lifetime=DAY))
            for call in (
                b.invite("home"),
                b.remove_member("home", a.me),
                b.revoke("home", "x"),
                a.remove_member("home", a.me),
                a.create_network("\u202e"),
                a.grant("", "friends"),
            ):
                with pytest.raises(UsageError):
                    await call
            for missing in (a.invite("nowhere"), a.revoke("home", "x"), a.unblock(b.me), a.leave("nowhere")):
                with pytest.raises(NotFound):
                    await missing
            with pytest.raises(NotFound):
                await a.revoke_ticket_secret(seed("none"))
            with pytest.raises(ValueError, match="ourselves"):
                a.proofs(b.me, a.me, seed("n"))

    run(story)
