"""Names that are made to be taken for others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import UsageError
from servent.trust.contacts import Contacts
from servent.trust.lookalikes import alike, mixed, scripts, skeleton
from tests.net.party import identity

ATTACKS = [
    ("paypal", "pаypаl"),  # Cyrillic a
    ("scope", "ѕсоре"),  # Cyrillic alone
    ("Alice", "Αlice"),  # Greek Alpha
    ("nikos", "vіkοs".replace("v", "n")),  # Greek omicron, Ukrainian i
    ("ann", "ａｎｎ"),  # fullwidth
    ("ann", "𝐚𝐧𝐧"),  # mathematical bold
    ("ann", "𝒶𝓃𝓃"),  # mathematical script
    ("ann", "ⓐⓝⓝ"),  # circled
    ("modern", "rnodern"),
    ("william", "vvilliam"),
    ("Bill", "BiII"),
    ("BILL", "8ill".replace("8", "B")),
    ("Ill", "1l|"),
    ("bob", "b0b"),
    ("BOB", "bO0b".replace("O0", "0")),
    ("ann", "a\u200bnn"),  # zero width space
    ("ann", "an\u200dn"),  # joiner
    ("ann", "a\u00adnn"),  # soft hyphen
    ("ann", "\u202eann"),  # right to left override
    ("ann", "ann\ufeff"),
    ("ann", "ann."),
    ("ann lee", "annlee"),
    ("ann lee", "ann\u00a0lee"),
    ("ann", "ánn"),
    ("ann", "a\u0301nn"),
    ("soren", "Søren"),
    ("ivan", "Ⅰvan"),
    ("Cherokee", "Ꮯherokee"),
    ("strasse", "straße"),
    ("office", "oﬃce"),
]


@pytest.mark.parametrize(("honest", "forged"), ATTACKS)
def test_a_forged_name_has_the_skeleton_of_the_honest_one(honest: str, forged: str) -> None:
    assert alike(honest, forged), (skeleton(honest), skeleton(forged))


@pytest.mark.parametrize(
    ("one", "other"),
    [("ann", "anne"), ("bob", "rob"), ("mia", "max"), ("田中", "日中"), ("Иван", "Ivan"), ("ann", "ann2")],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert not alike(one, other)


@pytest.mark.parametrize("name", ["pаypal", "Αlice", "gооgle", "аnn"])
def test_letters_of_several_scripts_in_one_word_are_noticed(name: str) -> None:
    assert mixed(name)


@pytest.mark.parametrize(
    "name",
    [
        "ann",
        "Иван",
        "Ελένη",
        "田中さん",
        "田中 Tanaka",
        "Tanaka田中",
        "이준 Lee",
        "Zoë",
        "אבי",
        "Иван Smith",
        "R2-D2",
    ],
)
def test_what_people_are_really_called_is_no_mixture(name: str) -> None:
    assert not mixed(name)


def test_scripts_are_told_by_letters_alone() -> None:
    assert scripts("Anna 1!") == {"LATIN"}
    assert scripts("аn") == {"CYRILLIC", "LATIN"}


@given(st.text(max_size=300))
def test_a_skeleton_is_its_own_skeleton_for_whatever_is_typed(text: str) -> None:
    once = skeleton(text)
    assert skeleton(once) == once
    assert mixed(text) in (True, False)


@given(
    st.text(min_size=1, max_size=20),
    st.sampled_from(["\u200b", "\u200d", "\u2060", "\u00ad"]),
    st.integers(0, 20),
)
def test_what_shows_nothing_changes_nothing(text: str, hidden: str, place: int) -> None:
    assert skeleton(text[:place] + hidden + text[place:]) in (
        skeleton(text),
        text[:place] + hidden + text[place:],
    )


@pytest.mark.parametrize(
    ("honest", "forged"), [("ann", "аnn"), ("Bill", "BiII"), ("modern", "rnodern"), ("zoe", "Zoë")]
)
def test_two_petnames_never_look_alike(honest: str, forged: str) -> None:
    contacts = Contacts()
    ann, eve = identity(1).peer, identity(2).peer
    contacts.set_petname(ann, honest, 0.0)
    with pytest.raises(UsageError, match="looks like"):
        contacts.set_petname(eve, forged, 0.0)
    assert contacts.set_petname(ann, forged, 0.0).petname == forged, "one's own may be written differently"
    contacts.set_petname(ann, None, 0.0)
    contacts.set_petname(eve, forged, 0.0)
    assert contacts.looks_like(honest) == eve
    contacts.remove(eve)
    assert contacts.looks_like(honest) is None
