"""What the room about clusters shows: frozen, keys in letters."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from servent.cluster.visits import Hardware, Kind, Part, Versions, Worker

State = Literal["up", "starting", "down", "away", "refused"]


class GroupView(Struct, frozen=True, kw_only=True):
    name: str
    hours: list[str]
    machines: int


class MachineView(Struct, frozen=True, kw_only=True):
    """A member and its machine. `here`: it is connected, or it is this one. `at`: wall clock of its last word, 0 for never."""

    node: bytes
    name: str
    mine: bool
    owner: bool
    work: bool
    submit: bool
    groups: list[str]
    here: bool
    at: float
    why: str
    lends: bool
    cores: int
    memory_bytes: int
    hardware: Hardware
    versions: Versions
    unfit: str
    parts: list[Part]


class ClusterView(Struct, frozen=True, kw_only=True):
    """A cluster as this node knows it. `why`: in a line, why its scheduler does not run or is not known. `dashboard`: it can be looked at from here."""

    id: str
    name: str
    owner: bytes
    mine: bool
    state: State
    why: str
    address: str
    link: str
    number: int
    up: bool
    work: bool
    submit: bool
    cores: int
    machines: list[MachineView]
    groups: list[GroupView]
    workers: list[Worker]
    kinds: list[Kind]
    waiting: int
    running: int
    done: int
    failed: int
    kept_bytes: int
    per_minute: float
    clients: int
    restarts: int
    dashboard: bool
    logs: list[str]
