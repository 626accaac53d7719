"""The overlay's store in memory: answers what a member asks of its store, for tests and simulations.

What the effects promise (`servent.overlay.effects`), as the real one on disk does; the tests of the two are the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from servent.identity import PeerId
from servent.overlay.effects import Counts, Discard, Effect, Find, Keep, Load
from servent.overlay.records import Batch, Item, Slice
from servent.overlay.settings import HomeSettings
from servent.overlay.terms import indexable, words_of
from servent.overlay.wire import Posting
from servent.query.language import Query

Name = tuple[bytes, int, bytes]  # publisher, slot, hash of the item
Answer = tuple[object, ...]


class _Kept:
    """One batch on one side: its items, and on the keyed side their keys."""

    __slots__ = ("batch", "items", "keys")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.items: dict[bytes, Item] = {}
        self.keys: dict[bytes, tuple[bytes, ...]] = {}


class Shelf:
    """What one member keeps. Words and contents are indexed once the first question about them comes."""

    __slots__ = ("_by_content", "_by_key", "_by_word", "_home", "_keyed", "_settings", "_under")

    def __init__(self, settings: HomeSettings | None = None) -> None:
        self._settings = settings or HomeSettings()
        self._home: dict[bytes, dict[int, _Kept]] = {}
        self._keyed: dict[bytes, dict[int, _Kept]] = {}
        self._by_key: dict[bytes, dict[Name, Item]] = {}
        self._under: dict[tuple[bytes, bytes], int] = {}  # (key, publisher): postings
        self._by_word: dict[str, dict[Name, Item]] | None = None
        self._by_content: dict[bytes, set[bytes]] | None = None  # publishers that had it on either side

    # -- what there is

    @property
    def items(self) -> int:
        """Items on both sides."""
        return sum(len(kept.items) for kept in self._all())

    @property
    def postings(self) -> int:
        return sum(len(found) for found in self._by_key.values())

    def of(self, publisher: bytes, keyed: bool = False) -> list[Item]:
        """The items of one publisher on one side, in the order of its slots and places."""
        slots = (self._keyed if keyed else self._home).get(publisher, {})
        return [
            kept.items[short]
            for _, kept in sorted(slots.items())
            for short in kept.batch.hashes
            if short in kept.items
        ]

    # -- effects

    def do(self, effect: Effect) -> Answer | None:
        """Carry it out. A question's answer (for `Member.answered(token, *answer, now=now)`), None for what has none."""
        match effect:
            case Keep():
                self._keep(effect)
            case Discard():
                self._discard(effect)
            case Find():
                return self._find(effect)
            case Counts():
                found = self._words()
                return [len(found.get(term, ())) for term in effect.terms], self._at_home()
            case Load():
                return self._load(effect)
        return None

    def _keep(self, effect: Keep) -> None:
        batch, keyed = effect.slice.batch, effect.keyed or bool(effect.postings)
        slots = (self._keyed if keyed else self._home).setdefault(batch.publisher, {})
        kept = slots.get(batch.slot)
        if kept is None:
            kept = slots[batch.slot] = _Kept(batch)
        kept.batch = batch
        if self._by_content is not None:
            for item in effect.slice.items.values():
                self._by_content.setdefault(item.content, set()).add(batch.publisher)
        for short in kept.items.keys() - set(batch.hashes):
            self._drop(kept, short, keyed)
        added: dict[bytes, set[bytes]] = {}
        for posting in effect.postings:
            added.setdefault(batch.hashes[posting.place], set()).add(posting.key)
        for place, item in effect.slice.items.items():
            short = batch.hashes[place]
            if keyed:
                self._post(kept, short, item, added.get(short, set()))
            elif short not in kept.items:
                kept.items[short] = item
                self._spell((batch.publisher, batch.slot, short), item)
        if not kept.items and not batch.hashes:
            del slots[batch.slot]

    def _post(self, kept: _Kept, short: bytes, item: Item, keys: set[bytes]) -> None:
        publisher, name = kept.batch.publisher, (kept.batch.publisher, kept.batch.slot, short)
        have = kept.keys.get(short, ())
        new = []
        for key in keys:
            if key in have:
                continue
            found = self._by_key.get(key)
            if found is None:
                found = self._by_key[key] = {}
            both = key, publisher
            under = self._under.get(both, 0)
            if len(found) >= self._settings.per_key or under >= self._settings.per_publisher_key:
                continue
            found[name] = item
            self._under[both] = under + 1
            new.append(key)
        if new:
            kept.items[short] = item
            kept.keys[short] = (*have, *new)

    def _drop(self, kept: _Kept, short: bytes, keyed: bool) -> None:
        publisher, name = kept.batch.publisher, (kept.batch.publisher, kept.batch.slot, short)
        item = kept.items.pop(short)
        for key in kept.keys.pop(short, ()):
            found = self._by_key[key]
            del found[name]
            self._under[key, publisher] -= 1
            if not self._under[key, publisher]:
                del self._under[key, publisher]
            if not found:
                del self._by_key[key]
        if not keyed and self._by_word is not None:
            for word in words_of(item):
                self._by_word[word].pop(name, None)

    def _discard(self, effect: Discard) -> None:
        for side, keyed in ((self._home, False), (self._keyed, True)):
            if effect.keyed is not None and effect.keyed != keyed:
                continue
            slots = side.get(effect.publisher, {})
            for slot in [effect.slot] if effect.slot is not None else list(slots):
                kept = slots.pop(slot, None)
                for short in list(kept.items) if kept is not None else ():
                    assert kept is not None
                    self._drop(kept, short, keyed)
            if not slots:
                side.pop(effect.publisher, None)

    # -- questions

    def _find(self, effect: Find) -> Answer:
        if effect.query is not None:
            ranked = sorted(self._answers(effect.query), key=lambda one: -one[0])
            found = [pair for _, pair in ranked if effect.content in (None, pair[1].content)]
            return found[: effect.limit], len(found) > effect.limit
        if effect.keys:
            some = [self._by_key.get(key, {}) for key in effect.keys]
            least = min(some, key=len)
            found = [
                (PeerId(name[0]), item)
                for name, item in least.items()
                if all(name in one for one in some) and effect.content in (None, item.content)
            ]
            full = any(len(one) >= self._settings.per_key for one in some)
            return found[: effect.limit], full or len(found) > effect.limit
        both = {
            (publisher, item.content): item
            for publisher in sorted(self._contents().get(effect.content or b"", ()))
            for side in (self._home, self._keyed)
            for kept in side.get(publisher, {}).values()
            for item in kept.items.values()
            if item.content == effect.content
        }
        found = [(PeerId(name[0]), item) for name, item in both.items()]
        return found[: effect.limit], len(found) > effect.limit

    def _answers(self, query: Query) -> Iterator[tuple[float, tuple[PeerId, Item]]]:
        for name, item in self._candidates(query).items():
            worth = query.relevance(item.name, item.kind, item.size, item.where, item.tags)
            if worth is not None:
                yield worth, (PeerId(name[0]), item)

    def _candidates(self, query: Query) -> dict[Name, Item]:
        """Items that have the rarest whole word of the question; all when it has none."""
        by_word = self._words()
        whole = [
            word
            for term in query.terms
            for word in (term.words[:-1] if term.prefix else term.words)
            if indexable(word)
        ]
        if whole:
            return min((by_word.get(word, {}) for word in whole), key=len)
        return {
            (kept.batch.publisher, kept.batch.slot, short): item
            for slots in self._home.values()
            for kept in slots.values()
            for short, item in kept.items.items()
        }

    def _load(self, effect: Load) -> Answer:
        if effect.slot is None:
            for side in (self._home, self._keyed):
                for kept in side.get(effect.publisher, {}).values():
                    for place, short in enumerate(kept.batch.hashes):
                        item = kept.items.get(short)
                        if item is not None and item.content == effect.content:
                            return Slice(kept.batch, {place: item}), ()
            return None, ()
        found = (self._keyed if effect.keyed else self._home).get(effect.publisher, {}).get(effect.slot)
        if found is None:
            return None, ()
        items = {p: found.items[short] for p, short in enumerate(found.batch.hashes) if short in found.items}
        postings = [
            Posting(key, place)
            for place, short in enumerate(found.batch.hashes)
            for key in sorted(found.keys.get(short, ()))
        ]
        return Slice(found.batch, items), postings

    def _contents(self) -> dict[bytes, set[bytes]]:
        if self._by_content is None:
            self._by_content = {}
            for kept in self._all():
                for item in kept.items.values():
                    self._by_content.setdefault(item.content, set()).add(kept.batch.publisher)
        return self._by_content

    # -- words

    def _words(self) -> dict[str, dict[Name, Item]]:
        if self._by_word is None:
            self._by_word = {}
            for publisher, slots in self._home.items():
                for slot, kept in slots.items():
                    for short, item in kept.items.items():
                        self._spell((publisher, slot, short), item)
        return self._by_word

    def _spell(self, name: Name, item: Item) -> None:
        if self._by_word is not None:
            for word in words_of(item):
                self._by_word.setdefault(word, {})[name] = item

    def _at_home(self) -> int:
        return sum(len(kept.items) for slots in self._home.values() for kept in slots.values())

    def _all(self) -> Iterator[_Kept]:
        for side in (self._home, self._keyed):
            for slots in side.values():
                yield from slots.values()
