from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from servent.api.keys import MOST_LOGIN_CODES, Keys, write_private
from servent.errors import NotFound, UsageError


def test_the_first_start_makes_a_token_that_only_its_owner_can_read(tmp_path: Path) -> None:
    keys = Keys.open(tmp_path)
    path = tmp_path / "api.token"
    assert path.read_text().strip() == keys.admin_token
    assert len(keys.admin_token) >= 43  # 256 bits
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Keys.open(tmp_path).admin_token == keys.admin_token


def test_a_token_file_that_others_can_read_is_closed(tmp_path: Path) -> None:
    Keys.open(tmp_path)
    (tmp_path / "api.token").chmod(0o644)
    Keys.open(tmp_path)
    assert stat.S_IMODE((tmp_path / "api.token").stat().st_mode) == 0o600


def test_a_short_token_is_not_accepted() -> None:
    with pytest.raises(UsageError):
        Keys("123456")


def test_named_tokens_survive_a_restart_and_are_kept_as_digests(tmp_path: Path) -> None:
    made = Keys.open(tmp_path).add("grafana", "read", 5.0)
    assert made.token not in (tmp_path / "api-tokens.json").read_text()
    again = Keys.open(tmp_path)
    assert again.scope_of_token(made.token) == "read"
    assert [(entry.name, entry.token) for entry in again.tokens()] == [("grafana", "")]
    again.remove("grafana")
    assert Keys.open(tmp_path).scope_of_token(made.token) is None
    with pytest.raises(NotFound):
        again.remove("grafana")


def test_a_name_is_given_once(tmp_path: Path) -> None:
    keys = Keys.open(tmp_path)
    keys.add("a", "read", 0.0)
    with pytest.raises(UsageError):
        keys.add("a", "admin", 0.0)


def test_the_page_process_accepts_a_session_the_node_made(tmp_path: Path) -> None:
    session = Keys.open(tmp_path).new_session("admin", 100.0)
    assert Keys.open(tmp_path).scope_of_session(session, 101.0) == "admin"


def test_login_codes_do_not_pile_up() -> None:
    keys = Keys("t" * 43)
    codes = [keys.new_login_code(10.0) for _ in range(MOST_LOGIN_CODES + 5)]
    assert keys.redeem(codes[0], 11.0) is None
    assert keys.redeem(codes[-1], 11.0) is not None


def test_a_private_file_is_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    write_private(path, "old")

    def fail(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError):
        write_private(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["secret"]
