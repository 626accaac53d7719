"""What tests of the directory and of elections are made of: contexts with cheap signatures, records of supernodes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from servent.overlay.context import Context
from servent.overlay.placement import block_of
from servent.overlay.records import PeerRecord, Receipt, SupernodeRecord, signed
from servent.overlay.settings import OverlaySettings
from tests.overlay.things import NETWORK, CheapSeal, peer


def address(number: int) -> str:
    """A public address, each number in another /24, and every 200th in another /16."""
    return f"{20 + number // 40_000}.{number // 200 % 200}.{number % 200}.7:4000"


def peer_record(number: int, where: Sequence[str] | None = None, seq: int = 1) -> PeerRecord:
    key = peer(number)
    addresses = [address(number)] if where is None else list(where)
    record = PeerRecord(bytes(key), seq, 3600, addresses=addresses)
    return signed(NETWORK, record, CheapSeal(key))  # type: ignore[no-any-return]


def context(
    number: int,
    *,
    open: bool = False,
    where: Sequence[str] | None = None,
    wall: Callable[[], float] = lambda: 1e9,
    settings: OverlaySettings | None = None,
    belongs: Callable[[bytes], bool] = lambda key: True,
) -> Context:
    key = peer(number)
    return Context(
        key,
        NETWORK,
        random.Random(number),
        CheapSeal(key),
        wall,
        belongs,
        peer_record(number, where),
        open,
        settings or OverlaySettings(),
    )


def receipt(by: int, subject: int, block: str | None = None) -> Receipt:
    one = Receipt(
        bytes(peer(by)), bytes(peer(subject)), block_of(address(subject)) if block is None else block, 1
    )
    return signed(NETWORK, one, CheapSeal(peer(by)))  # type: ignore[no-any-return]


def supernode(
    number: int,
    seq: int = 1,
    *,
    where: Sequence[str] | None = None,
    block: str | None = None,
    witnesses: Sequence[int] = (),
    **fields: object,
) -> SupernodeRecord:
    """A signed record; `witnesses` reached it from outside."""
    inner = peer_record(number, where)
    if block is None:
        block = block_of(inner.addresses[0]) if inner.addresses else ""
    receipts = [receipt(by, number, block) for by in witnesses]
    fields = {"lifetime": 3600, "room": 512, **fields}
    record = SupernodeRecord(inner, seq, block=block, receipts=receipts, **fields)  # type: ignore[arg-type]
    return signed(NETWORK, record, CheapSeal(peer(number)))  # type: ignore[no-any-return]
