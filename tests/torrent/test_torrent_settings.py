"""The section `[torrent]` of the settings, as the session gets it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from servent.config import Config, NetSettings, RendezvousSettings, TorrentSettings, parse
from servent.errors import UsageError, WorldError
from servent.node import Node
from servent.torrent import session
from servent.torrent.settings import PASSWORD_MOST, PASSWORD_VARIABLE, settings_of
from servent.torrent.views import SessionSettings


def made(wanted: TorrentSettings, *bind: str, lan: bool = True, dht: bool = True) -> SessionSettings:
    return settings_of(wanted, bind=bind, lan=lan, dht=dht)


def test_it_listens_where_the_node_does_unless_told() -> None:
    assert made(TorrentSettings()).listen == ()
    assert made(TorrentSettings(), "127.0.0.1:0", "[::1]:5", "127.0.0.1:9").listen == ("127.0.0.1", "[::1]")
    assert made(TorrentSettings(hosts=["10.0.0.1"]), "127.0.0.1:0").listen == ("10.0.0.1",)


def test_who_says_nothing_on_the_local_network_says_nothing_of_torrents_there_either() -> None:
    assert made(TorrentSettings()).local
    assert not made(TorrentSettings(), lan=False).local


def test_a_proxy_needs_a_place_and_its_password_stands_in_no_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with pytest.raises(UsageError, match="socks5"):
        made(TorrentSettings(proxy="socks5", proxy_host="here"))
    file = tmp_path / "password"
    wanted = TorrentSettings(
        proxy="socks5", proxy_host="here", proxy_port=1080, proxy_user="me", proxy_password_file=str(file)
    )
    with pytest.raises(WorldError, match="password"):
        made(wanted)
    file.write_text("hush hush\nmore\n")
    proxy = made(wanted).proxy
    assert proxy is not None and (proxy.user, proxy.password) == ("me", "hush hush")
    monkeypatch.setenv(PASSWORD_VARIABLE, "louder")
    proxy = made(wanted).proxy
    assert proxy is not None and proxy.password == "louder" and "louder" not in repr(proxy)
    monkeypatch.delenv(PASSWORD_VARIABLE)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(WorldError):
        made(wanted)
    file.write_bytes(b"x" * PASSWORD_MOST * 9)
    proxy = made(wanted).proxy
    assert proxy is not None and len(proxy.password) == PASSWORD_MOST


def test_i2p_has_no_dht() -> None:
    dark = made(TorrentSettings(proxy="i2p", proxy_host="127.0.0.1", proxy_port=7656))
    assert dark.dht and not dark.uses_dht


@pytest.mark.parametrize("node", ["", "host", "host:", "host:0", "host:70000", "host:x"])
def test_a_node_of_the_dht_has_host_and_port(node: str) -> None:
    with pytest.raises(UsageError, match="dht_nodes"):
        made(TorrentSettings(dht_nodes=[node]))


@pytest.mark.parametrize(
    "wrong",
    [{"proxy": "tor"}, {"connections": 1}, {"port": -1}, {"dht_serve": "maybe"}, {"proxy_password": "x"}],
)
def test_what_is_out_of_range_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        parse({"torrent": wrong}, "config.toml")


@pytest.mark.parametrize(
    ("wish", "relays", "wanted"),
    [
        ("auto", ["public"], True),
        ("auto", [], False),
        ("auto", ["http://relay.example"], False),
        ("on", [], True),
        ("off", ["public"], False),
    ],
)
def test_the_dht_is_on_by_itself_where_other_public_places_know_of_us_too(
    tmp_path: Path, wish: Literal["auto", "on", "off"], relays: list[str], wanted: bool
) -> None:
    pytest.importorskip("libtorrent")
    config = Config(net=NetSettings(relays=relays), rendezvous=RendezvousSettings(dht=wish))
    node = Node(tmp_path, config)
    node.config = config
    assert node._wants_dht() is wanted


def test_without_libtorrent_there_is_none_and_who_asked_for_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session, "find_spec", lambda name: None)
    for wish, told in (("auto", False), ("on", True)):
        caplog.clear()
        config = Config(rendezvous=RendezvousSettings(dht=wish))  # type: ignore[arg-type]
        node = Node(tmp_path, config)
        node.config = config
        assert not node._wants_dht()
        assert ("servent[torrent]" in caplog.text) is told
