"""Whether a record of a supernode is to be believed. Pure.

In an open network keys are free, addresses are not (Douceur, "The Sybil Attack", 2002): at most two supernodes of one address block, and
whoever wants the role shows dial-backs of others who are known here. Where members are invited, a receipt of any member does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from servent.overlay.context import Context
from servent.overlay.placement import block_of, wide_block
from servent.overlay.records import Receipt, SupernodeRecord, check
from servent.overlay.topology import Topology
from servent.trust.networks import Forged

PER_BLOCK = 2  # supernodes of one /24 or /48 in an open network
NOWHERE = ("private", "")  # blocks that are nobody's in particular

Witness = Callable[
    [bytes], str | None
]  # the address block of a supernode or neighbour known here; None unknown


def blocks_of(addresses: Iterable[str]) -> set[str]:
    """The address blocks that these addresses lie in."""
    return {block for one in addresses if (block := block_of(one))}


def own_block(addresses: Iterable[str]) -> str:
    """The block from which our own position follows: of the first public address, else "private", else none."""
    found = [block for one in addresses if (block := block_of(one))]
    return next((block for block in found if block not in NOWHERE), found[0] if found else "")


def valid_receipts(context: Context, record: SupernodeRecord, witness: Witness) -> list[Receipt]:
    """Those receipts that count here, each from another wide block as far as blocks are known.

    Raises:
        Forged: a signature does not hold; an honest peer never passes such a thing on.
    """
    good: list[Receipt] = []
    wides: set[str] = set()
    for one in record.receipts:
        if one.subject != record.peer.key or one.by == record.peer.key or one.block != record.block:
            raise Forged("a dial-back of somebody else")
        if not context.belongs(one.by):
            continue
        block = None if one.by == context.me else witness(one.by)
        if context.open and block is None and one.by != context.me:
            continue
        wide = wide_block(block) if block else one.by.hex()
        if wide in wides:
            continue
        check(context.network, one, context.seal)
        wides.add(wide)
        good.append(one)
    return good


def doubts(
    context: Context,
    topology: Topology,
    record: SupernodeRecord,
    *,
    same_block: int,
    wanted: int,
    witness: Witness,
) -> str:
    """Why that record is not taken in, in words; "" when it is. Its own signature is not looked at here.

    Args:
        same_block: other supernodes known in its block.
        wanted: dial-backs it must show.

    Raises:
        Forged: it says of itself what cannot be.
    """
    if not topology.accepts(record):
        return "it is none of the servers of this network"
    if topology.mode == "server":
        return ""
    blocks = blocks_of(record.peer.addresses)
    if record.block not in blocks and (record.block or blocks):
        raise Forged("a supernode in an address block in which it has no address")
    if context.open:
        public = any(block not in NOWHERE for block in blocks_of(context.record.addresses))
        if public and record.block == "private":
            return "it has no public address"
        if same_block >= PER_BLOCK and (public or record.block not in NOWHERE):
            return "there are supernodes enough in its address block"
    if topology.elected and wanted > 0 and len(valid_receipts(context, record, witness)) < wanted:
        return "nobody known here has reached it from outside"
    return ""
