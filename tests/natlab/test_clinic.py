"""Behind real routers the doctor names the router, the cause on both sides, and what helps."""

from collections.abc import Iterator

import pytest

from tests.natlab.clinic import Clinic, Said
from tests.natlab.lab import missing

WHY_NOT = missing()
pytestmark = [
    pytest.mark.natlab,
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]


@pytest.fixture(scope="module")
def clinic() -> Iterator[Clinic]:
    with Clinic("nd-") as running:
        yield running


def why(said: Said, peer: str) -> str:
    found = said.peer(peer)
    return found.why if found else ""


def says(ann: str, bob: str) -> object:
    """Whether both give these words as the reason for each other's path."""
    return lambda one, two: ann in why(one, "bob") and bob in why(two, "ann")


def direct(one: Said, two: Said) -> bool:
    """Whether both say so; "still looking for a direct path" is no such word."""
    return why(one, "bob").startswith("direct") and why(two, "ann").startswith("direct")


def test_usual_home_routers_are_direct_and_nothing_needs_doing(clinic: Clinic) -> None:
    for said in clinic.visit("apdf", "apdf", direct):
        assert said.status.reach.nat == "easy" and said.status.reach.relayed_because is None
        assert all(check.outcome in ("pass", "skip") for check in said.doctor.checks), said.text()
        assert all(peer.path == "direct" and not peer.remedy for peer in said.doctor.peers), said.text()


def test_two_symmetric_routers_are_both_named_with_a_remedy(clinic: Clinic) -> None:
    for said, other in zip(clinic.visit("edm", "edm", says("both", "both")), ("bob", "ann"), strict=True):
        assert said.status.reach.nat == "symmetric", said.text()
        assert said.status.reach.relayed_because != said.status.reach.summary
        peer = said.peer(other)
        assert peer is not None and peer.path == "relayed"
        assert "both routers" in peer.why and "UPnP" in peer.remedy, said.text()
        assert said.check("nat").outcome == "warn" and "UPnP" in said.check("nat").remedy


def test_one_symmetric_router_is_named_on_the_right_side(clinic: Clinic) -> None:
    ann, bob = clinic.visit("edm", "apdf", says("because your router", "because their router"))
    assert "because your router" in why(ann, "bob") and ann.status.reach.nat == "symmetric", ann.text()
    assert "because their router" in why(bob, "ann") and bob.status.reach.nat == "easy", bob.text()
    assert bob.check("nat").outcome == "pass" and not bob.check("nat").remedy


def test_blocked_udp_is_named_on_the_right_side(clinic: Clinic) -> None:
    ann, bob = clinic.visit("apdf+noudp", "apdf", says("your network", "their network"))
    assert ann.status.reach.nat == "udp-blocked" and "UDP" in why(ann, "bob"), ann.text()
    assert "outgoing UDP" in ann.check("nat").remedy and ann.check("nat").outcome == "warn"
    assert "UDP" in why(bob, "ann") and "their network" in why(bob, "ann"), bob.text()
    assert bob.status.reach.nat == "easy" and bob.status.reach.relayed_because is None


def test_two_customers_of_one_carrier_learn_that_they_share_an_address(clinic: Clinic) -> None:
    shared = "share the public address 11.0.113.90"
    for said in clinic.visit("apdf", "apdf", says(shared, shared), shared="apdf"):
        assert shared in said.text() and any("IPv6" in peer.remedy for peer in said.doctor.peers), said.text()


def test_a_port_opened_by_the_router_is_told_and_makes_the_pair_direct(clinic: Clinic) -> None:
    ann, _ = clinic.visit(
        "edm+upnp",
        "apdf",
        lambda one, two: direct(one, two) and one.check("mapping").outcome == "pass",
    )
    assert ann.check("mapping").outcome == "pass" and "opened a port" in ann.status.reach.summary, ann.text()
    assert ann.check("nat").outcome == "pass" and why(ann, "bob").startswith("direct"), ann.text()
