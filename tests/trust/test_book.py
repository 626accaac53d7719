"""Whole stories: who gets in, who does not, and what members agree on afterwards. They try every way in."""

from __future__ import annotations

import itertools
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.codec import canonical
from servent.errors import BadMessage, NotFound, UsageError
from servent.identity import Identity
from servent.trust import networks as n
from servent.trust import proofs as p
from servent.trust.book import Verdict
from servent.trust.networks import CLOCK_SKEW
from tests.trust.people import DAY, T0, Person, seed, sync


def people(*names: str) -> list[Person]:
    return [Person(name) for name in names]


def shows(eve: Person, to: Person, secret: bytes, shown: p.Shown, now: float = T0) -> Verdict:
    """`eve` says hello with a box of her own making."""
    nonce = eve.fresh()
    boxes = p.box_all([(secret, shown)], eve.id, to.id, nonce, eve.fresh())
    return to.book.judge(eve.id, nonce, boxes, None, now)[0]


# -- getting in


def test_an_invited_peer_and_a_member_know_each_other() -> None:
    ann, bob = people("ann", "bob")
    home = ann.founds()
    bob.joins(ann.invites())
    assert ann.judges(bob) == Verdict(True, False, frozenset({home.key}), "shared network")
    assert bob.judges(ann).networks == {home.key}


def test_two_invited_peers_who_never_met_the_founder_since_know_each_other() -> None:
    ann, bob, cat = people("ann", "bob", "cat")
    ann.founds()
    bob.joins(ann.invites())
    cat.joins(ann.invites())
    assert bob.judges(cat).known and cat.judges(bob).known


def test_a_stranger_is_not_known_and_learns_no_name() -> None:
    ann, eve = people("ann", "eve")
    ann.founds()
    eve.founds("home")
    assert not ann.judges(eve).known
    nonce = seed("n")
    assert all(b"home" not in box for box in ann.book.proofs(eve.id, nonce, seed("x")))


def test_in_an_open_network_whoever_has_the_text_is_in() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    ann.founds(open=True)
    invitation = ann.invites()
    bob.joins(invitation)
    assert ann.judges(bob).known
    assert not ann.judges(eve).known
    eve.joins(bob.invites())  # anyone may pass it on
    assert ann.judges(eve).known and eve.judges(bob).known


# -- trying to get in


def test_somebody_elses_membership_is_refused() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    home = ann.founds()
    stolen = bob.joins(ann.invites()).membership
    assert not shows(eve, ann, home.secret, p.Shown(stolen)).known


def test_a_replayed_box_is_refused_from_another_key_and_in_another_hello() -> None:
    ann, bob, cat, eve = people("ann", "bob", "cat", "eve")
    ann.founds()
    bob.joins(ann.invites())
    cat.joins(ann.invites())
    nonce = seed("hello")
    boxes = bob.book.proofs(ann.id, nonce, seed("x"))
    assert ann.book.judge(bob.id, nonce, boxes, None, T0)[0].known
    assert not ann.book.judge(eve.id, nonce, boxes, None, T0)[0].known
    assert not ann.book.judge(bob.id, seed("other"), boxes, None, T0)[0].known
    assert not cat.book.judge(bob.id, nonce, boxes, None, T0)[0].known


def test_knowing_the_secret_of_a_network_is_not_being_in_it() -> None:
    ann, eve = people("ann", "eve")
    home = ann.founds()
    own = n.make_membership(eve.identity, home.key, eve.id, int(T0))
    assert not shows(eve, ann, home.secret, p.Shown(own)).known


def test_a_member_cannot_invite_in_a_network_by_invitation() -> None:
    ann, bob = people("ann", "bob")
    ann.founds()
    bob.joins(ann.invites())
    with pytest.raises(UsageError, match="only the founder"):
        bob.invites()


def test_a_network_of_the_same_name_is_another_network() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    ann.founds("home")
    eve.founds("home")
    bob.joins(ann.invites())
    assert bob.joins(eve.invites()).alias == "home-2"
    assert [home.alias for home in bob.book.homes.all()] == ["home", "home-2"]
    assert not ann.judges(eve).known


def test_my_own_key_is_never_a_visitor() -> None:
    (ann,) = people("ann")
    ann.founds()
    assert not ann.judges(ann).known


