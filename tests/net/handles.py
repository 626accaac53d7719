"""What this process holds of iroh."""

from __future__ import annotations

import gc

from servent.net import fastffi

KINDS = {"Endpoint", "Connection", "Incoming", "Accepting", "SendStream", "RecvStream", "BiStream"}


def handles() -> int:
    """iroh's objects, and calls into it that are under way.

    Sockets say less: where many endpoints of one process close at the same time, iroh 1.2 now and then keeps those of one
    for good, though nobody holds anything of it any more.
    """
    gc.collect()
    ours = sum(
        type(one).__name__ in KINDS and type(one).__module__.startswith("iroh") for one in gc.get_objects()
    )
    return ours + len(fastffi._calls)
