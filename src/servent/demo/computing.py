"""The second act of the demo: one of five has work, the others lend their machines; one cheats, one is killed, and the books are right."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from pathlib import Path

from servent.api import schema_credit as credit
from servent.api import schema_grid as grid
from servent.demo.listening import Listening
from servent.demo.report import Failed, Report
from servent.demo.stage import Actor
from servent.demo.story import NETWORK
from servent.demo.waiting import wait_for

PROJECT = "primes"
MODULE = Path(__file__).with_name("primes.wat")
FIRST = 10**12
SPAN = 2_000  # numbers in a unit: some 0.3 s of a core
UNITS = 24
LONG_SPAN = 240_000  # some 20 s of a core, in slices of a thousand numbers
DEADLINE = 8.0  # s a volunteer of the long unit has until it says that it is still at it
TOLD = 0.5  # of the long unit is done when its volunteer is killed
RESUMED = 0.1  # and whoever goes on is first seen above this; one that began anew would be far below
LIMIT = 300.0  # s; ends only what hangs
ROUNDS = 10
OPERATIONS = 1e9  # of a short unit: about so many divisions and comparisons


class Computing:
    """ann has the work; bob, cat, dan and eve lend a core each, and cat returns what she likes."""

    def __init__(self, report: Report, ann: Actor, bob: Actor, cat: Actor, dan: Actor, eve: Actor) -> None:
        self.report, self.ann, self.cat = report, ann, cat
        self.volunteers = [bob, cat, dan, eve]
        self.names: dict[str, str] = {}
        self.link = ""
        self.killed: Actor | None = None
        self.listening = Listening(ann, PROJECT) if Listening.possible() else None
        self.long_app = "count-alone" if self.listening is None else "listen-long"

    def tell(self) -> None:
        """Raises Failed at the first step that does not hold."""
        step = self.report.step
        self.report.title("Their machines compute")
        step("ann has a project: how many primes are there?", self._found)
        step("four lend a core each; cat is going to cheat", self._lend)
        step("ann submits work; they compute it sandboxed", self._compute)
        step("cat is caught, and nothing wrong was believed", self._caught)
        if self.listening is not None:
            step("ann's search for signals, built from its source", self.listening.build)
            batch = step("they listen; who has the longest part is killed", self._kill)
        else:
            self.report.note(
                "No compiler is here (`pip install 'servent[apps]'` has one): a long count in place of a search."
            )
            batch = step("a long unit, and who computes it is killed", self._kill)
        step("another goes on from its last checkpoint", lambda: self._elsewhere(batch))
        if self.listening is not None:
            step("every signal is found where it was hidden", lambda: (None, self._heard()))
        step("anybody can check the credit", self._audit)

    def _found(self) -> tuple[None, str]:
        client = self.ann.client
        new = grid.NewProject(name=PROJECT, about="Counts primes", audience="network", network=NETWORK)
        self.link = client.create_project(new).link
        app = grid.NewApp(name="count", module=str(MODULE), abi="slice", operations=OPERATIONS, seconds=120)
        made = client.add_app(PROJECT, app)
        alone = grid.NewApp(
            name="count-alone",
            module=str(MODULE),
            abi="slice",
            operations=OPERATIONS * 30,
            seconds=600,
            quorum=1,
        )
        client.add_app(PROJECT, alone)
        return None, f"a module of {made.module_bytes} bytes, signed; {self.link[:44]}…"

    def _lend(self) -> tuple[None, str]:
        self.cat.stop()
        self.cat.module = "servent.testing.cheating"
        self.cat.start()
        self.cat.wait_ready()
        everything = grid.LendChange(on=True, preset="everything", cores=1, fetch_ahead_minutes=0.0)
        for actor in self.volunteers:
            self.names[actor.client.id().id] = actor.name
            actor.client.change_lending(everything)
            actor.client.join_project(grid.JoinProject(link=self.link))
        wait_for(
            "all four are at the door", lambda: self.ann.client.my_project(PROJECT).hosts_now == 4, LIMIT
        )
        return None, "no files, no network, own clock and dice: nothing to be afraid of"

    def _compute(self) -> tuple[None, str]:
        """Several rounds at most: while others are quick, cat may have had no chance to cheat in the first."""
        units, primes = 0, 0
        for start in range(FIRST, FIRST + ROUNDS * UNITS * SPAN, UNITS * SPAN):
            primes += self._round(start)
            units += UNITS
            if self._hosts()["cat"].invalid:
                break
        copies = self.ann.client.my_project(PROJECT).redundancy
        return None, f"{units} units, {primes} primes, as our own sieve says; {copies:.1f} copies each"

    def _round(self, start: int) -> int:
        """How many primes they found from `start` on. Raises Failed where it is not what there are."""
        client = self.ann.client
        ranges = [(first, first + SPAN - 1) for first in range(start, start + UNITS * SPAN, SPAN)]
        items = [f"{first} {last}" for first, last in ranges]
        batch = client.submit(PROJECT, grid.NewBatch(app="count", items=items, title=f"from {start}")).id
        wait_for("every unit is done", lambda: client.batch(batch).done == UNITS, LIMIT)
        results = client.batch_results(batch, limit=1000).results
        primes = sieve(start, start + UNITS * SPAN - 1)
        if len(results) != UNITS:
            raise Failed(f"{len(results)} results of {UNITS} units")
        for one in results:
            first, last = ranges[one.number]
            if one.output != str(bisect_right(primes, last) - bisect_left(primes, first)):
                raise Failed(f"the count from {first} is said to be {one.output}")
        return len(primes)

    def _hosts(self) -> dict[str, grid.Volunteer]:
        return {self.names.get(one.peer, one.peer): one for one in self.ann.client.volunteers(PROJECT)}

    def _caught(self) -> tuple[None, str]:
        hosts = self._hosts()
        cat = hosts["cat"]
        if not cat.invalid:
            raise Failed("cat returned nothing, or was believed")
        if cat.valid or cat.credit or any(hosts[name].invalid for name in ("bob", "dan", "eve")):
            raise Failed("somebody was judged wrongly")
        return (
            None,
            f"{cat.invalid} of her results were refused, and she has no credit; the others have theirs",
        )

    def _kill(self) -> tuple[str, str]:
        self.cat.client.change_lending(grid.LendChange(on=False))
        start = FIRST * 2
        long_one = grid.NewBatch(
            app="count-alone",
            items=[f"{start} {start + LONG_SPAN - 1}"],
            title="a long one",
            deadline=DEADLINE,
        )
        if self.listening is not None:
            batch = self.listening.submit(DEADLINE)
        else:
            batch = self.ann.client.submit(PROJECT, long_one).id
        told = 0.0
        heard: set[float] = set()

        def far_enough() -> bool:
            nonlocal told
            (unit,) = self.ann.client.units(PROJECT, grid.UnitsQuery(batch=int(batch))).units
            told = max((copy.fraction or 0.0 for copy in unit.copies if copy.state == "leased"), default=0.0)
            if told > RESUMED:
                heard.add(told)  # of one that is not the last ann has certainly fetched what was told of
            return told > TOLD and len(heard) > 1

        wait_for("ann is told of a checkpoint", far_enough, LIMIT)
        time.sleep(1.5)  # she fetches it
        wait_for("somebody computes it", lambda: self._who() is not None, LIMIT)
        actor = self._who()
        if actor is None:
            raise Failed("nobody computes it any more")
        actor.kill()
        self.killed = actor
        return batch, f"{actor.name} is killed (SIGKILL) after it told ann of {told:.0%}"

    def _who(self) -> Actor | None:
        """Who computes the long unit."""
        for actor in self.volunteers:
            if actor.up and any(slot.app.startswith(self.long_app) for slot in actor.client.lending().slots):
                return actor
        return None

    def _elsewhere(self, batch: str) -> tuple[None, str]:
        client = self.ann.client
        seen: dict[str, float] = {}

        def done() -> bool:
            for actor in self.volunteers:
                if actor.up and actor is not self.cat:
                    for slot in actor.client.lending().slots:
                        if slot.app.startswith(self.long_app) and slot.fraction:
                            seen.setdefault(actor.name, slot.fraction)
            return client.batch(batch).done == 1

        wait_for("the long unit is done", done, LIMIT, every=0.05)
        assert self.killed is not None
        killed = self.killed
        killed.start()
        killed.wait_ready()
        (name, began), *_ = seen.items()
        if began < RESUMED:
            raise Failed(f"{name} was first seen at {began:.0%}: it began anew")
        if self.listening is not None:
            return None, f"{name} went on at {began:.0%}"
        start = FIRST * 2
        (result,) = client.batch_results(batch).results
        right = len(sieve(start, start + LONG_SPAN - 1))
        if result.output != str(right):
            raise Failed(f"{result.output} primes are said to be there, {right} are")
        return None, f"{name} went on at {began:.0%}; {right} primes, to the last bit what they should be"

    def _heard(self) -> str:
        assert self.listening is not None
        wait_for("every part is searched", self.listening.done, LIMIT)
        return self.listening.found()

    def _audit(self) -> tuple[None, str]:
        client = self.ann.client

        def written() -> bool:
            project = client.my_project(PROJECT)
            return bool(project.ledger) and not project.ledger_open and project.ledger_entries > 0

        wait_for("the ledger is out, and everybody signed", written, LIMIT)
        dan = self.volunteers[2]
        audit = dan.client.audit(self.link)
        if not audit.ok:
            raise Failed("; ".join(check.words for check in audit.checks if not check.ok))
        board = client.leaderboard(PROJECT, credit.BoardQuery())
        first = board.standings[0]
        return None, (
            f"{audit.entries} entries, {audit.results} results, {audit.workers} workers, both signatures on each;"
            f" {self.names.get(first.key, first.key)} leads with {first.credit:.4f} cobblestones"
        )


def sieve(first: int, last: int) -> list[int]:
    """The primes in [first, last], by Eratosthenes' sieve of that segment."""
    root = int(last**0.5) + 1
    small = bytearray(b"\x01") * (root + 1)
    here = bytearray(b"\x01") * (last - first + 1)
    for number in range(2, root + 1):
        if small[number]:
            small[number * number :: number] = bytes(len(range(number * number, root + 1, number)))
            begin = max(number * number, -(-first // number) * number)
            here[begin - first :: number] = bytes(len(range(begin, last + 1, number)))
    return [first + at for at, is_prime in enumerate(here) if is_prime]
