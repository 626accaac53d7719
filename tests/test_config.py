"""What config.toml may say, and what happens when it says something else."""

from pathlib import Path

import pytest

from servent import config
from servent.api import settings
from servent.errors import ServentError, UsageError


def change(folder: Path, key: str, text: str) -> config.Config:
    """What `servent config set` does."""
    settings.change(folder, {key: settings.parse_value(key, text)})
    return config.load(folder)


def test_no_file_means_defaults(tmp_path: Path) -> None:
    assert config.load(tmp_path) == config.Config()


def test_a_misspelt_key_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[net]\nlann = false\n")
    with pytest.raises(UsageError, match=r"config\.toml.*lann"):
        config.load(tmp_path)


def test_a_value_out_of_range_is_named_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[api]\nport = 70000\n")
    with pytest.raises(UsageError, match=r"api\.port"):
        config.load(tmp_path)


def test_broken_toml_says_where(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[net\n")
    with pytest.raises(UsageError, match="line 1"):
        config.load(tmp_path)


def test_set_keeps_comments_and_other_keys(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("# mine\n[net]\nlan = true # here\n")
    changed = change(tmp_path, "net.lan", "false")
    assert not changed.net.lan
    text = (tmp_path / "config.toml").read_text()
    assert "# mine" in text and "lan = false" in text
    assert config.load(tmp_path) == changed


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("node.name", "Ann of Göteborg", "Ann of Göteborg"),
        ("node.name", "42", "42"),
        ("net.relays", '["http://192.0.2.1:7443"]', ["http://192.0.2.1:7443"]),
        ("blobs.up_bytes_per_s", "1000000", 1_000_000),
    ],
)
def test_set_understands_what_people_type(tmp_path: Path, key: str, text: str, value: object) -> None:
    assert dict(config.walk(change(tmp_path, key, text)))[key] == value


def test_a_bad_set_changes_nothing(tmp_path: Path) -> None:
    change(tmp_path, "net.lan", "false")
    before = (tmp_path / "config.toml").read_bytes()
    for key, text in [("net.lan", "maybe"), ("net.nothing", "1"), ("api.port", "-1"), ("nowhere", "1")]:
        with pytest.raises(UsageError):
            change(tmp_path, key, text)
    assert (tmp_path / "config.toml").read_bytes() == before


def test_every_setting_is_explained() -> None:
    meanings = config.meanings()
    for key, _ in config.walk(config.Config()):
        section, name = key.split(".")
        assert f"`{name}`" in meanings[section], key


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"net": {"lan": "maybe"}}, "net.lan wants true or false"),
        ({"web": {"port": 99999}}, "web.port is above 65535"),
        ({"web": {"port": -1}}, "web.port is below 0"),
        ({"web": {"port": 1.5}}, "web.port wants a whole number"),
        ({"net": {"relays": 3}}, "net.relays wants a list"),
        ({"rendezvous": {"dht": True}}, "rendezvous.dht wants text"),
        ({"rendezvous": {"show": "all"}}, "rendezvous.show: Invalid enum value 'all'"),
        ({"rendezvous": {"servers": ["dns.example/pkarr"]}}, "rendezvous.servers"),
        ({"net": {"nonsense": 3}}, "unknown field `nonsense`"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_plain_words(
    values: dict[str, dict[str, object]], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        config.parse(values, "config.toml")


def test_the_relay_role_of_an_earlier_version_is_read_as_a_wish(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[relay]\nenabled = true\nport = 443\n")
    read = config.load(tmp_path)
    assert (read.roles.relay, read.relay.port) == ("on", 443)
    changed = change(tmp_path, "roles.relay", "off")
    assert changed.roles.relay == "off" and "enabled" not in (tmp_path / "config.toml").read_text()
    with pytest.raises(ServentError, match=r"relay\.enabled") as caught:
        change(tmp_path, "relay.enabled", "true")
    assert "roles.relay" in caught.value.advice


def test_a_role_is_auto_on_or_off(tmp_path: Path) -> None:
    assert set(config.Config().roles.__struct_fields__) == {"index", "relay", "observer", "store", "compute"}
    assert change(tmp_path, "roles.index", "on").roles.index == "on"
    with pytest.raises(UsageError):
        change(tmp_path, "roles.index", "perhaps")


@pytest.mark.parametrize(("mode", "index"), [("server", "on"), ("hybrid", "auto"), ("p2p", "on")])
def test_a_mode_stands_for_wishes(mode: str, index: str) -> None:
    made = config.Config()
    config.use_preset(made, mode)
    assert made.roles.index == index
    with pytest.raises(UsageError):
        config.use_preset(made, "anarchy")
