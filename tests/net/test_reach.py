import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.net.reach import (
    ADDRESSES_MOST,
    BLOCKED_AFTER,
    LINGER,
    OVERLAP,
    Announce,
    Reach,
    Redial,
    Reobserve,
    block,
    dialable,
)

A, B, C = "198.51.100.1:4433", "192.0.2.1:4433", "203.0.113.9:4433"  # observers in three address blocks
HOME = "10.1.0.2:5000"


def reach() -> Reach:
    core = Reach()
    core.local([HOME], 0.0)
    return core


def test_an_observed_address_is_announced() -> None:
    core = reach()
    assert core.observed("ann", A, "203.0.113.10:5000", 1.0) == [Announce(("203.0.113.10:5000",))]
    assert core.observed("ann", A, "203.0.113.10:5000", 2.0) == []


def test_the_same_port_from_two_observers_means_an_easy_router() -> None:
    core = reach()
    core.observed("ann", A, "203.0.113.10:5000", 1.0)
    assert core.view().nat == "unknown" and "One more" in core.view().summary
    core.observed("bob", B, "203.0.113.10:5000", 1.0)
    view = core.view()
    assert view.nat == "easy" and view.ipv4.addresses == ("203.0.113.10:5000",)


def test_different_ports_mean_a_symmetric_router_and_every_address_is_announced() -> None:
    core = reach()
    core.observed("ann", A, "203.0.113.10:5001", 1.0)
    assert core.observed("bob", B, "203.0.113.10:5002", 1.0) == [
        Announce(("203.0.113.10:5000", "203.0.113.10:5002", "203.0.113.10:5001"))
    ], "and our own port there, which may be forwarded by hand"
    view = core.view()
    assert view.nat == "symmetric"
    assert any("UPnP" in remedy for remedy in view.remedies)


def test_an_address_of_our_own_seen_from_outside_is_public_and_needs_no_announcement() -> None:
    core = Reach()
    core.local(["203.0.113.10:5000"], 0.0)
    assert core.observed("ann", A, "203.0.113.10:5000", 1.0) == []
    assert core.view().nat == "public" and core.view().remedies == ()


def test_ipv4_and_ipv6_are_judged_apart() -> None:
    core = Reach()
    core.local([HOME, "[2001:db8:10::2]:5000"], 0.0)
    core.observed("ann", A, "203.0.113.10:5001", 1.0)
    core.observed("bob", B, "203.0.113.10:5002", 1.0)
    core.observed("cat", "[2001:db8:99::1]:1", "[2001:db8:10::2]:5000", 1.0)
    view = core.view()
    assert (view.ipv4.kind, view.ipv6.kind, view.nat) == ("symmetric", "public", "symmetric")
    assert "IPv6" in view.summary


def test_relayed_observers_without_a_router_mean_after_a_while_that_udp_is_blocked() -> None:
    core = reach()
    core.observed("ann", None, None, 1.0)
    core.told("ann", "public", None, 1.0)
    assert core.view().nat == "unknown"
    due = core.next_tick()
    assert due == 1.0 + BLOCKED_AFTER
    core.tick(due)
    view = core.view()
    assert view.nat == "udp-blocked" and any("UDP" in remedy for remedy in view.remedies)
    assert view.cause and view.ipv6.kind == "none"
    core.observed("bob", B, "203.0.113.10:5000", 9.0)
    assert core.view().nat == "unknown"


def test_relayed_observers_behind_routers_do_not_prove_that_udp_is_blocked() -> None:
    core = reach()
    for name, kind in (("ann", "symmetric"), ("bob", None)):
        core.observed(name, None, None, 1.0)
        core.told(name, kind, None, 1.0)
    core.tick(1.0 + BLOCKED_AFTER)
    assert core.view().nat == "unknown" and "Either UDP" in core.view().summary
    core.told("ann", None, "public", 9.0)
    assert core.view().nat == "unknown", "we have no IPv6, so it proves nothing of ours"


def test_peers_on_this_computer_are_direct_and_say_nothing_of_the_way_out() -> None:
    core = Reach()
    core.local(["127.0.0.1:5000", "192.168.1.2:5000", "[fd00::2]:5001"], 0.0)
    core.observed("ann", None, None, 1.0)
    core.observed("ann", "127.0.0.1:4433", "127.0.0.1:5000", 1.5)
    assert core.next_tick() is None
    core.tick(99.0)
    view = core.view()
    assert (view.nat, view.ipv6.kind) == ("unknown", "none") and "own network" in view.summary
    assert [seen.direct for seen in view.observers] == [True]
    assert core.missed("ann", 9, 100.0) == [], "and their silence has nothing to do with the network"


