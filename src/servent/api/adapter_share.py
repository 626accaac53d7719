"""All parts of sharing as one face: each part's methods come from its own adapter, none is written twice."""

from __future__ import annotations

from servent.api import face_share
from servent.api.adapter_codes import CodesPart
from servent.api.adapter_feeds import FeedsPart
from servent.api.adapter_getting import GettingPart
from servent.api.adapter_library import LibraryPart
from servent.api.adapter_queue import QueuePart
from servent.api.adapter_safety import SafetyPart
from servent.api.adapter_search import SearchPart
from servent.api.adapter_setup import SetupPart
from servent.api.adapter_wishes import WishesPart
from servent.node import Node


class SharingFace:
    """`ShareFace` over a `Node`."""

    def __init__(self, node: Node) -> None:
        library: face_share.LibraryFace = LibraryPart(node)
        self.library = library.library
        self.folders = library.folders
        self.add_folder = library.add_folder
        self.change_folder = library.change_folder
        self.remove_folder = library.remove_folder
        self.pause_folder = library.pause_folder
        self.rescan_folder = library.rescan_folder

        search: face_share.SearchFace = SearchPart(node)
        self.search = search.search
        self.browse = search.browse
        self.recommendations = search.recommendations

        wishes: face_share.WishFace = WishesPart(node)
        self.wishes = wishes.wishes
        self.add_wish = wishes.add_wish
        self.change_wish = wishes.change_wish
        self.remove_wish = wishes.remove_wish
        self.wish_matches = wishes.wish_matches

        feeds: face_share.FeedFace = FeedsPart(node)
        self.feeds = feeds.feeds
        self.publish = feeds.publish
        self.publish_again = feeds.publish_again
        self.follow = feeds.follow
        self.change_feed = feeds.change_feed
        self.check_feed = feeds.check_feed
        self.remove_feed = feeds.remove_feed

        codes: face_share.CodeFace = CodesPart(node)
        self.codes = codes.codes
        self.make_code = codes.make_code
        self.receive = codes.receive
        self.cancel_code = codes.cancel_code

        safety: face_share.SafetyFace = SafetyPart(node)
        self.blocks = safety.blocks
        self.block = safety.block
        self.unblock = safety.unblock
        self.reports = safety.reports
        self.report = safety.report
        self.filters = safety.filters
        self.set_filters = safety.set_filters

        getting: face_share.GettingFace = GettingPart(node)
        self.get = getting.get
        self.transfer_files = getting.transfer_files
        self.choose_files = getting.choose_files
        self.read_transfer = getting.read_transfer
        self.read_content = getting.read_content

        queue: face_share.QueueFace = QueuePart(node)
        self.change_transfer = queue.change_transfer
        self.act_on_many = queue.act_on_many
        self.history = queue.history
        self.clear_history = queue.clear_history
        self.queue = queue.queue
        self.set_queue = queue.set_queue

        setup: face_share.SetupFace = SetupPart(node)
        self.setup = setup.setup
        self.finish_setup = setup.finish_setup
