"""Records of supernodes that nobody known here vouches for yet: looked at again when one who does becomes known. Pure.

Who is new knows few, and believes a record only when it knows its witnesses. Without this it would wait for the next
comparison of lists for each step from witness to witness.
"""

from __future__ import annotations

from servent.overlay.records import SupernodeRecord

MOST = 256  # records; the oldest goes. A quarter of a megabyte at most


class Doubted:
    """The newest doubtful record of each key."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: dict[bytes, SupernodeRecord] = {}

    def __len__(self) -> int:
        return len(self._records)

    def keep(self, record: SupernodeRecord) -> None:
        """Nobody known here vouches for it; without any receipt it is not kept."""
        if not record.receipts:
            return
        self._records.pop(record.peer.key, None)
        while len(self._records) >= MOST:
            del self._records[next(iter(self._records))]
        self._records[record.peer.key] = record

    def vouched(self, by: bytes) -> list[SupernodeRecord]:
        """Take those for which `by`, who is known now, vouches; and whatever was kept of `by` itself."""
        self._records.pop(by, None)
        found = [
            key for key, one in self._records.items() if any(receipt.by == by for receipt in one.receipts)
        ]
        return [self._records.pop(key) for key in found]
