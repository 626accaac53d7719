"""The words of spoken codes, and how a code is read back from what a person typed. Pure.

A code is a number and two words: "4711-walnut-octopus". The number only says where to meet and is no secret; the
words are, 8 bits each. As in the PGP word list (Juola, Zimmermann 1996) the first is of one or two syllables, the second
of three or more, so that a word left out or swapped is noticed by ear. The lists were made for servent: no two
words of both lists begin with the same four letters, or are less than three letters apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from servent.errors import UsageError

_FIRST = """
    acid acorn almond alpine amber anchor angel ankle apron arctic artist aspen atom autumn badger ballet
    bamboo banjo barrel beacon beaver beetle bishop blanket blossom blue bonfire border brick bridge bronze
    broom bubble bucket button cabin cactus campfire canvas canyon captain cargo carpet castle cavern cedar
    chapel cheese cherry chimney circle citrus clover cobalt cobra coffee copper cousin coyote crater
    cricket crimson crystal cymbal daisy dancer dawn denim desert diamond dolphin donkey drummer duchess
    dusty eagle earring easel eclipse elbow emblem engine fabric falcon farmer feather fender fiddle flannel
    forest fossil fountain foxglove freckle garlic gecko geyser ginger giraffe glacier goblet golden guitar
    gypsum hammock harbor harvest helmet hiccup hornet hotel hunter igloo insect island jaguar jasmine
    jersey jigsaw jungle jury kayak kennel kidney kitchen knuckle koala lagoon lantern lasso lawyer leopard
    lettuce lily linen lizard lobster lotus lunar mammoth marble meadow melon midnight minnow mirror mitten
    mosaic muffin museum mustard napkin narwhal nephew nickel nomad noodle nugget nutmeg oasis oatmeal ocean
    octave olive onyx opal orbit orchard osprey otter palace panther paper parrot pasta peach peanut pencil
    penguin piano pickle picnic pigeon pillow plaza plumber poem poplar pretzel prism pudding pumpkin puppet
    purple quartz quilt quiver rabbit radish raisin razor reindeer ribbon rudder rugby saffron sapphire
    saturn sausage scissors scooter seashell shampoo sheriff silver sled snowman soccer sofa spider spiral
    squirrel stadium statue stingray subway summit sunset swan syrup tailor teapot temple tennis thimble
    toucan tractor trumpet tulip tundra turban tweed twilight umpire upstream urchin violin vulture waffle
    walnut waltz whisker widow wombat yogurt zigzag
"""
_SECOND = """
    accordion admiral adventure alabaster alligator almanac alphabet altitude aluminum amateur amethyst
    amphibian anatomy anecdote antelope apricot aquarium architect armadillo asparagus asterisk avalanche
    avocado bandana baritone barometer battery beverage blackberry botany boulevard broccoli bungalow calico
    camellia camomile canary candelabra cantaloupe caramel cardinal carnation cartoonist cathedral celery
    centipede character chemistry chinchilla cinema cinnamon clarinet cockatoo coconut colony comedy
    commodore companion concerto confetti conifer crocodile cucumber cumulus curiosity daffodil dandelion
    decimal delivery detective dinosaur diplomat director domino dragonfly dynamo ebony ecosystem edelweiss
    elephant elevator embassy emperor energy enigma equator escalator espresso eternity evergreen explorer
    factory fandango fantasia fibula filament flagpole florida formula gallery gardenia gelatin general
    geography gladiator gondola gorilla gratitude gravity gymnasium habitat halogen hazelnut helicopter
    hemisphere heritage hexagon holiday hospital hurricane iceberg identity instrument interval inventor
    italic javelin jellyfish jewelry jubilee juniper kangaroo kimono kingfisher lavender lemonade leviathan
    liberty limousine lollipop lullaby luminous macaroni machinist magazine magician magnolia mahogany
    mandolin manuscript marathon marigold marmalade mathematics maverick mechanic medallion metaphor
    microscope minestrone miniature molecule monastery motorcycle mulberry mystery nectarine newspaper
    obelisk octopus omelet opinion optimist orangutan oregano ornament overture pagoda palomino panorama
    parachute passenger pavilion pedestal pelican peppermint percussion performer petticoat philosophy
    pineapple pinnacle platinum polygon portfolio president professor prototype pyramid raspberry ravioli
    recorder reflector regatta registry reservoir restaurant rhinoceros rosemary salamander samovar
    sandalwood saxophone senator serenade signature sombrero souvenir spaghetti specimen spinnaker submarine
    sunflower sycamore symphony tambourine tapioca tarantula telegram thermometer thunderbolt tiramisu
    toboggan tradition trilogy tsunami tutorial typewriter ukulele ultimate umbrella underwater unicorn
    universe valentine vegetable veranda veteran virtuoso vitamin volcano volunteer watercolor woodpecker
    xylophone zucchini