def test_our_own_log_says_why_somebody_was_refused() -> None:
    ann, bob, cat, eve = people("ann", "bob", "cat", "eve")
    home = ann.founds()
    once, revoked, short = ann.invites(), ann.invites(), ann.invites(lifetime=10)
    bob.joins(once)
    assert ann.judges(bob).known
    reasons = {}
    for name, invitation in (("used", once), ("revoked", revoked), ("expired", short)):
        visitor = Person(name)
        visitor.joins(invitation)
        if name == "revoked":
            ann.book.homes.revoke_invitation("home", invitation.id, T0)
        reasons[name] = ann.judges(visitor, T0 + DAY).reason
    ann.book.homes.remove_member("home", bob.id, T0)
    reasons["removed"] = ann.judges(bob).reason
    reasons["stranger"] = ann.judges(eve).reason
    reasons["swapped"] = shows(eve, ann, home.secret, p.Shown(home.membership)).reason
    ann.book.contacts.block(cat.id, T0)
    reasons["blocked"] = ann.judges(cat).reason
    assert reasons == {
        "used": "home: the invitation was used up by others",
        "revoked": "home: the invitation was revoked",
        "expired": "home: the invitation has expired and no member vouches that it was used in time",
        "removed": "home: removed from the network",
        "stranger": "a stranger",
        "swapped": "home: somebody else's membership",
        "blocked": "blocked",
    }


# -- expiry


def test_an_expired_invitation_lets_nobody_in_and_says_so_to_its_holder() -> None:
    ann, bob = people("ann", "bob")
    ann.founds()
    invitation = ann.invites(lifetime=DAY)
    with pytest.raises(UsageError, match="expired"):
        bob.joins(invitation, now=T0 + DAY + CLOCK_SKEW + 2)
    bob.joins(invitation)  # by a clock that is wrong, or a patched program
    assert ann.judges(bob, now=T0 + DAY + CLOCK_SKEW).known
    ann2, bob2 = people("ann", "bob")
    ann2.founds()
    bob2.joins(ann2.invites(lifetime=DAY))
    assert not ann2.judges(bob2, now=T0 + DAY + CLOCK_SKEW + 2).known


def test_who_joined_in_time_stays_after_the_invitation_expired() -> None:
    ann, bob, cat = people("ann", "bob", "cat")
    home = ann.founds()
    bob.joins(ann.invites())
    cat.joins(ann.invites())
    sync(ann, bob, home.key)
    late = T0 + 30 * DAY
    assert ann.judges(bob, late).known
    # cat never met bob, but bob carries the founder's word, which any member can check by itself
    assert cat.judges(bob, late).known


def test_an_old_invitation_cannot_be_used_with_a_date_of_back_then() -> None:
    ann, eve = people("ann", "eve")
    home = ann.founds()
    leaked = ann.invites(uses=None, lifetime=DAY)
    assert leaked.seed is not None
    back_dated = n.make_membership(Identity(leaked.seed), home.key, eve.id, int(T0), leaked.warrant)
    late = T0 + 30 * DAY
    assert not shows(eve, ann, home.secret, p.Shown(back_dated), late).known
    friend = Identity(seed("another of eve's keys"))
    for witness in (eve.identity, friend):
        stamp = n.make_stamp(witness, back_dated, int(T0))
        assert not shows(eve, ann, home.secret, p.Shown(back_dated, stamp), late).known
    forged = msgspec.structs.replace(n.make_stamp(friend, back_dated, int(T0)), witness=home.key)
    assert not shows(eve, ann, home.secret, p.Shown(back_dated, forged), late).known


# -- uses


def test_a_single_use_invitation_lets_one_person_in() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    ann.founds()
    invitation = ann.invites(uses=1)
    bob.joins(invitation)
    eve.joins(invitation)
    assert ann.judges(bob).known
    assert not ann.judges(eve).known
    assert ann.judges(bob).known, "and coming back is not another use"
    assert not bob.judges(eve).known, "the one who used it knows, too"


def test_an_invitation_for_three_lets_three_in() -> None:
    ann, *others = people("ann", "b", "c", "d", "e")
    ann.founds()
    invitation = ann.invites(uses=3)
    for other in others:
        other.joins(invitation)
    assert [ann.judges(other).known for other in others] == [True, True, True, False]
    assert ann.book.homes.issued("home")[0].used == 3


def test_removing_somebody_does_not_give_their_use_back() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    ann.founds()
    invitation = ann.invites(uses=1)
    bob.joins(invitation)
    eve.joins(invitation)
    ann.judges(bob)
    ann.book.homes.remove_member("home", bob.id, T0 + 1)
    assert not ann.judges(bob, T0 + 2).known
    assert not ann.judges(eve, T0 + 2).known


def test_two_members_who_let_different_people_in_agree_on_the_first_when_they_meet() -> None:
    ann, bob, cat, one, two = people("ann", "bob", "cat", "one", "two")
    home = ann.founds()
    for member in (bob, cat):
        member.joins(ann.invites())
        sync(ann, member, home.key)
    invitation = ann.invites(uses=1)
    one.joins(invitation, T0 + 10)
    two.joins(invitation, T0 + 10)
    assert bob.judges(one, T0 + 20).known
    assert cat.judges(two, T0 + 19).known
    sync(bob, cat, home.key, T0 + 30)
    assert not bob.judges(one, T0 + 40).known and not cat.judges(one, T0 + 40).known
    assert bob.judges(two, T0 + 40).known and cat.judges(two, T0 + 40).known
    assert bob.book.homes.get(home.key).roll.digest == cat.book.homes.get(home.key).roll.digest


