"""Own projects: their keys, manifests and apps, and what faces show of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import structs

from servent.errors import NotFound, UsageError
from servent.grid import links, looks, manifests
from servent.grid import project_views as views
from servent.grid import projects_rows as rows
from servent.grid.contents_service import Contents
from servent.grid.coordinator_service import Coordinator
from servent.grid.coordinator_views import ProjectLook
from servent.grid.credit import cobblestones, from_cobblestones
from servent.grid.credit_views import LedgerLook
from servent.grid.manifests import Abi, App, Audience, Compare, Limits, Project, Signed
from servent.grid.projects_rows import Own, OwnApp
from servent.grid.showing_service import Boards, Showing
from servent.grid.trying_service import Trying, read_file
from servent.identity import Identity
from servent.net.links import PeerAddress
from servent.store import Store
from servent.trust.naming import clean_name
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

PROJECTS_MOST = 1000
INVITATION_LIFETIME = 30 * 86400.0  # s
SAMPLE_BYTES = 1 << 30
LOOK_EVERY = 1.0  # s between two looks at how far the ledgers are


class Ledgers(Boards, Protocol):
    """What is asked of `ledger_service.Ledger`."""

    async def add_project(self, signed: Signed, key: Identity, apps: Sequence[Signed] = ()) -> None: ...
    def forget_project(self, project: bytes) -> None: ...
    def newest(self, project: bytes) -> bytes | None: ...
    async def look(self, project: bytes) -> LedgerLook: ...


class Projects(Showing):
    """Owns the projects of this node. `project` is what a person types: a name, a key, or a link; `key_of` finds it.

    Args:
        store: grid.db, not open yet.
        me: this node, which owns and coordinates them.
        address: where it can be reached now.
        told: called when something that `all` or `view` answers has changed.
    """

    def __init__(
        self,
        store: Store,
        me: Identity,
        trust: TrustService,
        contents: Contents,
        coordinator: Coordinator,
        ledger: Ledgers,
        trying: Trying,
        *,
        address: Callable[[], PeerAddress],
        told: Callable[[], None],
        wall: Callable[[], float],
    ) -> None:
        super().__init__(coordinator, ledger, trying)
        self._store, self._me, self._trust, self._contents, self._ledger = store, me, trust, contents, ledger
        self._address, self._told, self._wall = address, told, wall
        self._own: dict[bytes, tuple[Identity, Own]] = {}
        self._manifests: dict[bytes, Project] = {}
        self._apps: dict[bytes, dict[bytes, tuple[App, OwnApp]]] = {}
        self._ledgers: dict[bytes, LedgerLook] = {}
        self._grown: set[bytes] = set()  # projects whose ledger grew since it was looked at
        self._look = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        store.migrate(rows.ROOM, rows.STEPS)

    async def open(self) -> None:
        """What is remembered, told to the coordinator and the ledger, which are open already."""
        own, apps = await self._store.read(rows.load)
        for key, seed, one in own:
            self._own[key] = Identity(seed), one
            self._manifests[key] = manifests.open_project(one.signed, key)
            self._apps[key] = {}
        for id, project, app in apps:
            if project in self._apps:
                self._apps[project][id] = manifests.open_app(app.signed, project), app
        for key, (identity, one) in self._own.items():
            await self._coordinator.add_project(one.signed)
            signed = [app.signed for _, app in self._apps[key].values()]
            for app_signed in signed:
                await self._coordinator.add_app(app_signed)
            await self._ledger.add_project(one.signed, identity, signed)
            self.ledger_grew(key)

    async def run(self) -> None:
        """Know how far the ledgers are, until cancelled."""
        while True:
            await self._look.wait()
            self._look.clear()
            grown, self._grown = self._grown, set()
            for key in grown & self._own.keys():
                with contextlib.suppress(NotFound):
                    self._ledgers[key] = await self._ledger.look(key)
            self._told()
            await asyncio.sleep(LOOK_EVERY)

    def ledger_grew(self, key: bytes) -> None:
        """For `Ledger.on_change`."""
        self._grown.add(key)
        self._look.set()

    # -- life of a project

    async def create(
        self,
        name: str,
        *,
        about: str = "",
        url: str = "",
        audience: Audience = "friends",
        network: str = "",
        bonus: float = 0.0,
        budget: float | None = None,
        local: bool = False,
    ) -> views.MyProject:
        """A new one with a key of its own. `network`: name or id of one of ours. `budget`: cobblestones. `local`: this machine is to compute for it, too.

        Raises:
            UsageError: a bad or taken name, or too many. NotFound: the network.
        """
        async with self._one_at_a_time:
            name = clean_name(name)
            if not name:
                raise UsageError("a project needs a name")
            if any(project.name.casefold() == name.casefold() for project in self._manifests.values()):
                raise UsageError(f"you have a project {name!r} already", advice="Choose another name.")
            if len(self._own) >= PROJECTS_MOST:
                raise UsageError(f"a node has at most {PROJECTS_MOST} projects")
            identity = Identity(os.urandom(32))
            project = Project(
                key=bytes(identity.peer),
                serial=1,
                name=name,
                about=about,
                url=url,
                created=self._wall(),
                coordinators=[bytes(self._me.peer)],
                owner=bytes(self._me.peer),
                audience=audience,
                network=self._network(audience, network),
                bonus=bonus,
                budget=None if budget is None else from_cobblestones(budget),
            )
            return await self._put(identity, project, Own(Signed(b"", bytes(64)), local))

    def _network(self, audience: Audience, network: str) -> bytes | None:
        if audience != "network" and not network:
            return None
        if not network:
            raise UsageError("which network?", advice="Name it: its members may compute for the project.")
        return self._trust.network(network).key

    async def _put(self, identity: Identity, project: Project, own: Own) -> views.MyProject:
        if project.network is not None and project.mutual and project.budget is not None:
            agreed = manifests.consent(self._me, project.key, project.network, project.budget)
            project = structs.replace(project, consent=agreed)
        own.signed = manifests.sign_project(project, identity)
        key = project.key
        await self._store.write(rows.save(key, identity.seed, own))
        self._own[key], self._manifests[key] = (identity, own), project
        self._apps.setdefault(key, {})
        await self._coordinator.add_project(own.signed)
        await self._ledger.add_project(own.signed, identity, self._signed_apps(key))
        self._told()
        return self.view(key)

    def _signed_apps(self, key: bytes) -> list[Signed]:
        return [app.signed for _, app in self._apps[key].values()]

    async def change(
        self,
        key: bytes,
        *,
        about: str | None = None,
        url: str | None = None,
        audience: Audience | None = None,
        network: str | None = None,
        bonus: float | None = None,
        budget: float | None = None,
        paused: bool | None = None,
        closed: bool | None = None,
        local: bool | None = None,
    ) -> views.MyProject:
        """Only what is given changes; a `budget` of 0 takes it away. `closed` for good. Raises NotFound, UsageError."""
        async with self._one_at_a_time:
            before, (identity, own) = self._manifest(key), self._own[key]
            if before.closed and closed is False:
                raise UsageError("a closed project stays closed", advice="Make a new one.")
            if paused is not None and paused != own.paused:
                await self._coordinator.pause_project(key, paused, "its owner paused it" if paused else "")
                own.paused = paused
            own.local = own.local if local is None else local
            given = {"about": about, "url": url, "audience": audience, "bonus": bonus, "closed": closed}
            project = structs.replace(
                before, **{name: value for name, value in given.items() if value is not None}
            )
            if budget == 0:
                project = structs.replace(project, budget=None, consent=b"")
            elif budget is not None:
                project = structs.replace(project, budget=from_cobblestones(budget))
                if from_cobblestones(budget) < (bound := self._coordinator.bound(key)):
                    raise UsageError(
                        f"{cobblestones(bound):,.2f} cobblestones are paid or promised already",
                        advice="A budget can be no less; pause the project to promise no more.",
                    )
            if network is not None or (audience == "network" and before.network is None):
                project = structs.replace(project, network=self._network(project.audience, network or ""))
            if project == before:
                await self._store.write(rows.save(key, identity.seed, own))
                self._told()
                return self.view(key)
            return await self._put(identity, structs.replace(project, serial=before.serial + 1), own)

    async def remove(self, key: bytes) -> None:
        """Forget a closed project with its key; its ledger's files stay. Raises NotFound, UsageError."""
        if not self._manifest(key).closed:
            raise UsageError("this project is not closed", advice="Close it first; it stays closed for good.")
        await self._store.write(rows.forget(key))
        del self._own[key], self._manifests[key], self._apps[key]
        self._ledger.forget_project(key)
        await self._contents.forget_project(key, at_once=True)
        self._told()

    def _manifest(self, key: bytes) -> Project:
        found = self._manifests.get(key)
        if found is None:
            raise NotFound("this is no project of this node", advice="`servent grid list` shows them.")
        return found

    # -- naming

    def key_of(self, project: str) -> bytes:
        """An own project by name, key or link; "" where there is only one. Raises NotFound, UsageError."""
        text = project.strip()
        if not text and len(self._own) == 1:
            return next(iter(self._own))
        if not text:
            raise UsageError(
                "which project?" if self._own else "there is no project here yet",
                advice="`servent grid list` shows them."
                if self._own
                else "`servent grid new NAME` makes one.",
            )
        named = [key for key, one in self._manifests.items() if one.name.casefold() == text.casefold()]
        key = named[0] if named else links.key_of(text)
        if key is None or key not in self._own:
            short = [
                one for one in self._own if len(text) >= 4 and views.letters(one).startswith(text.lower())
            ]
            if len(short) != 1:
                raise NotFound(
                    f"no project is called {text[:40]!r} here", advice="`servent grid list` shows them."
                )
            key = short[0]
        return key

    def name_of(self, key: bytes) -> str:
        """ "" for one that is gone."""
        found = self._manifests.get(key)
        return found.name if found is not None else ""

    def keys(self) -> list[bytes]:
        """The oldest first."""
        return sorted(self._own, key=lambda key: (self._manifests[key].created, key))

    def wants_strangers(self) -> bool:
        """Whether anybody's connection is to be let in, for the grid's services alone."""
        return any(
            not project.closed and (project.audience in ("everyone", "invited") or self._own[key][1].invites)
            for key, project in self._manifests.items()
        )

    def manifests(self) -> list[Project]:
        return list(self._manifests.values())

    def manifest(self, key: bytes) -> Project | None:
        return self._manifests.get(key)

    def is_local(self, key: bytes) -> bool:
        return key in self._own and self._own[key][1].local

    # -- links

    def link(self, key: bytes, invitation: bytes = b"") -> str:
        """A line to join with. Raises NotFound."""
        project = self._manifest(key)
        return links.encode(links.ProjectLink(key, project.name, (self._address(),), invitation))

    async def invite(self, key: bytes, uses: int) -> str:
        """A line that lets `uses` volunteers in, whatever the audience, within 30 days. Raises NotFound, UsageError."""
        self._manifest(key)
        identity, own = self._own[key]
        own.invites, secret = True, os.urandom(32)
        await self._store.write(rows.save(key, identity.seed, own))
        await self._coordinator.invite(key, secret, uses, self._wall() + INVITATION_LIFETIME)
        self._told()
        return self.link(key, secret)

    # -- apps

    async def add_app(
        self,
        key: bytes,
        name: str,
        module: Path,
        *,
        abi: Abi = "command",
        operations: float | None = None,
        sample: Path | None = None,
        sample_args: Sequence[str] = (),
        seconds: float = 3600.0,
        memory_bytes: int = 256 * 1024**2,
        output_bytes: int = 1024**2,
        checkpoint_bytes: int = 64 * 1024**2,
        quorum: int = 2,
        compare: Compare = "bits",
        comparer: Path | None = None,
        canonical_nans: bool = False,
        about: str = "",
    ) -> views.GridApp:
        """The same name again is the next version. `operations` in FLOP, None measures it with `sample` on stdin and `sample_args`.

        Raises:
            NotFound, UsageError: the module is none that a volunteer would run; it says why.
        """
        self._manifest(key)
        name = clean_name(name)
        if not name or "/" in name:
            raise UsageError("an app needs a name without '/'")
        if (compare == "comparer") != (comparer is not None):
            raise UsageError("a comparer belongs to an app whose results are compared by one")
        limits = Limits(
            seconds=seconds,
            memory_bytes=memory_bytes,
            output_bytes=output_bytes,
            checkpoint_bytes=checkpoint_bytes if abi == "slice" else 0,
        )
        data = await self._trying.module_of(module)
        await self._trying.check(data, abi, limits, canonical_nans=canonical_nans)
        other = None
        if comparer is not None:
            other = await self._trying.module_of(comparer)
            await self._trying.check(other, "command", limits, name="the comparer")
        if operations is None:
            stdin = b"" if sample is None else await asyncio.to_thread(read_file, sample, SAMPLE_BYTES)
            operations = await self._trying.measure(data, abi, limits, stdin, sample_args)
        content = await self._contents.publish(data, f"{name}.wasm", project=key)
        compared = None if other is None else await self._contents.publish(other, "comparer", project=key)
        async with self._one_at_a_time:
            self._manifest(key)
            versions = [app.version for app, _ in self._apps[key].values() if app.name == name]
            app = App(
                project=key,
                name=name,
                version=max(versions, default=0) + 1,
                module=content,
                abi=abi,
                limits=limits,
                operations=max(1, min(2**53, round(operations / 1e6))),
                compare=compare,
                comparer=compared,
                quorum=quorum,
                canonical_nans=canonical_nans,
                about=about,
                created=self._wall(),
            )
            identity, own = self._own[key]
            kept = OwnApp(manifests.sign_app(app, identity))
            id = await self._coordinator.add_app(kept.signed)
            await self._store.write(rows.save_app(id, key, kept, self._wall()))
            self._apps[key][id] = app, kept
            await self._ledger.add_project(own.signed, identity, self._signed_apps(key))
        self._told()
        return looks.app_view(id, app, kept)

    def app_manifest(self, key: bytes, app: str) -> tuple[bytes, App]:
        """By "name" (its newest version that is not retired), "name/version" or id. Raises NotFound, UsageError."""
        self._manifest(key)
        text = app.strip()
        named, _, version = text.partition("/")
        found = [
            (one.version, id)
            for id, (one, kept) in self._apps[key].items()
            if id.hex() == text
            or (one.name == named and (version == str(one.version) if version else not kept.retired))
        ]
        if not found:
            raise NotFound(
                f"{self.name_of(key)} has no app {text[:40]!r}", advice="`servent grid app list` shows them."
            )
        id = max(found)[1]
        return id, self._apps[key][id][0]

    def app_of(self, key: bytes, app: str) -> views.GridApp:
        """As `app_manifest`."""
        id, _ = self.app_manifest(key, app)
        return looks.app_view(id, *self._apps[key][id])

    async def retire_app(self, key: bytes, app: str) -> None:
        """Nothing new is submitted for it; what is under way goes on. Raises NotFound."""
        id, _ = self.app_manifest(key, app)
        kept = self._apps[key][id][1]
        kept.retired = True
        await self._store.write(rows.save_app(id, key, kept, self._wall()))
        self._told()

    # -- views

    def all(self) -> list[views.MyProject]:
        """The newest last."""
        return [self.view(key) for key in self.keys()]

    def view(self, key: bytes) -> views.MyProject:
        """Raises NotFound."""
        project, own = self._manifest(key), self._own[key][1]
        try:
            look = self._coordinator.view(key)
        except NotFound:
            look = ProjectLook(key=key)
        newest, ledger = self._ledger.newest(key), self._ledgers.get(key, LedgerLook(key))
        network = ""
        if project.network is not None:
            try:
                network = self._trust.network(project.network).name
            except NotFound:
                network = views.letters(project.network)
        return views.MyProject(
            key=views.letters(key),
            name=project.name,
            link=self.link(key),
            about=project.about,
            url=project.url,
            audience=project.audience,
            network=network,
            bonus=project.bonus,
            created=project.created,
            paused=own.paused,
            closed=project.closed,
            why=look.why,
            apps=tuple(looks.app_view(id, *app) for id, app in self._apps[key].items()),
            units=look.units,
            by_state=look.by_state,
            throughput=look.throughput,
            eta=look.eta,
            hosts=look.hosts,
            hosts_now=look.hosts_now,
            redundancy=look.redundancy,
            errors=look.errors,
            invalid=look.invalid,
            spent=cobblestones(look.spent),
            promised=cobblestones(look.promised),
            budget=None if project.budget is None else cobblestones(project.budget),
            ledger=newest.hex() if newest is not None else "",
            ledger_entries=ledger.entries,
            ledger_open=ledger.open,
            local=own.local,
        )

    def app_label(self, id: bytes, key: bytes) -> str:
        """ "name/version"."""
        found = self._apps.get(key, {}).get(id)
        return f"{found[0].name}/{found[0].version}" if found is not None else id.hex()[:8]
