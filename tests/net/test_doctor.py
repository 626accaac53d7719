import asyncio

import pytest

from servent.net.doctor import Company, Lan, Probes, RelayProbe, diagnose
from servent.net.links import Path
from servent.net.probes import probe
from servent.net.reach import Reach, ReachView
from servent.net.relay.server import RelayServer
from servent.net.relay.settings import RelaySettings
from servent.net.views import finest
from servent.net.why import Theirs, why_away, why_path


def seen(
    *addresses: str | None, local: str = "10.1.0.2:5000", relay: str | None = None, told: str | None = None
) -> ReachView:
    reach = Reach()
    reach.local([local], 0.0)
    reach.relay(relay)
    for number, address in enumerate(addresses):
        reach.observed(f"peer{number}", f"192.{number}.2.1:1" if address else None, address, 1.0)
        reach.told(f"peer{number}", told, None, 1.0)
    reach.tick(60.0)
    return reach.view()


HOME = seen("203.0.113.10:5000", "203.0.113.10:5000")
SYMMETRIC = seen("203.0.113.10:5001", "203.0.113.10:5002")
BLOCKED = seen(None, None, relay="http://192.0.2.1:443/", told="public")
NOBODY = seen()
GOOD_RELAY = RelayProbe("http://192.0.2.1:443", 0.02, clock_off=1.0)
RELAYED = Path("relayed", "http://192.0.2.1:443", 0.05, True)


def outcome(
    name: str, reach: ReachView, probes: Probes | None = None, lan: Lan | None = None
) -> tuple[str, str, str]:
    given = probes or Probes(relays=(GOOD_RELAY,))
    checks = diagnose(reach, given, lan or Lan(True, True, 1), Company(1, 1))
    (check,) = [check for check in checks if check.name == name]
    return check.outcome, check.detail, check.remedy


def test_a_home_router_is_fine() -> None:
    home = seen("203.0.113.10:5000", "203.0.113.10:5000", relay=GOOD_RELAY.url)
    probes = Probes(relays=(GOOD_RELAY,), ipv6_route=False)
    for check in diagnose(home, probes, Lan(True, True, 2), Company(direct=3)):
        assert check.outcome in ("pass", "skip"), check
        assert check.title and check.detail


def test_a_symmetric_router_is_a_warning_with_a_remedy() -> None:
    said, _, remedy = outcome("nat", SYMMETRIC)
    assert said == "warn" and "UPnP" in remedy
    assert "IPv6" in remedy and "forward" in remedy
    assert "would avoid the relay" in outcome("ipv6", SYMMETRIC)[1]


def test_blocked_udp_is_named_with_whom_to_ask() -> None:
    assert BLOCKED.nat == "udp-blocked"
    assert "none gets through" in outcome("udp", BLOCKED)[1]
    said, detail, remedy = outcome("nat", BLOCKED)
    assert said == "warn" and "UDP does not get through" in detail and "firewall" in remedy


def test_a_node_bound_to_this_computer_has_nothing_wrong() -> None:
    for near in ((), (None, None)):
        reach = Reach()
        reach.local(["127.0.0.1:5000", "[fd00::2]:5000"], 0.0)
        for number, address in enumerate(near):
            reach.observed(f"peer{number}", "127.0.0.1:6000", address, 1.0)
        said, detail, remedy = outcome("nat", reach.view())
        assert said == "skip" and "127.0.0.1" in detail and "--bind" in remedy


def test_a_computer_without_a_network_fails_and_is_warned_while_peers_on_it_are_reached() -> None:
    reach = Reach()
    said, detail, remedy = outcome("nat", reach.view())
    assert said == "fail" and "offline" in detail and "Connect" in remedy
    reach.observed("near", "127.0.0.1:6000", "127.0.0.1:5000", 1.0)
    said, detail, remedy = outcome("nat", reach.view())
    assert said == "warn" and "this computer alone" in detail and "Connect" in remedy


def test_a_relay_that_does_not_answer_fails() -> None:
    dead = Probes(relays=(RelayProbe("http://192.0.2.1:443", None, "Connection refused"),))
    said, detail, remedy = outcome("relay", HOME, dead)
    assert said == "fail" and "Connection refused" in detail and remedy


def test_without_a_relay_a_public_node_needs_none_and_a_home_is_warned() -> None:
    assert outcome("relay", HOME, Probes())[0] == "warn"
    public = seen("203.0.113.10:5000", "203.0.113.10:5000", local="203.0.113.10:5000")
    assert outcome("relay", public, Probes())[0] == "skip"


def test_a_wrong_clock_is_named() -> None:
    wrong = Probes(relays=(RelayProbe("http://192.0.2.1:443", 0.02, clock_off=-900.0),))
    said, detail, _ = outcome("clock", HOME, wrong)
    assert said == "warn" and "15 min ahead" in detail


def test_the_local_network_switch_is_respected() -> None:
    assert outcome("lan", HOME, lan=Lan(False))[0] == "skip"
    assert outcome("lan", HOME, lan=Lan(True, False))[0] == "warn"


def test_titles_and_names_are_each_used_once() -> None:
    two = Probes(relays=(GOOD_RELAY, RelayProbe("http://192.0.2.9", None, "no answer")), public_relays=False)
    checks = diagnose(HOME, two, Lan(True, True, 1), Company(1, 1, ["ann: timed out"]))
    assert len({check.name for check in checks}) == len({check.title for check in checks}) == len(checks)


