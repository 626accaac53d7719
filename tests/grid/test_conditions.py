"""How a machine is looked at."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import namedtuple

import pytest

from servent.grid import conditions_service
from servent.grid.conditions_service import Machine
from servent.grid.idle import AGAIN_AFTER, Idle


def look(machine: Machine, **how):
    return asyncio.run(machine.look(**how))


def test_this_machine_can_be_looked_at(tmp_path) -> None:
    machine = Machine(tmp_path / "not" / "there")
    now = look(machine, programs=True)
    assert now.cores >= 1 and now.memory_bytes >= now.memory_free > 0 and now.disk_free > 0
    assert any("python" in name or "pytest" in name for name in now.programs)
    assert look(machine).programs == frozenset()


Times = namedtuple("Times", "user system idle iowait guest")


def test_what_others_compute_counts_and_what_we_compute_does_not(tmp_path, monkeypatch) -> None:
    at, ours, times = [0.0], [5.0], [Times(100.0, 10.0, 500.0, 50.0, 20.0)]
    monkeypatch.setattr(conditions_service.psutil, "cpu_times", lambda: times[0])
    monkeypatch.setattr(conditions_service, "_our_seconds", lambda: ours[0])
    machine = Machine(tmp_path, clock=lambda: at[0])
    assert look(machine).others == 0.0
    # A minute of four cores: two compute for us, one for others; of that a quarter inside a guest, which is counted twice.
    at[0], ours[0], times[0] = 60.0, 125.0, Times(275.0, 15.0, 560.0, 50.0, 20.0)
    assert look(machine).others == pytest.approx(1.0)
    at[0], times[0] = 90.0, times[0]._replace(idle=680.0)
    assert look(machine).others == 0.0


def test_our_own_seconds_are_those_of_our_children_too() -> None:
    before = conditions_service._our_seconds()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    assert conditions_service._our_seconds() - before >= 0.29


def machine_of(tmp_path, now):
    (tmp_path / "dev" / "pts").mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    found = Idle(lambda: now[0], tmp_path)
    found._ways = [found._terminals, found._interrupts]
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="how Linux tells")
def test_a_key_in_a_terminal_or_on_a_keyboard_is_noticed(tmp_path) -> None:
    now = [10_000.0]
    idle = machine_of(tmp_path, now)
    interrupts = tmp_path / "proc" / "interrupts"
    interrupts.write_text(
        "           CPU0       CPU1\n  1:   10   20   IO-APIC  1-edge  i8042\n  8: 1 1 rtc0\n"
    )
    terminal = tmp_path / "dev" / "pts" / "0"
    terminal.write_text("")
    os.utime(terminal, (9_000.0, 9_999.0))  # read from long ago; written to just now, which is no person
    assert idle.seconds() == 1_000.0
    os.utime(terminal, (9_990.0, 9_990.0))
    assert idle.seconds() == 10.0
    now[0] = 10_100.0
    interrupts.write_text(
        "           CPU0       CPU1\n  1:   10   21   IO-APIC  1-edge  i8042\n  8: 9 9 rtc0\n"
    )
    assert idle.seconds() == 0.0
    now[0] = 10_105.0
    assert idle.seconds() == 5.0


def test_a_way_that_fails_is_left_alone_for_a_while_and_a_machine_without_any_says_nothing(tmp_path) -> None:
    now = [10.0]
    idle = machine_of(tmp_path, now)  # /proc/interrupts is missing
    assert idle.seconds() is None
    (tmp_path / "proc" / "interrupts").write_text("  1:   10   i8042\n")
    assert idle.seconds() is None
    now[0] += AGAIN_AFTER
    assert idle.seconds() is not None
