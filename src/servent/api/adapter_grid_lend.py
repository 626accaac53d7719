"""Lending this machine, in the API's words."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from servent.api import schema_credit as credit
from servent.api import schema_grid as grid
from servent.api import schema_pictures as pictures
from servent.api import schema_wasm as wasm
from servent.api import settings
from servent.api.adapter_grid_base import GridBase, as_struct, ledger_link
from servent.blobs.queueing import parse_hours
from servent.errors import NotFound, UsageError
from servent.grid import policy, views
from servent.identity import PeerId
from servent.net import ticket


class LendPart(GridBase):
    """The volunteer's side of `GridFace` over a `Node`."""

    def lending(self) -> grid.Lending:
        return as_struct(grid.Lending, self._grid.lending.view())

    async def change_lending(self, change: grid.LendChange) -> grid.Lending:
        given = {key: value for key, value in msgspec.to_builtins(change).items() if value is not None}
        own = {key: value for key, value in given.items() if key not in ("on", "preset")}
        parse_hours(own.get("hours", ()), "grid.hours")
        values: dict[str, settings.Value] = {}
        if change.on is not None:
            values["lend"] = change.on
        if change.preset is not None:
            values["preset"] = change.preset
        if own:
            now = self._grid.lending.view()
            if (change.preset or now.preset) != "own":  # it begins with what the preset says
                held = policy.policy_of(
                    msgspec.structs.replace(self._node.config.grid, preset=change.preset or now.preset),
                    now.machine_cores,
                )
                values |= msgspec.to_builtins(held)
            values |= own | {"preset": "own"}
        await asyncio.to_thread(
            settings.change, self._node.data_dir, {f"grid.{key}": value for key, value in values.items()}
        )
        for key, value in values.items():
            setattr(self._node.config.grid, key, value)
        self._grid.lending.settings_changed()
        return await self._settled()

    async def _settled(self) -> grid.Lending:
        """The state once it says what was asked for; a machine that is slow to decide is not waited for longer than a second."""
        wanted = self._node.config.grid
        for _ in range(20):
            now = self._grid.lending.view()
            if now.on == wanted.lend and now.preset == wanted.preset and (now.state == "off") != wanted.lend:
                break
            await asyncio.sleep(0.05)
        return self.lending()

    async def pause_lending(self, pause: grid.GridPause) -> grid.Lending:
        await self._grid.lending.pause(pause.seconds)
        return self.lending()

    async def resume_lending(self) -> grid.Lending:
        await self._grid.lending.resume()
        return self.lending()

    async def grid_log(self, query: grid.GridLogQuery) -> list[grid.GridLogEntry]:
        project = self._any(query.project) if query.project else None
        rows = await self._grid.lending.log(query.before, query.limit, project)
        return [as_struct(grid.GridLogEntry, one) for one in rows]

    def slot_picture(self, number: int, query: pictures.PictureQuery) -> pictures.SlotPicture:
        try:
            looked = self._grid.lending.pictures.look(number - 1, query.after)
        except NotFound:
            if any(slot.number == number for slot in self.lending().slots):
                return pictures.SlotPicture(number=number)  # between two units, or paused
            raise
        return as_struct(pictures.SlotPicture, looked, number=number)

    # -- projects joined

    def joined_projects(self) -> list[grid.JoinedProject]:
        return [self._shown(one) for one in self._grid.lending.joined()]

    def _shown(self, view: views.JoinedProject) -> grid.JoinedProject:
        return as_struct(
            grid.JoinedProject,
            view,
            id=view.key,
            team=self._team_name(view.team),
            owner_name=view.owner_name or self._called(view.owner),
            ledger=ledger_link(view.ledger, f"{view.name} ledger"),
        )

    def _team_name(self, key: str) -> str:
        """A team by its key in letters; "" where this node is not in it (any more), for then nothing counts for it."""
        teams = (one for one in self._grid.teams.all() if one.member)
        return next((one.name for one in teams if str(PeerId(one.key)) == key), "")

    async def look_at_project(self, request: credit.ProjectLink) -> credit.ProjectPreview:
        _no_ticket(request.link)
        view = await self._grid.look(request.link)
        return as_struct(credit.ProjectPreview, view, id=view.key, owner_name=self._called(view.owner))

    async def join_project(self, request: grid.JoinProject) -> grid.JoinedProject:
        _no_ticket(request.link)
        team = self._grid.teams.find(request.team).key if request.team else None
        view = await self._grid.join(request.link.strip(), share=request.share, team=team)
        if request.lend and not self._node.config.grid.lend:
            await self.change_lending(grid.LendChange(on=True))
        assert isinstance(view, views.JoinedProject)
        return self._shown(view)

    async def change_joined(self, project: str, change: grid.JoinedChange) -> grid.JoinedProject:
        team = None if change.team is None else self._grid.teams.find(change.team).key if change.team else b""
        view = await self._grid.lending.change(
            self._joined(project), share=change.share, team=team, paused=change.paused
        )
        return self._shown(view)

    async def leave_project(self, project: str) -> None:
        await self._grid.leave(self._joined(project))

    # -- apps tried here

    async def try_module(self, request: wasm.BuildRequest) -> wasm.TryOut:
        made = await self._grid.projects.try_module(
            Path(request.module),
            abi=request.abi,
            args=tuple(request.args),
            input=Path(request.input) if request.input else None,
            seconds=request.seconds,
            memory_bytes=request.memory_bytes,
        )
        return as_struct(wasm.TryOut, made)


def _no_ticket(link: str) -> None:
    """Raises UsageError."""
    if link.strip().casefold().startswith(ticket.SCHEME):
        raise UsageError(
            "this is somebody's ticket, not a project's link",
            advice="`servent join` takes it; `servent grid show` prints the link of a project at its owner.",
        )
