"""Units that this very node leased of its own projects, and that it knows nothing of: it was ended between the coordinator's word and the volunteer's. They go back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from servent.errors import ServentError
from servent.grid import lending_rows, wire
from servent.grid.coordinator_rows import read_doc
from servent.grid.coordinator_service import Coordinator
from servent.identity import PeerId
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)


async def give_back_lost(store: Store, coordinator: Coordinator, me: PeerId, name: str) -> int:
    """Before lending begins, while the coordinator runs. How many there were. Never raises ServentError.

    What is lost between two machines ends with its deadline; here both sides stand in one file.
    """
    given = 0
    try:
        for project, leases in (await store.read(lambda db: _lost(db, bytes(me)))).items():
            visit = coordinator.visit(project, me, local=True)
            try:
                await visit.answer(wire.Join(project, name=name))
                for at in range(0, len(leases), wire.BATCH):
                    await visit.answer(wire.Abort(leases[at : at + wire.BATCH]))
                    given += len(leases[at : at + wire.BATCH])
            finally:
                visit.close()
    except ServentError as wrong:
        log.info("what was leased here and lost stays so until its deadline: %s", wrong)
    return given


def _lost(db: sqlite3.Connection, me: bytes) -> dict[bytes, list[int]]:
    held = {(row.project, row.task.lease) for row in lending_rows.held(db)}
    keys = {number: key for number, key in db.execute("SELECT number, key FROM grid_projects")}
    projects = {number: project for number, project in db.execute("SELECT number, project FROM grid_apps")}
    lost: dict[bytes, list[int]] = {}
    for (body,) in db.execute("SELECT body FROM grid_active"):
        doc = read_doc.decode(body)
        project = keys[projects[doc.app]]
        for copy in doc.copies:
            if copy.state == "leased" and copy.identity == me and (project, copy.id) not in held:
                lost.setdefault(project, []).append(copy.id)
    return lost
