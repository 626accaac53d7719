import asyncio

import pytest

from servent.net.doctor import Lan, Probes, RelayProbe, diagnose, why_path
from servent.net.probes import probe
from servent.net.reach import Reach, ReachView
from servent.net.relay.server import RelayServer
from servent.net.relay.settings import RelaySettings


def seen(*addresses: str | None, local: str = "10.1.0.2:5000", relay: str | None = None) -> ReachView:
    reach = Reach()
    reach.local([local], 0.0)
    reach.relay(relay)
    for number, address in enumerate(addresses):
        reach.observed(f"peer{number}", f"192.{number}.2.1:1" if address else None, address, 1.0)
    reach.tick(60.0)
    return reach.view()


HOME = seen("203.0.113.10:5000", "203.0.113.10:5000")
SYMMETRIC = seen("203.0.113.10:5001", "203.0.113.10:5002")
BLOCKED = seen(None, None, relay="http://192.0.2.1:443/")
GOOD_RELAY = RelayProbe("http://192.0.2.1:443", 0.02, clock_off=1.0)


def outcome(
    name: str, reach: ReachView, probes: Probes | None = None, lan: Lan | None = None
) -> tuple[str, str, str]:
    checks = diagnose(reach, probes or Probes(relays=(GOOD_RELAY,)), lan or Lan(True, True, 1), 1, 1)
    (check,) = [check for check in checks if check.name == name]
    return check.outcome, check.detail, check.remedy


def test_a_home_router_is_fine() -> None:
    for check in diagnose(HOME, Probes(relays=(GOOD_RELAY,), ipv6_route=False), Lan(True, True, 2), 3, 0):
        assert check.outcome in ("pass", "skip"), check
        assert check.title and check.detail


def test_a_symmetric_router_is_a_warning_with_a_remedy() -> None:
    said, _, remedy = outcome("nat", SYMMETRIC)
    assert said == "warn" and "UPnP" in remedy
    assert outcome("mapping", SYMMETRIC)[0] == "warn"
    assert "IPv6" in outcome("ipv6", SYMMETRIC)[2]


def test_blocked_udp_is_named_with_whom_to_ask() -> None:
    assert BLOCKED.nat == "udp-blocked"
    said, detail, remedy = outcome("udp", BLOCKED)
    assert said == "warn" and "none gets through" in detail and "firewall" in remedy


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
    assert said == "warn" and "900 s ahead" in detail


def test_the_local_network_switch_is_respected() -> None:
    assert outcome("lan", HOME, lan=Lan(False))[0] == "skip"
    assert outcome("lan", HOME, lan=Lan(True, False))[0] == "warn"


@pytest.mark.parametrize(
    ("mine", "theirs", "address", "age", "words"),
    [
        (BLOCKED, "easy", None, 99.0, "your network"),
        (HOME, "udp-blocked", None, 99.0, "the peer's network"),
        (HOME, "easy", None, 2.0, "still looking"),
        (HOME, "easy", "203.0.113.10:7", 99.0, "same public address"),
        (SYMMETRIC, "symmetric", None, 99.0, "both routers"),
        (SYMMETRIC, "easy", None, 99.0, "your router"),
        (HOME, "symmetric", None, 99.0, "their router"),
        (HOME, None, None, 99.0, "one side"),
    ],
)
def test_a_relayed_peer_comes_with_its_reason(
    mine: ReachView, theirs: str | None, address: str | None, age: float, words: str
) -> None:
    assert words in why_path("relayed", mine, theirs=theirs, address=address, age=age)
    assert why_path("direct", mine, theirs=theirs, address=address, age=age) == "direct"


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
        assert good.took is not None and good.took < 1.0
        assert good.clock_off is not None and abs(good.clock_off) < 5.0
        assert dead.took is None and dead.error
        assert odd.took is None and no_tls.took is None
        assert found.udp == ""

    asyncio.run(main())
