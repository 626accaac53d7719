"""How people are shown, so that no name can be faked. Pure.

A petname is the person's own choice and unique by its looks (`trust.contacts`). A name that somebody gave themselves is shown with four
letters of the id beside it, and with a warning where it looks like that of somebody else who matters here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from servent.identity import PeerId
from servent.talk.views import Person
from servent.trust.lookalikes import mixed, skeleton
from servent.trust.naming import clean_name

MARK = 4  # letters


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to go by. `friend`: both sides said yes, or ours did."""

    peer: PeerId
    name: str = ""
    petname: str | None = None
    friend: bool = False


class Names:
    """Persons by what is known of them. Told anew when something changes; asked often.

    Args:
        me: this node. my_name: what others see.
        known: of one peer.
        owner: whose petname a name looks like (`TrustService.looks_like`).
        friends: everybody whose own name is to be protected, besides petnames.
    """

    def __init__(
        self,
        me: PeerId,
        my_name: Callable[[], str],
        known: Callable[[PeerId], Known],
        owner: Callable[[str], PeerId | None],
        friends: Callable[[], Iterable[Known]],
    ) -> None:
        self._me, self._my_name, self._known, self._owner, self._friends = me, my_name, known, owner, friends
        self._persons: dict[PeerId, tuple[Known, Person]] = {}
        self._looks: dict[str, list[PeerId]] | None = None  # names that friends gave themselves

    def changed(self) -> None:
        """Contacts, friends, a friend's name, or my own are others now."""
        self._persons.clear()
        self._looks = None

    def person(self, peer: PeerId) -> Person:
        known = self._known(peer)
        kept = self._persons.get(peer)
        if kept is not None and kept[0] == known:
            return kept[1]
        if len(self._persons) >= 4096:
            self._persons.clear()
        made = self._make(known)
        self._persons[peer] = (known, made)
        return made

    def _make(self, known: Known) -> Person:
        peer = known.peer
        me = peer == self._me
        name = clean_name(self._my_name() if me else known.name)
        chosen = known.petname is not None and not me
        return Person(
            id=peer,
            short_id=peer.short,
            shown=known.petname if chosen and known.petname else name or peer.short,
            mark=str(peer)[:MARK],
            chosen=chosen,
            name=name,
            petname=known.petname,
            warning="" if me or chosen or not name else self._warning(peer, name),
            me=me,
        )

    def _warning(self, peer: PeerId, name: str) -> str:
        if skeleton(name) == skeleton(self._my_name()):
            return "This name looks like your own."
        owner = self._owner(name)
        if owner is not None and owner != peer:
            petname = self._known(owner).petname or owner.short
            return f"This name looks like {petname}, and this is somebody else."
        for other in self._friend_looks().get(skeleton(name), ()):
            if other != peer:
                return f"This name looks like that of your friend {_said(self._known(other))}, and this is somebody else."
        if mixed(name):
            return (
                "This name mixes letters of different scripts, as names do that are made to look like others."
            )
        return ""

    def _friend_looks(self) -> dict[str, list[PeerId]]:
        if self._looks is None:
            self._looks = {}
            for one in self._friends():
                if name := clean_name(one.name):
                    self._looks.setdefault(skeleton(name), []).append(one.peer)
        return self._looks


def _said(known: Known) -> str:
    return f"{known.petname or clean_name(known.name)} ({str(known.peer)[:MARK]})"