@pytest.mark.parametrize("view", [SYMMETRIC, BLOCKED, seen(local="127.0.0.1:5")])
def test_whatever_is_wrong_comes_with_a_remedy(view: ReachView) -> None:
    bad = Probes("not permitted", False, False, (RelayProbe("http://192.0.2.9", None, "no answer"),), False)
    for check in diagnose(view, bad, Lan(True), Company()):
        assert check.remedy or check.outcome in ("pass", "skip"), check


def test_before_anybody_is_connected_nothing_is_called_wrong() -> None:
    checks = diagnose(NOBODY, Probes(ipv6_route=False), Lan(True, True), Company())
    assert {check.outcome for check in checks} <= {"pass", "skip"}
    (nat,) = [check for check in checks if check.name == "nat"]
    assert "no fault" in nat.detail and "Connect to a peer" in nat.remedy


def test_a_relay_that_answers_while_we_are_not_connected_to_it_is_told() -> None:
    assert outcome("relay", HOME)[0] == "warn" and "not connected" in outcome("relay", HOME)[1]
    home = seen("203.0.113.10:5000", relay=GOOD_RELAY.url + "/")
    assert outcome("relay", home)[0] == "pass" and "20 ms" in outcome("relay", home)[1]


def test_a_node_that_has_just_started_is_given_time() -> None:
    checks = diagnose(NOBODY, Probes(relays=(GOOD_RELAY,)), Lan(True), Company(), age=1.0)
    assert {check.outcome for check in checks} <= {"pass", "skip"}


def test_public_relays_whose_names_do_not_resolve_are_told() -> None:
    assert outcome("public-relays", NOBODY, Probes(public_relays=False))[0] == "warn"
    assert outcome("relay", NOBODY, Probes(public_relays=True))[0] == "skip"


def test_an_own_firewall_that_forbids_udp_fails() -> None:
    said, detail, remedy = outcome("udp", NOBODY, Probes(udp="Operation not permitted"))
    assert said == "fail" and "not permitted" in detail and "firewall" in remedy


@pytest.mark.parametrize(
    ("mine", "theirs", "age", "words"),
    [
        (BLOCKED, Theirs("easy"), 99.0, "through your network"),
        (HOME, Theirs("udp-blocked", "none"), 99.0, "through their network"),
        (HOME, Theirs("none", "public"), 99.0, "you have IPv4 only, and they have IPv6 only"),
        (SYMMETRIC, Theirs("symmetric", addresses=["203.0.113.10:9"]), 3.0, "share the public address"),
        (SYMMETRIC, Theirs("symmetric", "none"), 3.0, "both routers use a new port"),
        (SYMMETRIC, Theirs("easy"), 3.0, "because your router"),
        (SYMMETRIC, Theirs("public"), 3.0, "firewall on their side"),
        (HOME, Theirs("symmetric"), 3.0, "because their router"),
        (NOBODY, Theirs("easy"), 99.0, "nobody has told yet"),
        (HOME, Theirs(), 99.0, "their node does not know yet"),
        (HOME, Theirs("easy"), 99.0, "firewall on one of the computers"),
    ],
)
def test_a_relayed_peer_comes_with_its_reason_and_a_remedy(
    mine: ReachView, theirs: Theirs, age: float, words: str
) -> None:
    why = why_path(RELAYED, mine, theirs, age=age)
    assert words in why.text and why.remedy


@pytest.mark.parametrize(
    ("mine", "theirs", "age"), [(HOME, Theirs("easy"), 9.0), (SYMMETRIC, Theirs("symmetric"), 1.0)]
)
def test_a_young_relayed_peer_is_no_reason_to_worry(mine: ReachView, theirs: Theirs, age: float) -> None:
    why = why_path(RELAYED, mine, theirs, age=age)
    assert "still looking" in why.text and not why.remedy


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:5", "this computer"),
        ("10.1.0.2:99", "this computer"),
        ("192.168.1.7:5", "local network"),
        ("[fe80::7]:5", "local network"),
        ("9.9.9.9:5", "over IPv4"),
        ("[2a00::7]:5", "over IPv6"),
    ],
)
def test_a_direct_peer_says_how(address: str, words: str) -> None:
    why = why_path(Path("direct", address, 0.001, True), HOME, Theirs(), age=1.0)
    assert why.text.startswith("direct") and words in why.text and not why.remedy


def test_a_peer_that_is_away_says_what_to_do() -> None:
    assert "ticket" in why_away("no address is known", known=False).remedy
    assert "node running" in why_away("not connected: timed out", known=True).remedy
    assert not why_away("blocked by you", known=True).remedy


def test_below_two_milliseconds_a_round_trip_is_the_echoes() -> None:
    assert finest(0.0, 0.00042) == 0.00042
    assert finest(0.001, 0.0004) == 0.0004, "an echo that came back sooner is proof"
    assert finest(0.0, 0.3) == 0.001, "echoes of a busy loop say nothing of the path"
    assert finest(0.03, 0.031) == 0.03
    assert finest(None, 0.01) == 0.01 and finest(0.0, None) == 0.0


def test_probes_ask_a_running_relay_and_notice_a_dead_one() -> None:
    async def main() -> None:
        relay = RelayServer(RelaySettings(hosts=("127.0.0.1",), port=0))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(relay.run())
            await relay.ready.wait()
            found = await probe(
                [relay.urls[0], "http://127.0.0.1:1", "http://[nonsense", "https://" + relay.urls[0][7:]]
            )
            await relay.close()
        good, dead, odd, no_tls = found.relays
        assert good.took is not None and good.took < 30.0
        assert good.clock_off is not None and abs(good.clock_off) < 30.0
        assert dead.took is None and dead.error
        assert odd.took is None and no_tls.took is None
        assert found.udp == ""

    asyncio.run(main())