def test_the_founders_word_is_final() -> None:
    ann, bob, one, two = people("ann", "bob", "one", "two")
    home = ann.founds()
    bob.joins(ann.invites())
    sync(ann, bob, home.key)
    invitation = ann.invites(uses=1)
    one.joins(invitation)
    two.joins(invitation)
    assert ann.judges(one, T0 + 50).known
    assert bob.judges(two, T0 + 20).known  # earlier, but the founder does not know
    sync(ann, bob, home.key, T0 + 60)
    assert ann.judges(one, T0 + 70).known and not ann.judges(two, T0 + 70).known
    assert bob.judges(one, T0 + 70).known and not bob.judges(two, T0 + 70).known


def test_whoever_loses_a_place_is_out_at_once_not_at_the_next_hello() -> None:
    ann, bob, one, two = people("ann", "bob", "one", "two")
    home = ann.founds()
    bob.joins(ann.invites())
    sync(ann, bob, home.key)
    invitation = ann.invites(uses=1)
    one.joins(invitation)
    two.joins(invitation)
    assert bob.judges(two, T0 + 20).known and bob.book.allows(two.id, "servent.blobs/1")
    assert ann.judges(one, T0 + 30).known
    bob.hears_from(ann, home.key)
    assert not bob.book.verdict(two.id).known
    assert not bob.book.allows(two.id, "servent.blobs/1")


@pytest.mark.parametrize("dice_seed", range(20))
def test_members_agree_in_whatever_order_records_arrive(dice_seed: int) -> None:
    dice = random.Random(dice_seed)
    founder = Person("founder")
    home = founder.founds()
    members = people("m1", "m2", "m3", "m4")
    for member in members:
        member.joins(founder.invites())
        sync(founder, member, home.key)
    invitation = founder.invites(uses=2)
    newcomers = people("n1", "n2", "n3", "n4", "n5")
    for newcomer in newcomers:
        newcomer.joins(invitation)
        dice.choice(members).judges(newcomer, T0 + 10 + dice.random() * 100)
    everyone = [founder, *members] if dice.random() < 0.5 else members
    for _ in range(3):
        for one, two in itertools.permutations(everyone, 2):
            one.judges(two, T0 + 200)
            one.hears_from(two, home.key)
    rolls = [person.book.homes.get(home.key).roll for person in everyone]
    ins = [{x.id for x in newcomers if bytes(x.id) in roll.members()} for roll in rolls]
    assert all(who == ins[0] for who in ins) and len(ins[0]) <= 2
    assert ins[0]


# -- revoking


def test_a_revoked_invitation_lets_nobody_new_in_but_keeps_who_came_before() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    ann.founds()
    invitation = ann.invites(uses=None)
    bob.joins(invitation)
    eve.joins(invitation)
    assert ann.judges(bob).known
    ann.book.homes.revoke_invitation("home", invitation.id, T0 + 1)
    assert ann.judges(bob, T0 + 2).known
    assert not ann.judges(eve, T0 + 2).known
    with pytest.raises(NotFound):
        ann.book.homes.revoke_invitation("home", "0" * 16, T0 + 3)


def test_a_revocation_reaches_members_who_never_saw_the_founder_again() -> None:
    ann, bob, cat, eve = people("ann", "bob", "cat", "eve")
    home = ann.founds()
    for member in (bob, cat):
        member.joins(ann.invites())
        sync(ann, member, home.key)
    invitation = ann.invites(uses=None)
    eve.joins(invitation)
    ann.book.homes.revoke_invitation("home", invitation.id, T0 + 1)
    sync(ann, bob, home.key, T0 + 2)
    assert cat.judges(eve, T0 + 3).known, "cat cannot know yet"
    sync(bob, cat, home.key, T0 + 4)
    assert not cat.book.verdict(eve.id).known
    assert not cat.judges(eve, T0 + 5).known


def test_revoking_with_members_removes_those_who_came_by_it() -> None:
    ann, bob, cat = people("ann", "bob", "cat")
    ann.founds()
    leaked, fine = ann.invites(uses=None), ann.invites()
    bob.joins(leaked)
    cat.joins(fine)
    assert ann.judges(bob).known and ann.judges(cat).known
    ann.book.homes.revoke_invitation("home", leaked.id, T0 + 1, with_members=True)
    assert not ann.judges(bob, T0 + 2).known and ann.judges(cat, T0 + 2).known


