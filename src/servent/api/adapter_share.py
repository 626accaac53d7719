"""All parts of sharing as one face."""

from __future__ import annotations

from servent.api.adapter_codes import CodesPart
from servent.api.adapter_feeds import FeedsPart
from servent.api.adapter_getting import GettingPart
from servent.api.adapter_library import LibraryPart
from servent.api.adapter_queue import QueuePart
from servent.api.adapter_safety import SafetyPart
from servent.api.adapter_search import SearchPart
from servent.api.adapter_setup import SetupPart
from servent.api.adapter_wishes import WishesPart


class SharingFace(
    LibraryPart, SearchPart, WishesPart, FeedsPart, CodesPart, SafetyPart, GettingPart, QueuePart, SetupPart
):
    """`ShareFace` over a `Node`."""
