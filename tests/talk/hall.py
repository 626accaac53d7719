"""Members of a room as cores, with memories of their own, and what they say to each other counted in bytes."""

from __future__ import annotations

import random
from collections.abc import Iterable

from msgspec import structs

from servent.codec import frame
from servent.identity import PeerId
from servent.talk import exchange
from servent.talk.catchup import asks, replies
from servent.talk.records import Act, Body, Founding, Message, Policy, Settings, body_hash, sign
from servent.talk.room import Effect, Forget, Keep, KeepActs, Room, Strip, Tell
from servent.testing.hosts import CheapSeal

SECRET = b"hall"
NETWORK = b"n" * 32
BEGAN = 1_790_000_000.0


def key(name: str) -> PeerId:
    return PeerId(name.encode().ljust(32, b"."))


def founded(founder: str = "ann", policy: Policy = "open", lock: bytes = bytes(16)) -> Founding:
    founding = Founding(
        NETWORK, bytes(key(founder)), b"nonce".ljust(16), int(BEGAN * 1000), policy, Settings("hall"), lock
    )
    return sign(founding, CheapSeal(key(founder), SECRET))


class Person:
    """One member. `shown`: texts in the order in which they came; `bytes`: sent to others while catching up."""

    def __init__(self, hall: Hall, name: str, founding: Founding, **more: object) -> None:
        self.hall, self.name, self.key = hall, name, key(name)
        self.seal = CheapSeal(self.key, SECRET)
        self.founding = founding
        self.kept: dict[bytes, Message] = {}
        self.acts: list[Act] = []
        self.shown: list[str] = []
        self.told: list[object] = []
        self.room = self.opened(**more)

    def opened(self, **more: object) -> Room:
        return Room(
            self.key, self.founding, self.seal, random.Random(self.name), self.hall.wall, self.hall.now,
            epoch=self.name.encode().ljust(8, b".")[:8], acts=self.acts, messages=list(self.kept.values()), **more,  # type: ignore[arg-type]
        )  # fmt: skip

    def do(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Keep(id, message, new, _):
                    before = self.kept.get(id)
                    if before is None or new:
                        self.kept[id] = message
                    elif not any(before.signature):
                        self.kept[id] = (
                            message if not isinstance(before.body, Body) else sealed(before, message)
                        )
                    if new and isinstance(message.body, Body):
                        self.shown.append(message.body.text)
                case Strip(ids):
                    for id in ids:
                        self.kept[id] = structs.replace(self.kept[id], body=body_hash(self.kept[id].body))
                case Forget(ids):
                    for id in ids:
                        self.kept.pop(id, None)
                case KeepActs(acts, _):
                    self.acts += acts
                case Tell(said):
                    self.told.append(said)
                case _:
                    pass

    def say(self, text: str, to: Iterable[Person] = (), **more: object) -> Message:
        message, effects = self.room.say(Body(text), self.hall.now, **more)  # type: ignore[arg-type]
        self.do(effects)
        self.pass_on(to)
        return message

    def act(self, deed: str, to: Iterable[Person] = (), **more: object) -> Act:
        act, effects = self.room.act(deed, self.hall.now, **more)  # type: ignore[arg-type]
        self.do(effects)
        self.pass_on(to)
        return act

    def pass_on(self, to: Iterable[Person]) -> None:
        told, self.told = self.told, []
        for one in to:
            if one is not self:
                for said in told:
                    one.do(one.room.heard(self.key, said, self.hall.now))  # type: ignore[arg-type]

    def catch_up(self, other: Person) -> int:
        """With another, over the wire. Returns the bytes both ways."""
        asking, size = exchange.Asking(self.room), 0
        while not asking.over:
            ask = frame(asking.frame({id: self.kept[id] for id in asking.load.ids if id in self.kept}))
            effects, said = exchange.heard(other.room, asks.decode(ask[4:]), self.hall.now)
            other.do(effects)
            loaded = {id: other.kept[id] for id in said.load.ids if id in other.kept}
            reply = frame(exchange.answered(other.room, said, loaded, self.hall.now))
            self.do(asking.took(replies.decode(reply[4:]), self.hall.now))
            size += len(ask) + len(reply)
        assert asking.complete
        return size

    def texts(self) -> list[str]:
        """All that can be read here, in the order of the room."""
        held = [self.kept[id] for id in self.room.log.ids if id in self.kept]
        return [one.body.text for one in held if isinstance(one.body, Body)]


def sealed(before: Message, after: Message) -> Message:
    return structs.replace(before, signature=after.signature)


class Hall:
    """Virtual time for all."""

    def __init__(self) -> None:
        self.now = 0.0

    def wall(self) -> float:
        return BEGAN + 60.0 + self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def people(self, *names: str, **more: object) -> list[Person]:
        founding = founded(names[0])
        return [Person(self, name, founding, **more) for name in names]
