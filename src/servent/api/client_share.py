"""The client's half that is about sharing: one method for each of `face_share`, under the same names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

import msgspec

from servent.api import schema
from servent.api.client_http import FIRST_LINE, Http, Later, part

if TYPE_CHECKING:
    from servent.api import schema_getting as getting
    from servent.api import schema_share as share
else:
    getting = Later("servent.api.schema_getting")
    share = Later("servent.api.schema_share")

SLOW = 120.0  # s for what asks peers, or looks through a folder, before it answers


class ShareClient(Http):
    """Raises as `Client` does."""

    # library

    def library(self) -> share.Library:
        return self._get("/library", share.Library)

    def folders(self) -> list[share.Folder]:
        return self._get("/library/folders", list[share.Folder])

    def folder(self, folder: str) -> share.Folder:
        return self._get(f"/library/folders/{part(folder)}", share.Folder)

    def add_folder(self, new: share.NewFolder) -> share.Folder:
        """ApiError of kind "confirm" says what is doubtful; give `confirm` to share it all the same."""
        return self._send("POST", "/library/folders", share.Folder, new, timeout=SLOW)

    def change_folder(self, folder: str, change: share.FolderChange) -> share.Folder:
        return self._send("PATCH", f"/library/folders/{part(folder)}", share.Folder, change, timeout=SLOW)

    def remove_folder(self, folder: str) -> None:
        self._send("DELETE", f"/library/folders/{part(folder)}", schema.Done, timeout=SLOW)

    def pause_folder(self, folder: str, paused: bool = True) -> share.Folder:
        word = "pause" if paused else "resume"
        return self._send("POST", f"/library/folders/{part(folder)}/{word}", share.Folder)

    def rescan_folder(self, folder: str) -> share.Folder:
        return self._send("POST", f"/library/folders/{part(folder)}/rescan", share.Folder)

    # search and browse

    def search(
        self,
        q: str,
        *,
        scope: Literal["all", "library", "peers", "networks"] = "all",
        peer: str = "",
        network: str = "",
        limit: int = 500,
        wait: float = 8.0,
    ) -> Iterator[share.SearchEvent]:
        """Events as they come, "done" last. Closing the iterator ends the search everywhere."""
        query = urlencode(
            {"q": q, "scope": scope, "peer": peer, "network": network, "limit": limit, "wait": wait}
        )
        yield from self._stream("/search?" + query, share.SearchEvent, wait + FIRST_LINE)

    def browse(self, peer: str, query: share.BrowseQuery | None = None) -> share.Listing:
        wanted = query or share.BrowseQuery()
        return self._get(f"/browse/{part(peer)}?{_query(wanted)}", share.Listing, timeout=SLOW)

    def recommendations(self, page: share.Page | None = None) -> list[share.Recommendation]:
        return self._get(
            f"/recommendations?{_query(page or share.Page())}", list[share.Recommendation], timeout=SLOW
        )

    # wishes

    def wishes(self) -> list[share.Wish]:
        return self._get("/wishes", list[share.Wish])

    def add_wish(self, new: share.NewWish) -> share.Wish:
        return self._send("POST", "/wishes", share.Wish, new)

    def change_wish(self, wish: str, change: share.WishChange) -> share.Wish:
        return self._send("PATCH", f"/wishes/{part(wish)}", share.Wish, change)

    def remove_wish(self, wish: str) -> None:
        self._send("DELETE", f"/wishes/{part(wish)}", schema.Done)

    def wish_matches(self, wish: str, page: share.Page | None = None) -> list[share.WishMatch]:
        return self._get(
            f"/wishes/{part(wish)}/matches?{_query(page or share.Page())}", list[share.WishMatch]
        )

    # feeds

    def feeds(self) -> list[share.Feed]:
        return self._get("/feeds", list[share.Feed])

    def publish(self, new: share.NewFeed) -> share.Feed:
        return self._send("POST", "/feeds/published", share.Feed, new, timeout=SLOW)

    def publish_again(self, feed: str) -> share.Feed:
        return self._send("POST", f"/feeds/{part(feed)}/publish", share.Feed, timeout=SLOW)

    def follow(self, request: share.FollowRequest) -> share.Feed:
        return self._send("POST", "/feeds/followed", share.Feed, request, timeout=SLOW)

    def change_feed(self, feed: str, change: share.FeedChange) -> share.Feed:
        return self._send("PATCH", f"/feeds/{part(feed)}", share.Feed, change)

    def check_feed(self, feed: str) -> share.Feed:
        return self._send("POST", f"/feeds/{part(feed)}/check", share.Feed, timeout=SLOW)

    def remove_feed(self, feed: str) -> None:
        self._send("DELETE", f"/feeds/{part(feed)}", schema.Done)

    # codes

    def codes(self) -> list[share.Code]:
        return self._get("/codes", list[share.Code])

    def make_code(self, new: share.NewCode) -> share.Code:
        return self._send("POST", "/codes", share.Code, new, timeout=SLOW)

    def receive(self, request: share.ReceiveRequest) -> share.Code:
        return self._send("POST", "/codes/receive", share.Code, request, timeout=SLOW)

    def complete_code(self, text: str) -> list[str]:
        """What a code typed so far may go on with."""
        return self._get("/codes/complete?" + urlencode({"text": text}), list[str])

    def cancel_code(self, code: str) -> None:
        self._send("DELETE", f"/codes/{part(code)}", schema.Done)

    # safety

    def blocks(self) -> list[share.Block]:
        return self._get("/blocks", list[share.Block])

    def block(self, new: share.NewBlock) -> share.Block:
        return self._send("POST", "/blocks", share.Block, new)

    def unblock(self, block: str) -> None:
        self._send("DELETE", f"/blocks/{part(block)}", schema.Done)

    def reports(self) -> list[share.Report]:
        return self._get("/reports", list[share.Report])

    def report(self, new: share.NewReport) -> share.Report:
        return self._send("POST", "/reports", share.Report, new)

    def filters(self) -> share.Filters:
        return self._get("/filters", share.Filters)

    def set_filters(self, filters: share.Filters) -> share.Filters:
        return self._send("PUT", "/filters", share.Filters, filters)

    # getting and the queue

    def get(self, new: getting.NewGet) -> schema.Transfer:
        return self._send("POST", "/gets", schema.Transfer, new, timeout=SLOW)

    def transfer_files(self, transfer: str, page: share.Page | None = None) -> list[getting.TransferFile]:
        query = _query(page or share.Page())
        return self._get(f"/transfers/{part(transfer)}/files?{query}", list[getting.TransferFile])

    def choose_files(self, transfer: str, choice: getting.FileChoice) -> list[getting.TransferFile]:
        return self._send("PUT", f"/transfers/{part(transfer)}/files", list[getting.TransferFile], choice)

    def change_transfer(self, transfer: str, change: getting.TransferChange) -> schema.Transfer:
        """With `to`, returns once it is moved; over disks that takes as long as copying."""
        timeout = None if change.to is not None else self.timeout
        return self._send("PATCH", f"/transfers/{part(transfer)}", schema.Transfer, change, timeout=timeout)

    def act_on_many(self, many: getting.ManyTransfers) -> getting.ManyDone:
        return self._send("POST", "/transfers/many", getting.ManyDone, many, timeout=SLOW)

    def history(self, query: getting.HistoryQuery | None = None) -> getting.History:
        return self._get(f"/history?{_query(query or getting.HistoryQuery())}", getting.History)

    def clear_history(self) -> None:
        self._send("DELETE", "/history", schema.Done)

    def queue(self) -> getting.Queue:
        return self._get("/queue", getting.Queue)

    def set_queue(self, queue: getting.Queue) -> getting.Queue:
        return self._send("PUT", "/queue", getting.Queue, queue)

    # the first run

    def setup(self) -> getting.Setup:
        return self._get("/setup", getting.Setup)

    def finish_setup(self, done: getting.SetupDone | None = None) -> getting.Setup:
        return self._send("POST", "/setup", getting.Setup, done or getting.SetupDone())


def _query(wanted: msgspec.Struct) -> str:
    """What differs from the defaults, as a query string."""
    values = msgspec.to_builtins(wanted)
    defaults = msgspec.to_builtins(type(wanted)())
    given = {name: value for name, value in values.items() if value != defaults[name]}
    return urlencode(
        {name: str(value).lower() if isinstance(value, bool) else value for name, value in given.items()}
    )