def test_an_ex_member_is_out_with_every_key_and_paper_they_have() -> None:
    ann, bob, cat = people("ann", "bob", "cat")
    home = ann.founds()
    invitation = ann.invites(uses=None)
    bob.joins(invitation)
    cat.joins(ann.invites())
    sync(ann, bob, home.key)
    sync(ann, cat, home.key)
    ann.book.homes.remove_member("home", bob.id, T0 + 1)
    sync(ann, cat, home.key, T0 + 2)
    for member in (ann, cat):
        assert not member.judges(bob, T0 + 3).known
    assert invitation.seed is not None
    again = Person("bob with a new key")
    again.joins(invitation, T0 + 3)
    assert not cat.judges(again, T0 + 4).known
    stamped = n.make_membership(Identity(invitation.seed), home.key, again.id, int(T0), invitation.warrant)
    stamp = n.make_stamp(bob.identity, stamped, int(T0))  # a witness who is out himself
    assert not shows(again, cat, home.secret, p.Shown(stamped, stamp), T0 + 5).known


def test_a_member_who_was_removed_can_be_invited_again() -> None:
    ann, bob, cat = people("ann", "bob", "cat")
    home = ann.founds()
    bob.joins(ann.invites())
    cat.joins(ann.invites())
    sync(ann, cat, home.key)
    ann.judges(bob)
    ann.book.homes.remove_member("home", bob.id, T0)
    assert not ann.judges(bob).known
    bob.joins(ann.invites())
    sync(ann, cat, home.key)
    assert ann.judges(bob).known and cat.judges(bob).known


def test_a_removed_peer_of_an_open_network_stays_out_with_that_key() -> None:
    ann, bob = people("ann", "bob")
    ann.founds(open=True)
    bob.joins(ann.invites())
    assert ann.judges(bob).known
    ann.book.homes.remove_member("home", bob.id, T0)
    assert not ann.book.verdict(bob.id).known
    bob.book.homes.leave("home")
    bob.joins(ann.invites(), T0 + DAY)
    assert not ann.judges(bob, T0 + DAY).known


def test_closing_an_open_network_shuts_those_out_who_had_no_invitation() -> None:
    ann, bob = people("ann", "bob")
    ann.founds(open=True)
    bob.joins(ann.invites())
    assert ann.judges(bob).known
    ann.book.homes.change_settings("home", T0 + 1, open=False)
    assert not ann.book.verdict(bob.id).known and not ann.judges(bob, T0 + 2).known
    bob.joins(ann.invites(now=T0 + 3), T0 + 3)
    assert ann.judges(bob, T0 + 4).known


# -- witnesses


def test_a_member_who_met_only_one_other_is_vouched_for_by_that_one() -> None:
    ann, bob, cat, dan = people("ann", "bob", "cat", "dan")
    home = ann.founds()
    for member in (bob, dan):
        member.joins(ann.invites())
        sync(ann, member, home.key)
    cat.joins(ann.invites())
    sync(bob, cat, home.key)  # the founder never sees cat
    sync(ann, dan, home.key)  # and dan knows of bob by record alone
    assert dan.judges(cat, T0 + 30 * DAY).known


def test_a_witness_whose_clock_is_slow_still_counts() -> None:
    ann, bob, cat, dan, eve = people("ann", "bob", "cat", "dan", "eve")
    home = ann.founds()
    for member in (cat, dan):
        member.joins(ann.invites())
        sync(ann, member, home.key)
    bob.joins(ann.invites())
    sync(cat, bob, home.key, T0 + 250)  # bob's only witness; the founder never sees him
    eve.joins(ann.invites())
    sync(bob, eve, home.key, T0)  # bob's clock says: before I was a member myself
    sync(cat, dan, home.key, T0 + 260)
    assert dan.judges(eve, T0 + 30 * DAY).known


def test_a_witness_who_saw_somebody_too_late_does_not_help() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    home = ann.founds()
    bob.joins(ann.invites())
    sync(ann, bob, home.key)
    invitation = ann.invites(lifetime=DAY)
    assert invitation.seed is not None
    late = T0 + DAY + 2 * CLOCK_SKEW
    paper = n.make_membership(Identity(invitation.seed), home.key, eve.id, int(T0), invitation.warrant)
    stamp = n.make_stamp(bob.identity, paper, int(late))
    assert not shows(eve, ann, home.secret, p.Shown(paper, stamp), late).known


def test_removing_a_lying_witness_voids_what_it_said() -> None:
    ann, bob, eve, dan = people("ann", "bob", "eve", "dan")
    home = ann.founds()
    for member in (bob, dan):
        member.joins(ann.invites())
        sync(ann, member, home.key)
    leaked = ann.invites(uses=None, lifetime=DAY)
    assert leaked.seed is not None
    late = int(T0 + 30 * DAY)
    paper = n.make_membership(Identity(leaked.seed), home.key, eve.id, int(T0), leaked.warrant)
    lie = p.Shown(paper, n.make_stamp(bob.identity, paper, int(T0) + 9))
    assert shows(eve, dan, home.secret, lie, late).known, "members are believed, as the documents say"
    ann.book.homes.remove_member("home", bob.id, late)
    sync(ann, dan, home.key, late)
    assert not dan.book.verdict(eve.id).known
    assert not shows(eve, dan, home.secret, lie, late).known


