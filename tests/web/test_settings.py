"""What settings mean in words, what was typed, and who may do what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from servent.api import settings
from servent.api.schema import Grant, Peer
from servent.errors import UsageError
from servent.web.pages.grants import allowed, in_use
from servent.web.pages.settings_file import ELSEWHERE, meaning, read, title_of


def test_every_setting_has_a_name_and_a_meaning_of_its_own(tmp_path: Path) -> None:
    known = settings.view(tmp_path).settings
    assert {setting.key for setting in known} >= ELSEWHERE  # those have a control of their own
    found = [setting for setting in known if setting.key not in ELSEWHERE]
    assert all(title_of(setting.key) for setting in found)
    silent = [setting.key for setting in found if not meaning(setting)]
    assert not silent, f"nothing is said of {silent}"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (True, True, True),
        (["a"], "x, y,\nz", ["x", "y", "z"]),
        ([], "", []),
        (15, " 30 ", 30),
        (1.5, "2", 2.0),
        ("", " name ", "name"),
    ],
)
def test_what_is_typed_becomes_the_settings_type(kind: Any, text: Any, value: Any) -> None:
    assert read(kind, text) == value


def test_words_in_place_of_a_number_are_refused_with_advice() -> None:
    with pytest.raises(UsageError, match="fast is no number"):
        read(15, "fast")


ANN = Peer(id="a" * 52, short_id="a" * 8, networks=["home"])
BOB = Peer(id="b" * 52, short_id="b" * 8, friend=True)
EVE = Peer(id="e" * 52, short_id="e" * 8)


@pytest.mark.parametrize(
    ("audience", "may"),
    [("nobody", ""), ("friends", "b"), ("network", "ab"), ("everyone", "abe")],
)
def test_who_may_use_a_service_is_said_as_trust_decides_it(audience: Any, may: str) -> None:
    grant = Grant(service="servent.blobs", audience=audience)
    assert "".join(peer.id[0] for peer in (ANN, BOB, EVE) if allowed(grant, peer)[0]) == may


def test_a_name_on_the_list_counts_and_a_block_beats_it() -> None:
    grant = Grant(service="servent.blobs", audience="nobody", peers=[EVE.id])
    assert allowed(grant, EVE) == (True, "named")
    blocked = Peer(id=EVE.id, short_id=EVE.short_id, blocked=True)
    assert allowed(grant, blocked) == (False, "blocked")


def test_a_service_that_says_its_version_is_listed_once() -> None:
    names = ("servent.core", "servent.core/ping", "servent.blobs", "servent.blobs/1", "my.app/1")
    grants = [Grant(service=name, audience="friends") for name in names]
    assert {grant.service for grant in in_use(grants)} == {"servent.core/ping", "servent.blobs/1", "my.app/1"}