@pytest.mark.parametrize(
    "mine", ["192.168.1.2:5000", "10.0.0.2:5000", "172.16.0.9:1", "100.64.0.7:5", "[fd00::2]:5"]
)
def test_an_address_that_holds_only_inside_is_never_public(mine: str) -> None:
    core = Reach()
    core.local([mine], 0.0)
    core.observed("ann", mine[:-1] + "9", mine, 1.0)
    core.observed("bob", mine[:-1] + "8", mine, 1.0)
    view = core.view()
    assert "public" not in (view.nat, view.ipv4.kind, view.ipv6.kind)
    assert "public" not in view.summary


def test_a_peer_on_the_same_computer_proves_nothing_even_at_a_public_address() -> None:
    core = Reach()
    core.local(["203.0.113.10:5000"], 0.0)
    core.observed("ann", "203.0.113.10:6000", "203.0.113.10:5000", 1.0)
    assert core.view().nat == "unknown" and core.view().observers[0].direct


def test_an_untranslated_address_is_called_public_only_where_it_is() -> None:
    for mine, words in (("203.0.113.10:5000", "No router"), ("9.9.9.9:5000", "public address")):
        core = Reach()
        core.local([mine], 0.0)
        core.observed("ann", A, mine, 1.0)
        assert core.view().nat == "public" and words in core.view().summary


def test_a_public_address_of_our_own_needs_no_observer() -> None:
    core = Reach()
    core.local(["9.9.9.9:5000"], 0.0)
    assert core.view().nat == "public" and core.view().told == ("public", "none")


def test_a_port_opened_by_a_router_behind_another_is_no_way_in() -> None:
    core = reach()
    core.observed("ann", A, "203.0.113.10:5001", 1.0)
    core.observed("bob", B, "203.0.113.10:5002", 1.0)
    core.mapped(["100.64.0.10:7000"])
    view = core.view()
    assert view.mapped == () and view.mapped_inside == ("100.64.0.10:7000",)
    assert view.told[0] == "symmetric" and "another router" in view.summary
    assert "provider" in view.remedies[0]
    core.mapped(["192.168.0.4:7000"])
    assert "bridge mode" in core.view().remedies[0]


def test_a_port_opened_by_the_router_counts_also_once_observers_see_it() -> None:
    core = reach()
    core.mapped([], opened=True)
    assert core.view().mapped == ()
    core.observed("ann", A, "203.0.113.10:7000", 1.0)
    core.observed("bob", B, "203.0.113.10:7000", 1.0)
    assert core.view().mapped == ("203.0.113.10:7000",) and core.view().told[0] == "mapped"


def test_ipv6_alone_says_how_we_are_reached_while_ipv4_was_not_used() -> None:
    core = Reach()
    core.local([HOME, "[2001:db8:10::2]:5000"], 0.0)
    core.observed("cat", "[2001:db8:99::1]:1", "[2001:db8:10::2]:5000", 1.0)
    view = core.view()
    assert (view.nat, view.ipv4.kind, view.told) == ("public", "unknown", (None, "public"))


def test_one_liar_is_outvoted_by_two_others() -> None:
    core = reach()
    core.observed("ann", A, "203.0.113.10:5000", 1.0)
    core.observed("bob", B, "203.0.113.10:5000", 1.0)
    assert core.observed("eve", C, "198.18.0.66:5000", 2.0) == []
    view = core.view()
    assert view.nat == "easy" and view.addresses == ("203.0.113.10:5000",)


def test_a_crowd_of_liars_from_one_block_has_one_voice() -> None:
    core = reach()
    core.observed("ann", A, "203.0.113.10:5000", 1.0)
    for n in range(5):
        core.observed(f"eve{n}", "192.0.2.66:1", "198.18.0.66:5000", 1.0)
    assert "203.0.113.10:5000" in core.view().addresses
    core.observed("bob", C, "203.0.113.10:5000", 2.0)
    core.tick(2.0 + OVERLAP)
    assert core.view().addresses == ("203.0.113.10:5000",)


def test_an_address_outlives_its_last_observer_for_a_while() -> None:
    core = reach()
    core.observed("ann", A, "203.0.113.10:5000", 1.0)
    assert core.forget("ann", 2.0) == []
    due = core.next_tick()
    assert due == 2.0 + LINGER
    assert core.tick(due) == [Announce(())]
    assert core.next_tick() is None