"""
FIRST, SECOND = tuple(_FIRST.split()), tuple(_SECOND.split())
NUMBERS = 9999  # codes are numbered from 1 to this: two alive at once rarely meet, and it is quick to say
MOST_CHARACTERS = 200
WORD_BITS = 16  # of secret in the two words

_ADVICE = "A code is a number and two words, as 4711-walnut-octopus. Ask for it again."


@dataclass(frozen=True, slots=True)
class SpokenCode:
    """A code. `number`: where to meet; `words`: the secret, not shown by `repr`."""

    number: int
    words: tuple[str, str] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.number}-{self.words[0]}-{self.words[1]}"


def make(noise: bytes) -> SpokenCode:
    """A code out of 6 random bytes."""
    number = int.from_bytes(noise[2:6], "big") % NUMBERS + 1
    return SpokenCode(number, (FIRST[noise[0]], SECOND[noise[1]]))


def parse(text: str) -> SpokenCode:
    """Read a code as somebody heard and typed it: case, spaces, hyphens and small slips do not matter.

    A word is understood when only one of its list is meant by it: its first four letters, or one letter wrong.

    Raises:
        UsageError: no code; says which part.
    """
    if len(text) > MOST_CHARACTERS:
        raise UsageError("this is too long for a code", advice=_ADVICE)
    found = re.findall(r"[0-9]+|[a-z]+", text.casefold())
    if len(found) != 3 or not found[0].isascii() or not found[0].isdigit() or len(found[0]) > 6:
        raise UsageError(f"{text.strip()[:60]!r} is no code", advice=_ADVICE)
    number = int(found[0])
    if not 1 <= number <= NUMBERS:
        raise UsageError(f"a code begins with a number from 1 to {NUMBERS}", advice=_ADVICE)
    return SpokenCode(number, (_meant(found[1], FIRST, "first"), _meant(found[2], SECOND, "second")))


def complete(text: str) -> list[str]:
    """What a code that is typed so far may go on with: whole codes, for the shell's completion."""
    parts = re.split(r"[\s-]+", text.casefold())
    if not parts[0].isdigit() or len(parts) not in (2, 3):
        return []
    words = FIRST if len(parts) == 2 else SECOND
    return ["-".join([*parts[:-1], word]) for word in words if word.startswith(parts[-1])]


def _meant(heard: str, words: tuple[str, ...], which: str) -> str:
    if heard in words:
        return heard
    likely = [word for word in words if len(heard) >= 4 and word[:4] == heard[:4]]
    likely = [word for word in likely if word.startswith(heard) or _close(heard, word, 3)]
    likely = likely or [word for word in words if _close(heard, word, 1)]
    if len(likely) == 1:
        return likely[0]
    raise UsageError(f"{heard[:30]!r} is not a {which} word of a code", advice=_ADVICE)


def _close(one: str, other: str, most: int) -> bool:
    """Whether at most `most` letters were changed, left out or added (Levenshtein)."""
    if abs(len(one) - len(other)) > most:
        return False
    before = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        row = [at]
        for to, mine in enumerate(other, 1):
            row.append(min(row[-1] + 1, before[to] + 1, before[to - 1] + (letter != mine)))
        before = row
    return before[-1] <= most
