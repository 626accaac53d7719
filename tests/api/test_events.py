from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from servent.api.events import MOST_LISTENERS, MOST_WAITING, Bus, Listener


def heard(listener: Listener) -> list[dict[str, Any]]:
    return [json.loads(encoded) for _, encoded in listener.take()]


def listen(bus: Bus, *topics: str, since: int | None = None) -> Listener:
    listener = bus.listen(topics, lambda: None, since)
    assert listener is not None
    return listener


def row(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, **more}


def test_numbers_rise_by_one() -> None:
    bus = Bus(100)
    assert [bus.publish("log", {"text": str(n)}).seq for n in range(3)] == [101, 102, 103]


def test_a_newcomer_hears_everything_first_and_then_only_what_changed() -> None:
    bus = Bus(0)
    bus.table("peers", [row("a", rtt=1), row("b", rtt=2)])
    listener = listen(bus, "peers")
    [full] = heard(listener)
    assert full["data"] == {"full": True, "items": [row("a", rtt=1), row("b", rtt=2)], "gone": []}
    bus.table("peers", [row("a", rtt=1), row("c", rtt=3)])
    [delta] = heard(listener)
    assert delta["data"] == {"full": False, "items": [row("c", rtt=3)], "gone": ["b"]}
    assert bus.table("peers", [row("a", rtt=1), row("c", rtt=3)]) is None
    assert heard(listener) == []


def test_only_the_topics_asked_for_are_heard_and_looked_at() -> None:
    bus = Bus(0)
    listener = listen(bus, "peers")
    assert bus.wanted == {"peers"}
    bus.publish("log", {"text": "x"})
    assert heard(listener) == []
    bus.leave(listener)
    assert bus.wanted == frozenset()


def test_who_comes_back_hears_what_was_missed_and_nothing_twice() -> None:
    bus = Bus(0)
    listener = listen(bus, "log")
    bus.publish("log", {"text": "1"})
    last = heard(listener)[-1]["seq"]
    bus.leave(listener)
    bus.publish("log", {"text": "2"})
    bus.publish("peers", {"full": False, "items": [], "gone": []})
    bus.publish("log", {"text": "3"})
    back = listen(bus, "log", since=last)
    assert [event["data"]["text"] for event in heard(back)] == ["2", "3"]


def test_who_comes_back_too_late_is_told_to_start_afresh() -> None:
    bus = Bus(0, ring_events=10)
    bus.table("peers", [row("a")])
    for number in range(50):
        bus.publish("log", {"text": str(number)})
    late = heard(listen(bus, "peers", "log", since=3))
    assert [event["topic"] for event in late] == ["resync", "peers"]
    assert late[1]["data"]["full"] is True


def test_a_number_of_another_run_is_a_gap_too() -> None:
    before = Bus(1_000)
    for _ in range(5):
        before.publish("log", {})
    after = Bus(2_000)
    for since in (before.seq, 2_001, 10**15):
        assert heard(listen(after, "log", since=since))[0]["topic"] == "resync"
    assert heard(listen(after, "log", since=2_000)) == []


def test_the_ring_holds_bytes_within_bounds() -> None:
    bus = Bus(0, ring_bytes=10_000)
    for number in range(200):
        bus.publish("log", {"text": "x" * 500, "n": number})
    assert bus._held_bytes <= 10_000
    assert sum(len(encoded) for _, _, encoded in bus._ring) == bus._held_bytes


def test_a_slow_listener_is_told_to_start_afresh_and_costs_no_more_memory() -> None:
    bus = Bus(0)
    bus.table("peers", [row("a")])
    slow = listen(bus, "peers", "log")
    for number in range(3 * MOST_WAITING):
        bus.publish("log", {"text": str(number)})
    assert len(slow.waiting) <= MOST_WAITING
    events = heard(slow)
    assert events[0]["topic"] == "resync"
    assert events[1]["data"]["full"] is True
    assert events[-1]["data"]["text"] == str(3 * MOST_WAITING - 1)


def test_there_is_an_end_to_listeners() -> None:
    bus = Bus(0)
    assert all(bus.listen((), lambda: None) is not None for _ in range(MOST_LISTENERS))
    assert bus.listen((), lambda: None) is None


def follow(events: list[dict[str, Any]], known: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a client holds after these events, by the documented rule."""
    table = {} if known is None else dict(known)
    for event in events:
        if event["topic"] != "peers":
            continue
        if event["data"]["full"]:
            table = {}
        for item in event["data"]["items"]:
            table[item["id"]] = item
        for name in event["data"]["gone"]:
            table.pop(name, None)
    return table


@given(
    st.lists(
        st.one_of(
            st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3), max_size=6),
            st.just("drop"),
            st.just("noise"),
        ),
        max_size=60,
    ),
    st.integers(1, 12),
)
def test_whatever_happens_every_client_ends_with_the_truth(steps: list[Any], ring: int) -> None:
    bus = Bus(0, ring_events=ring)
    bus.table("peers", [])
    listener = listen(bus, "peers")
    mine, last, truth = {}, 0, {}
    for step in steps:
        if step == "drop":  # the connection breaks; what was queued is lost
            bus.leave(listener)
            listener = listen(bus, "peers", since=last or None)
        elif step == "noise":
            for _ in range(3):
                bus.publish("log", {})
        else:
            truth = {name: row(name, value=value) for name, value in step.items()}
            bus.table("peers", list(truth.values()))
        if step != "noise":
            events = heard(listener)
            mine = follow(events, mine)
            last = events[-1]["seq"] if events else last
    assert follow(heard(listener), mine) == truth
