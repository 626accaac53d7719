"""Credit, teams and balances in the API's words: MFLOP become cobblestones, keys become letters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from servent.api import schema_credit as credit
from servent.api import schema_grid as grid
from servent.api.adapter_grid_base import GridBase
from servent.api.who import meant
from servent.blobs.magnet import parse_magnet
from servent.errors import NotFound, UsageError
from servent.grid import credit_views, links
from servent.grid.boinc_xml import Machine
from servent.grid.credit import cobblestones
from servent.identity import PeerId

FRACTION = 4  # digits after the point, of cobblestones: 43 MFLOP


def _credit(mflop: float) -> float:
    return round(cobblestones(mflop), FRACTION)


def _key(raw: bytes) -> str:
    return str(PeerId(raw)) if raw else ""


class CreditPart(GridBase):
    """The part of `GridFace` that is about credit, over a `Node`."""

    async def leaderboard(self, project: str, query: credit.BoardQuery) -> credit.Leaderboard:
        key = self._any(project)
        view = await self._grid.ledger.leaderboard(key, query.board, query.span, query.offset, query.limit)
        return credit.Leaderboard(
            project=_key(view.project),
            project_name=view.name,
            board=view.board,
            span=view.span,
            standings=self._standings(view.standings),
            rows=view.rows,
            as_of=view.as_of,
        )

    def _standings(self, rows: Iterable[credit_views.Standing]) -> list[credit.Standing]:
        mine = {team.key for team in self._grid.teams.all() if team.member} | {bytes(self._node.peer)}
        return [
            credit.Standing(
                rank=one.rank,
                key=_key(one.key),
                name=self._called(one.key) or one.name,
                team=one.team,
                credit=_credit(one.credit),
                recent=_credit(one.recent),
                results=one.results,
                me=one.key in mine,
            )
            for one in rows
        ]

    async def audit(self, request: credit.AuditRequest) -> credit.Audit:
        view = await self._audited(request.link.strip())
        return credit.Audit(
            ok=view.ok,
            project=_key(view.project),
            project_name=view.name,
            entries=view.entries,
            countersigned=view.countersigned,
            open=view.open,
            results=view.results,
            credit=_credit(view.credit),
            workers=view.workers,
            first=view.first,
            last=view.last,
            head=view.head.hex(),
            checks=[credit.AuditCheck(what=one.what, ok=one.ok, words=one.words) for one in view.checks],
            standings=self._standings(view.standings),
            seconds=round(view.seconds, 3),
        )

    async def _audited(self, link: str) -> credit_views.Audited:
        """The check of what `link` means. Raises UsageError, NotFound."""
        if Path(link).is_absolute():
            return await self._grid.ledger.audit(Path(link))
        if link.casefold().startswith("magnet:"):
            named = parse_magnet(link)
            contacts = [bytes(PeerId.parse(one)) for one in named.contacts]
            return await self._grid.ledger.audit(named.infohash, contacts)
        key = links.key_of(link)
        if key is not None:
            return await self._grid.audit(key, links.decode(link).coordinators if links.is_link(link) else ())
        try:
            key = self._any(link)
        except NotFound as missing:
            raise NotFound(
                str(missing),
                advice="Give a project's link, a ledger's, or the path of a folder that holds one.",
            ) from None
        return await self._grid.audit(key)

    async def export_statistics(self, project: str, request: credit.ExportRequest) -> credit.Exported:
        key = self._any(project)
        machines = {}
        if self._grid.projects.manifest(key) is not None:
            machines = {
                host.identity: Machine(host.cores, mflops=host.mflops, seen=host.seen)
                for host in self._grid.coordinator.hosts(key)
            }
        files = await self._grid.ledger.export(key, Path(request.to), machines)
        return credit.Exported(files=[str(path) for path in files])

    # -- teams

    def teams(self) -> list[credit.Team]:
        return [_team(one) for one in self._grid.teams.all()]

    async def create_team(self, new: credit.NewTeam) -> credit.Team:
        return _team(await self._grid.teams.create(new.name))

    async def invite_to_team(self, team: str, peer: str) -> grid.GridInvite:
        return grid.GridInvite(link=await self._grid.teams.invite(team, meant(self._node, peer)))

    async def join_team(self, request: credit.TeamJoin) -> credit.Team:
        return _team(await self._grid.teams.join(request.ticket))

    async def leave_team(self, team: str) -> None:
        await self._grid.teams.leave(team)

    # -- balances

    async def balances(self, network: str) -> list[credit.Balance]:
        known = {bytes(one.key): one.name for one in self._node.trust.networks()}
        if network:
            found = [key for key, name in known.items() if network in (name, _key(key))]
            if not found:
                raise NotFound(
                    f"this node is in no network {network[:64]!r}", advice="`servent network ls` lists them."
                )
        else:
            found = list(known)
        if len(found) > 1:
            raise UsageError("which network is meant?", advice="Give its name.")
        rows = await self._grid.ledger.balances(found[0]) if found else []
        return [
            credit.Balance(
                peer=_key(one.peer),
                name=self._called(one.peer),
                network=known[found[0]],
                earned=_credit(one.earned),
                spent=_credit(one.spent),
                balance=_credit(one.balance),
                me=one.peer == bytes(self._node.peer),
            )
            for one in rows
        ]


def _team(view: credit_views.Team) -> credit.Team:
    return credit.Team(
        key=_key(view.key),
        name=view.name,
        mine=view.mine,
        member=view.member,
        members=view.members,
        expires=view.expires,
    )
