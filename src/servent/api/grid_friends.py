"""Scripts that have friends compute: what `Grid.map(…, trust="friends")` does, on a Dask cluster over `servent://`.

A Python function goes as it is, with whatever it needs; there is no sandbox, and nothing is computed twice to check it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

from servent.api.client import Client
from servent.api.schema_cluster import Cluster
from servent.errors import UsageError, WorldError

HOW_TO_INSTALL = f"python3 -m pip --python '{sys.executable}' install 'servent[dask]' brings it."
CONNECT_WITHIN = 60.0  # s


class NoDask(WorldError):
    """This Python has no Dask."""

    advice = HOW_TO_INSTALL


def chosen(client: Client, name: str) -> Cluster:
    """The cluster to submit to: by name, or the only one where this node may. Raises UsageError, ApiError."""
    if name:
        found = client.one_cluster(name)
        if not found.submit:
            raise UsageError(
                f"this node may not submit work to {found.name}", advice="Its owner can change that."
            )
        return found
    known = [one for one in client.clusters() if one.submit]
    if len(known) != 1:
        raise UsageError(
            "which cluster?" if known else "there is no cluster to submit to",
            advice='Give its name: map(…, trust="friends", cluster="lab").'
            if known
            else "`servent grid cluster up NAME` makes one; `servent grid cluster join LINK` takes part in a friend's.",
        )
    return known[0]


async def results(
    client: Client,
    function: Callable[..., Any],
    items: Iterable[Any],
    *,
    args: Sequence[Any] = (),
    cluster: str = "",
    group: str = "",
    workers: Callable[[Any], Sequence[str]] | None = None,
) -> AsyncGenerator[tuple[int, Any, Any, str], None]:
    """(number, item, value, error) of each item, in the order in which they come; leaving early cancels the rest.

    Args:
        args: further arguments of each call. group: only machines of this group compute.
        workers: of an item, the addresses of workers that should have it, see `holders`; others take it only when it gets nobody.
    """
    try:
        from distributed import Client as DaskClient
        from distributed import as_completed
        from distributed.comm.registry import backends
    except ImportError as missing:
        raise NoDask("this Python has no Dask") from missing
    from servent.api.dask_backend import ScriptBackend

    meant = chosen(client, cluster)
    backends["servent"] = ScriptBackend(client=client)
    given = list(items)
    how: dict[str, Any] = {"resources": {f"group-{group}": 1}} if group else {}
    async with DaskClient(  # type: ignore[no-untyped-call]
        f"servent://{meant.id}", asynchronous=True, timeout=CONNECT_WITHIN, set_as_default=False
    ) as dask:
        futures: list[Any] = []
        numbers: dict[str, int] = {}
        alike: dict[
            tuple[str, ...], list[int]
        ] = {}  # one question to the scheduler for all that may run at the same places
        for number, item in enumerate(given):
            alike.setdefault(() if workers is None else tuple(workers(item)), []).append(number)
        for near, some in alike.items():
            where = {"workers": list(near), "allow_other_workers": True} if near else {}
            further = [[one] * len(some) for one in args]
            made = dask.map(function, [given[one] for one in some], *further, pure=False, **how, **where)
            futures += made
            numbers |= {future.key: number for future, number in zip(made, some, strict=True)}
        try:
            async for future in as_completed(futures, loop=dask.loop):  # type: ignore[no-untyped-call]
                number = numbers[future.key]
                wrong = await future.exception() if future.status == "error" else None
                if future.status == "finished":
                    yield number, given[number], await future, ""
                else:
                    yield (
                        number,
                        given[number],
                        None,
                        f"{type(wrong).__name__}: {wrong}" if wrong else str(future.status),
                    )
                future.release()
        finally:
            open_ones = [one for one in futures if not one.done()]
            if open_ones:
                async with asyncio.timeout(10.0):
                    await dask.cancel(open_ones)
