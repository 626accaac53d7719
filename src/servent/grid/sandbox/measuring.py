"""How fast a core is in the sandbox: a small module that multiplies and adds. Pure.

Its text is in `tests/grid/sandbox/test_slots.py`, which checks that these bytes are made of it.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from pathlib import Path

from servent.grid.manifests import Limits
from servent.grid.sandbox.jobs import Ended, Job

ROUNDS = 10_000_000
OPERATIONS = ROUNDS * 8 * 4 * 2  # 8 sums of 4 lanes, each a multiplication and an addition: 0.64 GFLOP
MODULE = zlib.decompress(
    base64.b64decode(
        "eNpNkEFqAkEQRf+v7umZccwqF6jJCdy7GOckyagTA0krqCAhksmFcoWsAzlCdkFcus9CsAc3DUX9eh+qPhSajScAWj4ARojEEExv"
        "xfnWr9avAne/2TbrLTD4Ib8p7PK383D31VWnfVfNx131+/9elXn98flnS5iJUvPzsW8HllSJSNREZNRGZDWJKFEXkdM0olSziDJF"
        "zec73KCoEbIlmCHGBumncKiXsHM1+iosCozssvGtlMQAXJKNcGo4s5wnbB0fUy4yPuX0xoWPgC8XZ9ZQFQ=="
    )
)
DIGEST = hashlib.sha256(MODULE).digest()


def job(number: int, module: Path) -> Job:
    """`module`: where the bytes are written to; its folder may be written to."""
    return Job(
        number=number,
        module=str(module),
        digest=DIGEST,
        abi="command",
        seed=bytes(32),
        limits=Limits(seconds=60.0),
        folder=str(module.parent),
        budget=60.0,
    )


def mflops(ended: Ended) -> float:
    """Of what came of it; 0.0 where it did not end well."""
    return OPERATIONS / 1e6 / ended.seconds if ended.outcome == "done" and ended.seconds > 0 else 0.0