def test_nobody_is_their_own_witness() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    home = ann.founds()
    bob.joins(ann.invites())
    ann.judges(bob)
    invitation = ann.invites(lifetime=DAY)
    assert invitation.seed is not None
    paper = n.make_membership(Identity(invitation.seed), home.key, eve.id, int(T0), invitation.warrant)
    own = n.Admission(paper, n.make_stamp(eve.identity, paper, int(T0)))
    merged, _ = ann.book.merge_records(home.key, bob.id, [canonical(own)])
    assert (merged.new, merged.refused) == (0, 1)
    late = T0 + 30 * DAY
    assert not shows(eve, ann, home.secret, p.Shown(paper, own.stamp), late).known


def test_a_full_roll_keeps_its_members_and_takes_nobody_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servent.trust.roll.MAX_ADMISSIONS", 3)
    ann, *visitors = people("ann", "a", "b", "c", "d")
    ann.founds()
    invitation = ann.invites(uses=None)
    for visitor in visitors:
        visitor.joins(invitation)
    assert [ann.judges(visitor).known for visitor in visitors] == [True, True, True, False]
    assert [ann.judges(visitor).known for visitor in visitors] == [True, True, True, False]


def test_a_full_roll_makes_room_by_forgetting_what_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servent.trust.roll.MAX_ADMISSIONS", 3)
    ann, bob, one, two, three = people("ann", "bob", "one", "two", "three")
    home = ann.founds()
    bob.joins(ann.invites())
    sync(ann, bob, home.key)
    invitation = ann.invites(uses=1)
    for visitor in (one, two):
        visitor.joins(invitation)
    assert bob.judges(two, T0 + 20).known
    assert ann.judges(one, T0 + 30).known
    bob.hears_from(ann, home.key)  # bob, one, and two who lost
    three.joins(ann.invites())
    assert bob.judges(three, T0 + 40).known


# -- records


def test_records_are_taken_from_members_of_that_network_only() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    home = ann.founds()
    bob.joins(ann.invites())
    eve.founds("other")
    ann.judges(bob)
    ann.judges(eve)
    page = ann.book.homes.records_since(home.key, 0, 4096)
    with pytest.raises(BadMessage):
        ann.book.merge_records(home.key, eve.id, page.records)
    with pytest.raises(BadMessage):
        ann.book.merge_records(seed("no such network"), bob.id, [])
    with pytest.raises(NotFound):
        ann.book.homes.records_since(seed("no such network"), 0, 4096)


def test_a_member_cannot_slip_records_of_their_own_making_in() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    home = ann.founds()
    bob.joins(ann.invites())
    sync(ann, bob, home.key)
    roll = ann.book.homes.get("home").roll
    gone = n.make_revocation(bob.identity, "member", ann.id, int(T0) + 9_999, int(T0))
    settings = n.make_settings(bob.identity, "bobs", "p2p", "open", roll.settings.lock, int(T0) + 9_999)
    warrant = n.make_warrant(bob.identity, eve.id, 1, None, None)
    member = n.make_membership(eve.identity, home.key, eve.id, int(T0), warrant)
    fakes = [
        msgspec.structs.replace(gone, network=home.key),
        msgspec.structs.replace(settings, network=home.key),
        n.Admission(member, n.make_stamp(bob.identity, member, int(T0))),
        n.Admission(member, n.make_stamp(eve.identity, member, int(T0))),
    ]
    before = roll.digest
    merged, changes = ann.book.merge_records(
        home.key, bob.id, [canonical(fake) for fake in fakes] + [b"", b"\xc1"]
    )
    assert (merged.new, merged.refused, changes) == (0, 6, []) and roll.digest == before


def test_older_settings_do_not_come_back() -> None:
    ann, bob = people("ann", "bob")
    home = ann.founds("old name")
    bob.joins(ann.invites("old name"))
    before = canonical(home.roll.settings)
    ann.book.homes.change_settings("old name", T0 + 5, name="new name")
    sync(ann, bob, home.key)
    assert bob.book.homes.get(home.key).roll.settings.name == "new name"
    assert ann.book.merge_records(home.key, bob.id, [before])[0].new == 0
    assert ann.book.homes.get(home.key).roll.settings.name == "new name"


def test_too_many_records_at_once_are_refused_whole() -> None:
    ann, bob = people("ann", "bob")
    home = ann.founds()
    bob.joins(ann.invites())
    ann.judges(bob)
    with pytest.raises(BadMessage, match="too many"):
        ann.book.merge_records(home.key, bob.id, [bytes(1000)] * 70)


