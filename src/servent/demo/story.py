"""What happens in the demo, step by step; every step checks what it says."""

from __future__ import annotations

import time
from pathlib import Path

from servent.api import schema
from servent.api.client import ApiError
from servent.demo import tree
from servent.demo.report import Failed, Report, size
from servent.demo.sharing import Sharing, hand_over
from servent.demo.stage import Actor
from servent.demo.waiting import fetched, transfer, wait_for

NETWORK = "demo"
SOURCE_RATE = (
    1_500_000  # bytes/s each source may send until both kills are over, so that there is time for them
)


class Story:
    """ann publishes; bob and cat are her first readers; dan and eve sit at home behind their routers."""

    def __init__(self, report: Report, ann: Actor, bob: Actor, cat: Actor, dan: Actor, eve: Actor) -> None:
        self.report = report
        self.ann, self.bob, self.cat, self.dan, self.eve = ann, bob, cat, dan, eve
        self.invited = [bob, cat, dan, eve]
        self.link = ""
        self.print_of_it = ""

    def tell(self, behind_nat: bool) -> None:
        """The whole of it. Raises Failed at the first step that does not hold."""
        step = self.report.step
        sharing = Sharing(self.report, self.ann, self.bob, self.cat, self.dan)
        sharing.prepare()
        self.report.title("A network of their own")
        step("ann founds an invitation-only network", self._found)
        step("dan, not yet invited, tries to get in", self._stranger)
        step("ann tells dan a code, and hands him a letter", lambda: hand_over(self.ann, self.dan))
        step("ann invites four; each joins with one ticket", self._join)
        step("everyone reaches everyone", lambda: self._reach(behind_nat))
        self.report.title("One folder, from one to many")
        step("ann sends a folder: it becomes a magnet link", self._send)
        step("bob and cat fetch it", self._first_readers)
        step("cat's disk starts to lie", self._lie)
        self.report.title("Three sources: one is killed, one lies")
        wanted = step("eve fetches from all three; the liar is found", self._several)
        step("bob is killed in mid-transfer (SIGKILL)", lambda: self._kill_source(wanted))
        step("eve is killed too, and started again", lambda: self._kill_reader(wanted))
        step("eve's download finishes by itself", lambda: self._finish(wanted))
        step("every byte is what ann sent (SHA-256)", lambda: self._verify(self.eve, self.eve.files))
        self.report.title("From one home to another")
        step("dan sends eve a file of his own", lambda: self._home_to_home(behind_nat))
        sharing.tell()

    def _found(self) -> tuple[None, str]:
        network = self.ann.client.create_network(NETWORK)
        return None, f"“{network.name}”, and she alone can invite"

    def _stranger(self) -> tuple[None, str]:
        # He knows her address, since a ticket of hers leaked, but it was taken back.
        ticket = self.ann.client.ticket(once=True, lifetime=0.5)
        time.sleep(0.6)
        try:
            joined = self.dan.client.join(ticket.ticket)
        except ApiError as refused:
            said = str(refused)
        else:
            if joined.connected:
                raise Failed("a ticket that ran out let him in")
            said = joined.reason
        if any(peer.connected for peer in self.ann.client.peers()):
            raise Failed("ann is connected to someone she never let in")
        return None, f"refused: {said[:70]}"

    def _join(self) -> tuple[None, str]:
        invitation = self.ann.client.invite(NETWORK, uses=len(self.invited))
        for actor in self.invited:
            joined = actor.client.join(invitation.invitation)
            if joined.network != NETWORK:
                raise Failed(f"{actor.name} joined {joined.network!r}")
        return None, f"an invitation of {len(invitation.invitation)} characters, {len(self.invited)} uses"

    def _reach(self, behind_nat: bool) -> tuple[None, str]:
        everyone = [self.ann, *self.invited]

        def met() -> bool:
            return all(
                sum(peer.connected for peer in actor.client.peers()) == len(everyone) - 1
                for actor in everyone
            )

        wait_for("all five are connected to each other", met)
        if behind_nat:
            wait_for(
                "dan and eve find a direct path", lambda: self._path(self.dan, self.eve).path == "direct"
            )
        paths = [peer.path for actor in everyone for peer in actor.client.peers()]
        return None, f"{paths.count('direct') // 2} pairs direct, {paths.count('relayed') // 2} relayed"

    @staticmethod
    def _path(actor: Actor, other: Actor) -> schema.Peer:
        wanted = other.client.id().id
        for peer in actor.client.peers():
            if peer.id == wanted:
                return peer
        raise Failed(f"{actor.name} does not know {other.name}")

    def _send(self) -> tuple[None, str]:
        folder = self.ann.files / "python-tree"
        count, total = tree.snapshot(folder)
        self.print_of_it = tree.fingerprint(folder)
        share = self.ann.client.add_share(str(folder), wait=True)
        if share.files != count or share.size_bytes != total:
            raise Failed(f"{share.files} files, {share.size_bytes} bytes shared; {count}, {total} are there")
        self.link = share.link
        return None, f"{count:,} files, {size(total)}; {share.link[:44]}…"

    def _first_readers(self) -> tuple[None, str]:
        began = time.monotonic()
        wanted = [
            (actor, actor.client.download(self.link, str(actor.files)).id) for actor in (self.bob, self.cat)
        ]
        for actor, one in wanted:
            done = fetched(actor, one)
            self._verify(actor, actor.files)
        took = time.monotonic() - began
        lanes = {source.lane for source in done.sources if source.lane}
        return (
            None,
            f"{size(2 * done.size_bytes / took)}/s together over {', '.join(sorted(lanes)) or 'QUIC'}, verified",
        )

    def _lie(self) -> tuple[None, str]:
        changed = tree.corrupt(self.cat.files / "python-tree")
        return None, f"{changed:,} of her files now hold a wrong byte, sizes and times unchanged"

    def _several(self) -> tuple[str, str]:
        for actor in (self.ann, self.bob, self.cat):
            actor.client.set_limits(schema.Limits(up_bytes_per_s=SOURCE_RATE))
        wanted = self.eve.client.download(self.link, str(self.eve.files)).id
        names = {actor.client.id().id: actor.name for actor in (self.ann, self.bob, self.cat)}
        gave: dict[str, schema.Source] = {}

        def all_three() -> bool:
            now = transfer(self.eve, wanted)
            for source in now.sources:
                if source.rate_bytes_per_s > 0 or source.state == "dropped":
                    gave[names[source.peer]] = source
            return now.state == "complete" or (len(gave) == 3 and gave["cat"].state == "dropped")

        wait_for("three sources send, and the liar is found out", all_three, every=0.03)
        if set(gave) != {"ann", "bob", "cat"}:
            raise Failed(f"only {', '.join(sorted(gave)) or 'nobody'} ever sent")
        if gave["cat"].state != "dropped":
            raise Failed("cat lied and was not found out")
        return wanted, f"all three sent; cat is dropped: {gave['cat'].reason[:60]}"

    def _kill_source(self, wanted: str) -> tuple[None, str]:
        before = transfer(self.eve, wanted)
        if before.state == "complete":
            raise Failed("it was over before anyone could be killed")
        self.bob.kill()
        return None, f"with {before.done_bytes / max(1, before.size_bytes):.0%} there"

    def _kill_reader(self, wanted: str) -> tuple[None, str]:
        wait_for("a little more arrives", lambda: transfer(self.eve, wanted).done_bytes > 0, every=0.03)
        before = transfer(self.eve, wanted)
        self.eve.kill()
        self.eve.start()
        self.eve.wait_ready()
        wait_for(
            "what was verified is found again", lambda: transfer(self.eve, wanted).done_bytes > 0, every=0.01
        )
        after = transfer(self.eve, wanted)
        return (
            None,
            f"{size(before.done_bytes)} were verified before, {size(after.done_bytes)} are there at once",
        )

    def _finish(self, wanted: str) -> tuple[None, str]:
        for actor in (self.ann, self.cat):
            actor.client.set_limits(schema.Limits())
        done = fetched(self.eve, wanted)
        self.bob.start()
        self.bob.wait_ready()
        return None, f"{size(done.size_bytes)}, from whoever was left"

    def _verify(self, actor: Actor, folder: Path) -> tuple[None, str]:
        found = tree.fingerprint(folder / "python-tree")
        if found != self.print_of_it:
            raise Failed(f"what {actor.name} has differs from what ann sent")
        return None, f"{found[:16]}… on both sides"

    def _home_to_home(self, behind_nat: bool) -> tuple[None, str]:
        letter = self.dan.files / "letter.bin"
        letter.write_bytes(bytes(range(256)) * 40_000)
        share = self.dan.client.add_share(str(letter), wait=True)
        if behind_nat:
            wait_for("eve finds a direct path again", lambda: self._path(self.eve, self.dan).path == "direct")
        began = time.monotonic()
        fetched(self.eve, self.eve.client.download(share.link, str(self.eve.files)).id)
        took = time.monotonic() - began
        if (self.eve.files / "letter.bin").read_bytes() != letter.read_bytes():
            raise Failed("it arrived changed")
        path = self._path(self.eve, self.dan)
        if behind_nat and path.path != "direct":
            raise Failed(f"it took the relay: {path.reason}")
        through = " through two home routers" if behind_nat else ""
        return None, f"{size(letter.stat().st_size)} in {took:.1f} s, {path.path}{through}"
