"""Waiting for what nodes do, as a script would: by asking their API."""

from __future__ import annotations

import time
from collections.abc import Callable

from servent.api import schema
from servent.demo.report import Failed
from servent.demo.stage import Actor

STEP_LIMIT = 240.0  # s; ends only what hangs: a busy machine may take its time


def wait_for(what: str, check: Callable[[], bool], limit: float = STEP_LIMIT, every: float = 0.1) -> float:
    """Poll until `check` holds; returns the seconds it took.

    Raises:
        Failed: it did not within `limit` s.
    """
    began = time.monotonic()
    while not check():
        if time.monotonic() - began > limit:
            raise Failed(f"{what}: not within {limit:.0f} s")
        time.sleep(every)
    return time.monotonic() - began


def transfer(actor: Actor, wanted: str) -> schema.Transfer:
    """The state of one transfer, or Failed when it ended badly."""
    state = actor.client.transfer(wanted)
    if state.state in ("failed", "cancelled"):
        raise Failed(f"{actor.name}: {state.error or state.reason or state.state}")
    return state


def fetched(actor: Actor, wanted: str, limit: float = STEP_LIMIT) -> schema.Transfer:
    """The transfer once all of it is there. Raises Failed."""
    wait_for(f"{actor.name} has everything", lambda: transfer(actor, wanted).state == "complete", limit)
    return transfer(actor, wanted)
