from __future__ import annotations

import plistlib
import shutil
import subprocess
from pathlib import Path

import pytest

from servent.cli.autostart import plan
from servent.errors import UsageError

HOME = Path("/home/ann")
ODD = Path("/home/ann/my $data 100%")


def test_systemd_gets_a_unit_that_is_enabled_and_not_only_started() -> None:
    found = plan("linux", HOME, ODD, "/usr/bin/python3", "ann")
    assert found.path == HOME / ".config/systemd/user/servent.service"
    assert 'ExecStart=/usr/bin/python3 -m servent --data-dir "/home/ann/my $$data 100%%" up' in found.text
    assert "Restart=on-failure" in found.text
    assert ["systemctl", "--user", "enable", "--now", "servent.service"] in found.enable
    assert "enable-linger ann" in found.note


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_itself_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    unit = tmp_path / "servent.service"
    unit.write_text(plan("linux", HOME, ODD, "/usr/bin/env", "ann").text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)], capture_output=True, text=True, check=False
    )
    assert "servent.service" not in done.stderr


def test_launchd_gets_a_property_list_that_parses() -> None:
    found = plan("darwin", HOME, Path("/Users/ann/a & b"), "/usr/bin/python3", "ann", 501)
    parsed = plistlib.loads(found.text.encode())
    assert parsed["ProgramArguments"][-2:] == ["/Users/ann/a & b", "up"]
    assert parsed["RunAtLoad"] is True
    assert found.enable[-1][:3] == ["launchctl", "bootstrap", "gui/501"]


def test_windows_gets_a_logon_task() -> None:
    found = plan("win32", HOME, Path("C:/a b"), "C:/Python/python.exe", "ann")
    assert found.path is None
    assert "ONLOGON" in found.enable[0]
    assert '"C:/a b"' in found.enable[0][found.enable[0].index("/TR") + 1].replace("\\", "/")


def test_elsewhere_it_says_so() -> None:
    with pytest.raises(UsageError):
        plan("plan9", HOME, ODD, "python", "ann")
