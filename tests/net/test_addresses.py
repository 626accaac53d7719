"""This machine's addresses."""

from __future__ import annotations

import ipaddress
import time
from types import SimpleNamespace

import pytest

from servent.net import addresses


def test_many_endpoints_of_a_process_look_at_the_interfaces_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    clock = time.monotonic() + 1000.0
    there = ["127.0.0.1", "192.168.1.5", "fe80::1%eth0", "8.8.4.4"]

    def interfaces() -> dict[str, list[SimpleNamespace]]:
        looks.append(clock)
        return {"eth0": [SimpleNamespace(address=one) for one in there]}

    monkeypatch.setattr(addresses.psutil, "net_if_addrs", interfaces)
    monkeypatch.setattr(addresses.psutil, "net_if_stats", dict)
    monkeypatch.setattr(addresses, "time", SimpleNamespace(monotonic=lambda: clock))
    monkeypatch.setattr(addresses, "_looked", None)
    for _ in range(200):
        assert addresses.hosts_here() == [ipaddress.ip_address(one) for one in ("8.8.4.4", "192.168.1.5")]
    addresses.hosts_here().clear()  # everybody's own list
    assert len(addresses.hosts_here()) == 2 and len(looks) == 1
    there.remove("8.8.4.4")
    clock += addresses.LOOKED_FOR
    assert addresses.hosts_here() == [ipaddress.ip_address("192.168.1.5")] and len(looks) == 2
