"""The group of all commands about computing."""

from __future__ import annotations

from servent.cli.base import group


@group(
    "grid",
    "servent grid join servent-project:…",
    "servent grid status",
    "servent grid pause --for 2h",
    "servent grid new primes --for everyone",
    "servent grid build sieve.c",
    "servent grid app add sieve.wasm",
    "servent grid submit sieve inputs/ --to results/",
    "servent grid watch",
    "servent grid cluster up lab",
)
def grid() -> None:
    """Computing: lend this machine to projects you choose, or have others compute for yours.

    What volunteers run comes in a sandbox without files and without a network. Credit is counted in cobblestones, as
    BOINC does: 200 for a day of one GFLOP/s.
    """