def test_pages_are_small_and_complete() -> None:
    ann, bob = people("ann", "bob")
    home = ann.founds()
    invitation = ann.invites(uses=None)
    for number in range(40):
        visitor = Person(f"visitor {number}")
        visitor.joins(invitation)
        assert ann.judges(visitor).known
    after, seen = 0, []
    while True:
        page = ann.book.homes.records_since(home.key, after, 2000)
        assert sum(len(body) + 4 for body in page.records) <= 2000
        seen += page.records
        after = page.mark
        if not page.more:
            break
    assert len(set(seen)) == len(seen) == 40
    assert ann.book.homes.records_since(home.key, after, 2000).records == ()
    assert len(ann.book.homes.records_since(home.key, 10**9, 10**6).records) == 40, "a mark of another life"
    bob.joins(ann.invites())
    sync(bob, ann, home.key)
    assert len(bob.book.homes.get("home").roll.members()) == 41


def test_a_removed_member_is_told_that_an_old_invitation_does_not_help() -> None:
    ann, bob = people("ann", "bob")
    home = ann.founds()
    first, other = ann.invites(), ann.invites()
    bob.joins(other)
    sync(ann, bob, home.key)
    page = ann.book.homes.remove_member("home", bob.id, T0) and ann.book.homes.records_since(
        home.key, 0, 60_000
    )
    bob.book.homes.merge(home.key, page.records)
    with pytest.raises(UsageError, match="not a member"):
        bob.joins(first)
    bob.joins(ann.invites())
    assert ann.judges(bob).known


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_bent_boxes_of_a_member_never_raise_and_never_let_anybody_else_in(data: st.DataObject) -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    ann.founds()
    bob.joins(ann.invites())
    nonce = seed("n")
    boxes = [bytearray(box) for box in bob.book.proofs(ann.id, nonce, seed("x"))]
    for box in boxes:
        at = data.draw(st.integers(0, len(box) - 1))
        box[at] ^= data.draw(st.integers(1, 255))
        del box[data.draw(st.integers(300, 600)) :]
    for visitor in (bob, eve):
        assert not ann.book.judge(visitor.id, nonce, [bytes(box) for box in boxes], None, T0)[0].known


# -- boxes from the hostile


def test_boxes_of_any_size_and_number_are_survived() -> None:
    ann, eve = people("ann", "eve")
    ann.founds()
    for boxes in ([], [b""], [bytes(512)] * 16, [bytes(10_000)] * 3, [bytes(512)] * 1000):
        assert not ann.book.judge(eve.id, seed("n"), boxes, None, T0)[0].known


def test_one_bad_box_of_a_member_does_not_spoil_another_network() -> None:
    ann, bob = people("ann", "bob")
    one, two = ann.founds("one"), ann.founds("two")
    bob.joins(ann.invites("one"))
    bob.joins(ann.invites("two"))
    nonce = seed("n")
    mine = bob.book.homes.get("one").membership
    wrong = msgspec.structs.replace(mine, signature=bytes(64))
    shown = [(one.secret, p.Shown(wrong)), (two.secret, p.Shown(bob.book.homes.get("two").membership))]
    boxes = p.box_all(shown, bob.id, ann.id, nonce, seed("x"))
    assert ann.book.judge(bob.id, nonce, boxes, None, T0)[0].networks == {two.key}


# -- contacts and blocks in a hello


def test_a_ticket_makes_a_friend_of_whoever_proves_it() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    secret = ann.fresh()
    ann.book.contacts.issue(secret, None, T0 + DAY, T0)
    nonce = seed("n")
    proof = p.contact_proof(secret, bob.id, ann.id, nonce)
    assert not ann.book.judge(eve.id, nonce, [], proof, T0)[0].known, "overheard, it is worth nothing"
    assert ann.book.judge(bob.id, nonce, [], proof, T0)[0] == Verdict(True, True, frozenset(), "friend")
    assert ann.book.judge(bob.id, seed("later"), [], None, T0 + 30 * DAY)[0].known
    late = p.contact_proof(secret, eve.id, ann.id, nonce)
    assert not ann.book.judge(eve.id, nonce, [], late, T0 + DAY + 1)[0].known, "expired"


def test_a_friend_who_was_removed_does_not_come_back_by_the_same_ticket() -> None:
    ann, bob = people("ann", "bob")
    secret = ann.fresh()
    ann.book.contacts.issue(secret, None, T0 + DAY, T0)
    nonce = seed("n")
    proof = p.contact_proof(secret, bob.id, ann.id, nonce)
    assert ann.book.judge(bob.id, nonce, [], proof, T0)[0].known
    ann.book.contacts.remove(bob.id)
    assert not ann.book.judge(bob.id, nonce, [], proof, T0)[0].known


def test_a_block_beats_friendship_membership_named_grants_and_tickets() -> None:
    ann, bob = people("ann", "bob")
    ann.founds()
    bob.joins(ann.invites())
    ann.book.contacts.add(bob.id, "bob", True, T0)
    ann.book.grant("talk/1", "nobody", [bob.id])
    secret = ann.fresh()
    ann.book.contacts.issue(secret, None, T0 + DAY, T0)
    assert ann.judges(bob).known and ann.book.allows(bob.id, "talk/1")
    ann.book.contacts.block(bob.id, T0)
    assert not ann.book.verdict(bob.id).known
    for service in ("talk/1", "servent.core", "servent.blobs/1", "x"):
        assert not ann.book.allows(bob.id, service)
    nonce = seed("n")
    proof = p.contact_proof(secret, bob.id, ann.id, nonce)
    boxes = bob.book.proofs(ann.id, nonce, seed("x"))
    assert ann.book.judge(bob.id, nonce, boxes, proof, T0)[0] == Verdict(False, reason="blocked")
    ann.book.contacts.unblock(bob.id)
    verdict = ann.judges(bob)
    assert verdict.known and not verdict.friend, "the network is back, the friendship is not"


