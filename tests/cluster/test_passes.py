"""Who is let in: passes that nodes sign for their processes, judged by the list of members."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.cluster import passes
from servent.cluster.model import PASS_BYTES, SignedPass
from servent.cluster.rosters import Member, Role, Roster
from servent.errors import BadMessage, Refused
from servent.identity import Identity
from tests.cluster.desks import ANN, BOB, EVE, LAB

PROCESS = Identity(b"p" * 32).peer
NOW = 1_800_000_000.0
ROSTER = Roster(LAB, bytes(ANN.peer), "lab", 1, (Member(bytes(BOB.peer), work=True, submit=False),))


def shown(
    node: Identity = BOB, role: Role = "worker", *, cluster: bytes = LAB, lifetime: float = 900.0
) -> SignedPass:
    return passes.issue(node, cluster, PROCESS, role, NOW, "worker 1", lifetime)


def admit(signed: SignedPass, *, mine: Role = "scheduler", now: float = NOW, peer: bytes = PROCESS) -> str:
    return passes.admit(signed, peer=peer, mine=mine, roster=ROSTER, now=now).name


def test_a_member_comes_in_as_what_it_may_be() -> None:
    assert admit(shown()) == "worker 1"
    assert admit(shown(ANN, "client")) == "worker 1"
    with pytest.raises(Refused, match="may not submit"):
        admit(shown(BOB, "client"))
    with pytest.raises(Refused, match="may not have the scheduler"):
        admit(shown(BOB, "scheduler"), mine="worker")


def test_a_stranger_with_a_good_pass_of_its_own_is_refused() -> None:
    with pytest.raises(Refused, match="no member"):
        admit(shown(EVE))


def test_a_pass_is_worth_nothing_in_other_hands_or_for_another_cluster() -> None:
    with pytest.raises(Refused, match="another process"):
        admit(shown(), peer=EVE.peer)
    with pytest.raises(Refused, match="another cluster"):
        admit(shown(cluster=b"x" * 16))


def test_a_pass_has_its_time() -> None:
    assert admit(shown(), now=NOW + 900.0)
    assert admit(shown(), now=NOW - passes.SKEW)
    for late in (NOW + 901.0 + passes.SKEW, NOW - 1.0 - passes.SKEW):
        with pytest.raises(Refused, match="another time"):
            admit(shown(), now=late)
    with pytest.raises(Refused, match="more than an hour"):
        admit(shown(lifetime=passes.LONGEST + 1.0))


def test_two_clients_have_no_business_with_each_other() -> None:
    with pytest.raises(Refused, match="no business"):
        admit(shown(ANN, "client"), mine="client")


def test_nobody_signs_for_another_node() -> None:
    mine = passes.read(shown(EVE))
    forged = SignedPass(
        msgspec.msgpack.encode(msgspec.structs.replace(mine, node=bytes(BOB.peer))), shown(EVE).signature
    )
    with pytest.raises(BadMessage, match="not signed"):
        admit(forged)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_one_changed_bit_ends_a_pass(at: int, bit: int) -> None:
    good = shown()
    body = bytearray(good.body)
    body[at % len(body)] ^= 1 << bit
    with pytest.raises(BadMessage):
        passes.read(SignedPass(bytes(body), good.signature))


@given(st.binary(max_size=PASS_BYTES))
def test_what_is_no_pass_is_refused_even_when_signed(body: bytes) -> None:
    with pytest.raises(BadMessage):
        passes.read(SignedPass(body, EVE.sign(b"servent/cluster pass 1\n" + body)))
