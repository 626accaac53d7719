"""Whether others have reached us from outside, as the index role takes; and asking them to try. Pure."""

from __future__ import annotations

from servent.overlay.context import Context
from servent.overlay.dialback import Seeker
from servent.overlay.directory import Directory
from servent.overlay.effects import Effect
from servent.overlay.placement import wide_block
from servent.overlay.records import Receipt
from servent.overlay.vouching import own_block

NO_RECEIPT = (
    "no other peer could reach it from outside, as it takes: a public address or a port mapping would help"
)
TRYING = "other peers are just trying whether they reach it from outside"
NO_ADDRESS = "it has no address of its own at which others could reach it"


class Reached:
    """Receipts that we have, and those that we lack."""

    def __init__(self, context: Context, directory: Directory) -> None:
        self._context, self._directory = context, directory
        self._settings = context.settings.election
        self.seeker = Seeker(context, self._settings.receipt_lifetime)

    def receipts(self, now: float) -> list[Receipt]:
        """Two at most, of witnesses in different wide blocks where that is known.

        In an open network, of supernodes only as soon as there are others: nobody believes a stranger.
        """
        directory, found = self._directory, dict[str, Receipt]()
        strict = self._context.open and directory.alive(now) > (directory.own is not None)
        for one in self.seeker.receipts(own_block(self._context.record.addresses), now):
            if not strict or directory.get(one.by, now) is not None:
                found.setdefault(self._wide(one.by, now), one)
        return list(found.values())[:2]

    def _wide(self, key: bytes, now: float) -> str:
        record = self._directory.get(key, now)
        return wide_block(record.block) if record is not None and record.block else key.hex()

    def seek(self, now: float, alone: bool) -> tuple[list[Effect], str]:
        """Ask for what is missing. The reason why we cannot be reached, as far as is known; "" when we can.

        Args:
            alone: there is no supernode: one receipt of any neighbour does.
        """
        directory, record, seeker = self._directory, self._context.record, self.seeker
        block = own_block(record.addresses)
        have = self.receipts(now)
        others = [one for one in directory.records(now) if one.peer.key != self._context.me]
        wides = {wide_block(one.block) for one in others}
        need = 1 if alone else max(1, min(self._settings.receipts, len(wides)))
        if len(have) >= need and seeker.fresh(block, now) >= need:
            return [], ""  # enough, and for long enough
        if alone or not others:
            witnesses = sorted(directory.links)
            self._context.dice.shuffle(witnesses)
        else:
            witnessed = {self._wide(one.by, now) for one in have}
            keys = directory.random(len(others), now)
            witnesses = sorted(keys, key=lambda key: self._wide(key, now) in witnessed)
        effects = seeker.ask(witnesses, record.addresses, now)
        if len(have) >= need:
            return effects, ""
        if seeker.waiting(now):
            return effects, TRYING
        if not record.addresses:
            return effects, NO_ADDRESS
        if seeker.unreached or not have:
            return effects, NO_RECEIPT
        return effects, f"{len(have)} of the {need} peers that it takes have reached it from outside"