# -- grants


def test_who_may_use_what() -> None:
    ann, friend, mate, named, eve = people("ann", "friend", "mate", "named", "eve")
    ann.founds()
    mate.joins(ann.invites())
    ann.book.contacts.add(friend.id, None, True, T0)
    ann.book.grant("door/1", "nobody", [named.id])
    ann.book.grant("hall/1", "everyone", [])
    for person in (friend, mate, named, eve):
        ann.judges(person)
    allowed = {
        service: [who.name for who in (friend, mate, named, eve) if ann.book.allows(who.id, service)]
        for service in ("servent.blobs/1", "servent.core", "myapp/1", "door/1", "hall/1")
    }
    assert allowed == {
        "servent.blobs/1": ["friend", "mate"],
        "servent.core": ["friend", "mate"],
        "myapp/1": ["friend"],
        "door/1": ["named"],
        "hall/1": ["friend", "mate", "named"],
    }


def test_a_grant_for_an_app_covers_its_versions_and_a_version_of_its_own_goes_first() -> None:
    ann, bob = people("ann", "bob")
    ann.book.contacts.add(bob.id, None, True, T0)
    ann.book.set_default("app/2", "nobody")
    assert not ann.book.allows(bob.id, "app/2") and ann.book.allows(bob.id, "app/1")
    ann.book.grant("app", "nobody", [])
    ann.book.grant("app/3", "friends", [])
    assert [ann.book.allows(bob.id, f"app/{i}") for i in (1, 2, 3)] == [False, False, True]
    ann.book.ungrant("app")
    assert ann.book.allows(bob.id, "app/1")
    with pytest.raises(NotFound):
        ann.book.ungrant("app")
    with pytest.raises(UsageError):
        ann.book.grant("app", "all", [])


def test_what_a_hello_proved_ends_with_its_connection() -> None:
    ann, bob = people("ann", "bob")
    ann.founds()
    bob.joins(ann.invites())
    assert ann.judges(bob).known and ann.book.allows(bob.id, "servent.core")
    ann.book.forget_hello(bob.id)
    assert not ann.book.allows(bob.id, "servent.core")


# -- small things


def test_leaving_ends_it_and_accepting_twice_changes_nothing() -> None:
    ann, bob = people("ann", "bob")
    ann.founds()
    invitation = ann.invites()
    home = bob.joins(invitation)
    assert bob.book.homes.accept(invitation, T0 + 1) == (home, [])
    assert ann.judges(bob).known and bob.judges(ann).known
    bob.book.homes.leave("home")
    assert not bob.book.verdict(ann.id).known and bob.book.homes.all() == []


def test_a_network_is_found_by_name_alias_and_id() -> None:
    (ann,) = people("ann")
    home = ann.founds("Familie Müller")
    ann.book.homes.set_alias("familie müller", "family")
    for text in ("family", "FAMILY", n.network_id(home.key)):
        assert ann.book.homes.get(text).key == home.key
    with pytest.raises(NotFound):
        ann.book.homes.get("familie müller")


def test_a_hostile_network_name_is_shown_harmless() -> None:
    eve, bob = people("eve", "bob")
    home = eve.founds("x")
    settings = n.make_settings(
        home.admin or eve.identity, "\u202egnirb\x1b[2J", "p2p", "open", n.lock_of(home.secret), int(T0) + 1
    )
    bob.joins(n.Invitation(settings, home.secret))
    assert [h.alias for h in bob.book.homes.all()] == ["gnirb[2J"]


@pytest.mark.parametrize(
    ("uses", "lifetime"), [(0, DAY), (-1, DAY), (10_001, DAY), (1, 0), (1, -5), (1, 1e18)]
)
def test_invitations_out_of_range_are_refused(uses: int, lifetime: float) -> None:
    ann, _ = people("ann", "bob")
    ann.founds()
    with pytest.raises(UsageError):
        ann.invites(uses=uses, lifetime=lifetime)


def test_no_more_networks_than_a_hello_can_prove() -> None:
    (ann,) = people("ann")
    for number in range(16):
        ann.founds(f"net {number}")
    with pytest.raises(UsageError, match="at most 16"):
        ann.founds("one more")


# -- servers, and who may belong


