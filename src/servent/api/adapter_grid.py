"""Computing in the API's words: the real room's, by the parts it has."""

from __future__ import annotations

from servent.api.adapter_credit import CreditPart
from servent.api.adapter_grid_lend import LendPart
from servent.api.adapter_grid_work import WorkPart


class GridPart(LendPart, WorkPart, CreditPart):
    """`GridFace` over a `Node`."""
