"""The stable surface, what is about modules tried on this machine. The same rules as in `schema_grid`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.api.schema_grid import Abi, PathText


class BuildRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Check a module as a volunteer would, and run it once in the sandbox."""

    module: PathText
    abi: Abi = "command"
    args: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=32)] = []
    input: Annotated[str, Meta(max_length=4096)] = ""
    seconds: Annotated[float, Meta(gt=0, le=86400.0)] = 60.0
    memory_bytes: Annotated[int, Meta(ge=65536, le=4 * 1024**3)] = 256 * 1024**2


class TryOut(Struct, frozen=True, kw_only=True):
    """What the sandbox made of it. `outcome`: "done", or what went wrong; `words`: in words."""

    outcome: str
    words: str = ""
    output: str = ""
    base64: bool = False
    size_bytes: int = 0
    digest: str = ""
    seconds: float = 0.0
    slices: int = 0
    memory_bytes: int = 0