def test_the_founder_is_the_server_unless_others_are_named() -> None:
    ann, bob = people("ann", "bob")
    home = ann.founds()
    assert home.roll.settings.servers == []
    ann.book.homes.change_settings("home", T0 + 1, mode="server")
    assert ann.book.homes.get("home").roll.settings.servers == [bytes(ann.id)]
    bob.joins(ann.invites())
    assert ann.judges(bob).known
    ann.book.homes.change_settings("home", T0 + 2, servers=[bob.id])
    assert ann.book.homes.get("home").roll.settings.servers == [bytes(bob.id)]
    ann.book.homes.change_settings("home", T0 + 3, mode="hybrid")
    ann.book.homes.change_settings("home", T0 + 4, mode="server")
    assert ann.book.homes.get("home").roll.settings.servers == [bytes(bob.id)]
    with pytest.raises(UsageError):
        ann.book.homes.change_settings("home", T0 + 5, servers=[seed(f"{n}") for n in range(9)])


def test_who_is_no_member_is_named_as_a_server_only_where_everyone_may_join() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    ann.founds()
    with pytest.raises(UsageError, match="no member") as refused:
        ann.book.homes.change_settings("home", T0 + 1, mode="server", servers=[ann.id, eve.id])
    assert "servent invite home" in refused.value.advice
    assert ann.book.homes.get("home").roll.settings.mode == "p2p"
    bob.joins(ann.invites())
    assert ann.judges(bob).known
    ann.book.homes.change_settings("home", T0 + 2, mode="server", servers=[bob.id])
    ann.book.homes.remove_member("home", bob.id, T0 + 3)
    with pytest.raises(UsageError, match="no member"):
        ann.book.homes.change_settings("home", T0 + 4, servers=[bob.id])
    ann.founds("plaza", open=True)
    ann.book.homes.change_settings("plaza", T0 + 5, mode="server", servers=[eve.id])


def test_who_may_belong_follows_from_the_records_alone() -> None:
    ann, bob, cat, eve = people("ann", "bob", "cat", "eve")
    home = ann.founds()
    for member in (bob, cat):
        member.joins(ann.invites())
        sync(ann, member, home.key)
    sync(ann, bob, home.key)
    for who in (ann, bob):
        assert all(who.book.homes.belongs(home.key, one.id) for one in (ann, bob, cat))
        assert not who.book.homes.belongs(home.key, eve.id)
    assert not eve.book.homes.belongs(home.key, ann.id)
    ann.book.homes.remove_member("home", cat.id, T0 + 9)
    assert not ann.book.homes.belongs(home.key, cat.id)


def test_everybody_may_belong_to_an_open_network_who_was_not_removed() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    home = ann.founds(open=True)
    assert ann.book.homes.belongs(home.key, bob.id)
    ann.book.homes.remove_member("home", eve.id, T0 + 9)
    assert not ann.book.homes.belongs(home.key, eve.id)


def test_every_change_of_the_settings_shows_in_the_digest() -> None:
    ann, bob = people("ann", "bob")
    home = ann.founds()
    bob.joins(ann.invites())
    sync(ann, bob, home.key)
    for number, mode in enumerate(("hybrid", "server", "p2p", "hybrid")):
        before = home.roll.digest
        ann.book.homes.change_settings("home", T0 + number, mode=mode)
        assert home.roll.digest != before
        sync(ann, bob, home.key)
        assert bob.book.homes.get(home.key).roll.digest == home.roll.digest


# -- hearing of one's own removal


def test_who_shows_a_membership_that_was_taken_back_is_shown_the_record_of_it() -> None:
    ann, bob, cat, dan = people("ann", "bob", "cat", "dan")
    home = ann.founds()
    for member in (bob, cat):
        member.joins(ann.invites(), T0 + 1)
        sync(ann, member, home.key, T0 + 1)
    ann.book.homes.remove_member("home", bob.id, T0 + 10)
    assert not bob.book.homes.get("home").removed
    dan.joins(ann.invites(now=T0 + 20), T0 + 20)
    for other in (cat, dan):
        sync(ann, other, home.key, T0 + 20)
    verdict = cat.judges(bob, T0 + 30)
    assert not verdict.known and len(verdict.removed) == 1
    assert dan.judges(bob, T0 + 30).removed == (), "bob never knew that dan is in"
    bob.judges(cat, T0 + 30)
    for body in verdict.removed:
        bob.book.homes.take_removal(body)
    assert bob.book.homes.get("home").removed
    assert not bob.judges(cat, T0 + 31).known, "where he was removed, nobody is a fellow of his"
    assert cat.judges(bob, T0 + 31).removed == (), "and he shows nothing any more"
    with pytest.raises(BadMessage):
        cat.book.homes.take_removal(verdict.removed[0])
    bob.joins(ann.invites(now=T0 + 40), T0 + 40)
    assert not bob.book.homes.get("home").removed and ann.judges(bob, T0 + 41).known
    bob.book.homes.take_removal(verdict.removed[0])
    assert not bob.book.homes.get("home").removed, "an old record takes nothing from a new invitation"
