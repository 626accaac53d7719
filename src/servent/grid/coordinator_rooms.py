"""A project and its apps in the coordinator's memory. Pure."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable

from servent.grid import credit, replication
from servent.grid.budgets import Purse, most_cost
from servent.grid.coordinator_ready import Ready
from servent.grid.coordinator_rows import Batch, Host, ProjectState, Standing, Trouble
from servent.grid.manifests import App, Project, Signed

HOLDERS = 7  # of a content, that a volunteer is told besides the coordinator
CONTENTS = 20_000  # of which holders are remembered
TROUBLES = 300  # kinds of errors, of a project
TROUBLE_HOSTS = 100
MOST_HOSTS = 100_000  # remembered; then those go that never got anything right
STAYS = 86400.0  # s; who was here within it is remembered all the same
COUNTED = 30.0  # s; how long a count of the trusted hosts is good for
MINUTES = 7 * 24 * 60  # of which counts are kept
LATELY = 5  # minutes, for the throughput
AT_LEAST = 20.0  # s that the minute that runs counts for, so that one unit at its beginning promises nothing


class AppRoom:
    __slots__ = ("id", "manifest", "number", "room", "signed")

    def __init__(self, number: int, id: bytes, manifest: App, signed: Signed, room: Room) -> None:
        self.number, self.id, self.manifest, self.signed, self.room = number, id, manifest, signed, room


class Room:
    """One project: what it says of itself, who computes for it, what is ready to be handed out."""

    def __init__(self, number: int, manifest: Project, signed: Signed, state: ProjectState) -> None:
        self.number, self.manifest, self.signed, self.state = number, manifest, signed, state
        self.key = manifest.key
        self.apps: dict[int, AppRoom] = {}
        self.hosts: dict[bytes, Host] = {}
        self.out: Counter[bytes] = Counter()  # leases out, by identity
        self.here: Counter[bytes] = Counter()  # visits now
        self.ready = Ready()
        self.purse = Purse(manifest.budget)
        self.running = self.checking = 0
        self.invited: set[bytes] = set()
        self.invitations: dict[bytes, tuple[int | None, float | None]] = {}
        self.minutes: dict[int, list[int]] = {}
        self.troubles: dict[tuple[int, str, str], Trouble] = {}
        self._around: dict[int, tuple[float, int]] = {}  # app: until when it was counted, trusted hosts
        self._holders: OrderedDict[bytes, deque[bytes]] = OrderedDict()
        # the window on the queue
        self.cursor: tuple[int, float, int] | None = None
        self.drained = False
        self.added = 0  # counts up with what comes into the queue

    @property
    def mutual(self) -> bool:
        """Whether its owner's balance pays, so that bids count."""
        return self.manifest.mutual

    def price(self, batch: Batch) -> int:
        return credit.price(batch.priority, self.mutual)

    def most(self, operations: int, price: int) -> int:
        """MFLOP, as paid, that one copy can cost."""
        return most_cost(operations, self.manifest.bonus, price)

    def host(self, identity: bytes) -> Host:
        host = self.hosts.get(identity)
        if host is None:
            host = self.hosts[identity] = Host()
        return host

    def forget_visitors(self, now: float) -> list[bytes]:
        """Where too many are remembered (keys cost nothing): those to whom nothing was credited and who are gone. Who they were."""
        if len(self.hosts) < MOST_HOSTS:
            return []
        gone = [
            identity
            for identity, host in self.hosts.items()
            if not host.credit and not host.valid and host.seen < now - STAYS
            if identity not in self.here and identity not in self.out
        ]
        for identity in gone:
            del self.hosts[identity]
        return gone

    def standing(self, identity: bytes, app: int) -> Standing:
        host = self.host(identity)
        standing = host.apps.get(app)
        if standing is None:
            standing = host.apps[app] = Standing()
        return standing

    def around(self, app: int, now: float) -> int:
        """Hosts that are connected and trusted with an app, counted every `COUNTED` seconds."""
        until, count = self._around.get(app, (0.0, 0))
        if not until - COUNTED <= now < until:
            hosts = [self.hosts[one].apps.get(app) for one in self.here if one in self.hosts]
            count = sum(one is not None and replication.trusted(one.trust) for one in hosts)
            self._around[app] = (now + COUNTED, count)
        return count

    def shows(self, before: str, after: str) -> None:
        """A unit changed what it is shown as."""
        if before == "running":
            self.running -= 1
        elif before == "checking":
            self.checking -= 1
        if after == "running":
            self.running += 1
        elif after == "checking":
            self.checking += 1

    @property
    def open(self) -> int:
        state = self.state
        return state.units - state.done - state.errors - state.cancelled

    # -- who has what

    def holds(self, infohash: bytes, identity: bytes) -> None:
        held = self._holders.get(infohash)
        if held is None:
            held = self._holders[infohash] = deque(maxlen=HOLDERS)
            while len(self._holders) > CONTENTS:
                self._holders.popitem(last=False)
        else:
            self._holders.move_to_end(infohash)
        if identity not in held:
            held.append(identity)

    def holders(self, infohash: bytes, asker: bytes) -> Iterable[bytes]:
        return [one for one in self._holders.get(infohash, ()) if one != asker]

    # -- counting

    def minute(self, now: float) -> tuple[int, list[int]]:
        """The number and [done, errors] of this minute."""
        number = int(now // 60)
        counts = self.minutes.get(number)
        if counts is None:
            counts = self.minutes[number] = [0, 0]
            for old in [one for one in self.minutes if one < number - MINUTES]:
                del self.minutes[old]
        return number, counts

    def throughput(self, now: float) -> float:
        """Units a minute over the last five, or since the first of them in which one was done: work that has just begun is not slow."""
        this = int(now // 60)
        done = [self.minutes.get(this - back, (0, 0))[0] for back in range(LATELY)]
        if not any(done):
            return 0.0
        whole = max(back for back, units in enumerate(done) if units)
        return sum(done) / (whole + max(AT_LEAST, now % 60.0) / 60.0)

    def eta(self, now: float, units: int | None = None) -> float | None:
        """Seconds until so many units (all that are open) are done, None where nothing moves."""
        left = self.open if units is None else units
        speed = self.throughput(now)
        if not left:
            return 0.0
        return left / speed * 60.0 if speed else None

    def trouble(self, app: int, outcome: str, words: str, identity: bytes, now: float) -> tuple[str, Trouble]:
        """One more error of that kind. The words under which it is counted: of what is too much to be told apart, "others"."""
        place = (app, outcome, words)
        if place not in self.troubles and len(self.troubles) >= TROUBLES:
            words = "others"
            place = (app, outcome, words)
        trouble = self.troubles.get(place)
        if trouble is None:
            trouble = self.troubles[place] = Trouble()
        trouble.count += 1
        trouble.last = now
        if len(trouble.hosts) < TROUBLE_HOSTS and identity[:8] not in trouble.hosts:
            trouble.hosts.append(identity[:8])
        return words, trouble
