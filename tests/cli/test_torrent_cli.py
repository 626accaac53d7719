"""`servent torrent …`, `send --torrent` and `get FILE.torrent`, against a real daemon around a node in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servent.cli.main import run
from servent.torrent import metafile
from tests.api.fake_torrent import V1, V2
from tests.api.running import fake_daemon

Servent = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.fixture
def servent(folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Servent:
    monkeypatch.delenv("SERVENT_DATA_DIR", raising=False)

    def go(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(["--data-dir", str(folder), *words])
        out, err = capfd.readouterr()
        return code, out, err

    return go


def test_status_and_lists_say_what_there_is(servent: Servent) -> None:
    code, out, _ = servent("torrent", "status")
    assert code == 0 and "open on port 40123" in out and "312 nodes known" in out
    assert "1 fetched" in out and "seeded" in out
    code, out, _ = servent("torrent", "ls")
    assert code == 0 and "An old release\tv1\tdownloading" in out and "its files changed" in out
    assert servent("torrent", "ls", "--quiet")[1].split()[:2] == [V2, V1]
    code, out, _ = servent("torrent", "peers", V2[:8])
    assert code == 0 and "qBittorrent/4.5.2" in out
    assert json.loads(servent("torrent", "peers", V2[:8], "--json")[1])[0]["progress"] == 0.5


def test_a_folder_added_to_the_library_is_seeded_too_once_it_is_hashed(
    servent: Servent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "servent.cli.library._hashed", lambda client, folder: folder
    )  # the fake hashes for ever
    folder = tmp_path / "private"
    folder.mkdir()
    assert servent("send", str(folder), "--json")[0] == 0  # by which the fake knows it
    for audience in (["--for", "friends"], []):
        code, _, err = servent("library", "add", str(folder), *audience, "--torrent")
        assert code == 2 and "to everybody" in err and "--yes" in err
    code, out, _ = servent("library", "list", "--json")
    assert all(one["path"] != str(folder) for one in json.loads(out)), "it asks before anything is shared"
    code, out, _ = servent("library", "add", str(folder), "--for", "friends", "--torrent", "--yes", "--json")
    assert code == 0 and len(json.loads(out)["infohash_v2"]) == 64


def test_what_is_sent_is_seeded_too_once_it_is_confirmed(servent: Servent, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    code, _, err = servent("send", str(tmp_path / "private"), "--torrent")
    assert code == 2 and "your friends only" in err and "--yes" in err
    code, out, _ = servent("send", str(tmp_path / "private"), "--torrent", "--hybrid", "--yes")
    assert code == 0 and "seeded to BitTorrent (hybrid)" in out and "infohash v1" in out
    code, out, _ = servent("torrent", "seed", "private", "--yes", "--json")
    made = json.loads(out)
    assert code == 0 and made["version"] == "v2"
    assert "no longer" in servent("torrent", "unseed", made["id"])[1]
    assert servent("torrent", "unseed", made["id"])[0] == 4
    assert servent("send", str(tmp_path), "--yes")[0] == 2
    assert servent("send", str(tmp_path), "--torrent", "--code")[0] == 2


def test_a_torrent_file_goes_out_and_comes_in(servent: Servent, tmp_path: Path) -> None:
    target = tmp_path / "out.torrent"
    assert servent("torrent", "export", V2, "-o", str(target))[0] == 0
    assert metafile.decode(target.read_bytes()).name == "a"
    code, _, err = servent("torrent", "export", V2, "-o", str(target))
    assert code == 2 and "--force" in err
    assert servent("torrent", "export", V2, "-o", str(target), "--force")[0] == 0
    assert servent("torrent", "export", V2, "-o", str(tmp_path))[1].strip() == str(tmp_path / "a.torrent")
    code, out, _ = servent("torrent", "add", str(target), "--to", str(tmp_path))
    assert code == 0 and "is being fetched" in out
    code, out, _ = servent("get", str(target), "--detach", "--json")
    assert code == 0 and json.loads(out)["name"] == "a"
    assert servent("torrent", "add", str(tmp_path / "none.torrent"))[0] == 4
    (tmp_path / "bad.torrent").write_bytes(b"d4:infode")
    code, _, err = servent("get", str(tmp_path / "bad.torrent"))
    assert code == 2 and "cannot be used" in err