def test_after_a_change_of_our_own_address_new_ones_come_before_old_ones_go() -> None:
    core = reach()
    core.observed("ann", A, "203.0.113.10:5000", 1.0)
    assert core.local(["10.3.0.2:5000"], 5.0) == [Reobserve("this computer's own addresses changed")]
    assert core.view().addresses == ("203.0.113.10:5000",)
    assert core.observed("ann", A, "203.0.113.30:5000", 5.5) == [
        Announce(("203.0.113.30:5000", "203.0.113.10:5000"))
    ]
    assert core.tick(5.5 + OVERLAP) == [Announce(("203.0.113.30:5000",))]


def test_an_observer_that_pushes_a_new_address_makes_us_ask_the_others() -> None:
    core = reach()
    core.observed("ann", A, "203.0.113.10:5000", 1.0)
    core.observed("bob", B, "203.0.113.10:5000", 1.0)
    effects = core.observed("ann", A, "203.0.113.15:5000", 9.0)
    assert [type(effect) for effect in effects] == [Announce, Reobserve] or [
        type(effect) for effect in effects
    ] == [Reobserve]
    core.observed("bob", B, "203.0.113.15:5000", 9.2)
    core.tick(9.2 + OVERLAP)
    assert core.view().addresses == ("203.0.113.15:5000",) and core.view().nat == "easy"


def test_a_new_port_alone_asks_nobody() -> None:
    core = reach()
    core.observed("ann", A, "203.0.113.10:5000", 1.0)
    core.observed("bob", B, "203.0.113.10:5000", 1.0)
    assert not any(isinstance(e, Reobserve) for e in core.observed("ann", A, "203.0.113.10:6000", 2.0))


def test_silence_of_all_observers_at_once_asks_for_new_connections_once() -> None:
    core = reach()
    core.observed("ann", A, "203.0.113.10:5000", 1.0)
    core.observed("bob", B, "203.0.113.10:5000", 1.0)
    assert core.missed("ann", 2, 5.0) == []
    assert core.missed("bob", 1, 5.0) == []
    assert core.missed("bob", 2, 6.0) == [Redial("all observers fell silent at once")]
    assert core.missed("ann", 3, 7.0) == []
    core.heard("ann", 8.0)
    assert core.missed("ann", 2, 20.0) == [Redial("all observers fell silent at once")]


def test_addresses_nobody_can_dial_are_ignored() -> None:
    core = reach()
    for junk in (
        "127.0.0.1:5",
        "0.0.0.0:5",
        "224.0.0.1:5",
        "[::1]:5",
        "[fe80::1]:5",
        "1.2.3.4:0",
        "x",
        "1.2.3:x",
    ):
        assert not dialable(junk)
        assert core.observed("eve", A, junk, 1.0) == []
    assert core.view().addresses == ()


def test_a_port_opened_by_the_router_makes_a_symmetric_one_harmless() -> None:
    core = reach()
    core.observed("ann", A, "203.0.113.10:5001", 1.0)
    core.observed("bob", B, "203.0.113.10:5002", 1.0)
    core.mapped(["203.0.113.10:7000"])
    view = core.view()
    assert "opened a port" in view.summary and not any("UPnP" in remedy for remedy in view.remedies)


def test_address_blocks() -> None:
    assert block("203.0.113.9:1") == "203.0.0.0/16"
    assert block("[2001:db8:1::1]:1") == "2001:db8::/32"
    assert block(None) == "relayed"


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4), st.integers(0, 5), st.integers(0, 5), st.integers(1, 3), st.floats(0.0, 40.0)
        ),
        max_size=60,
    )
)
def test_whatever_happens_the_announced_set_is_bounded_and_time_moves_on(
    story: list[tuple[int, int, int, int, float]],
) -> None:
    core, now, announced = reach(), 0.0, set[str]()
    for what, who, host, port, passed in story:
        now += passed
        effects: list[object] = []
        due = core.next_tick()
        if due is not None and due <= now:
            effects += core.tick(due)
            later = core.next_tick()
            assert later is None or later > due
        if what == 0:
            effects += core.forget(f"peer{who}", now)
        elif what == 1:
            effects += core.local([f"10.0.0.{host}:5000"], now)
        elif what == 2:
            effects += core.missed(f"peer{who}", port, now)
        else:
            effects += core.observed(
                f"peer{who}", f"192.{who}.2.1:1", f"198.51.100.{host}:{port}" if what == 3 else None, now
            )
        for effect in effects:
            if isinstance(effect, Announce):
                announced = set(effect.addresses)
        assert announced == set(core.view().addresses)
        assert len(announced) <= ADDRESSES_MOST
        assert core.view().summary
