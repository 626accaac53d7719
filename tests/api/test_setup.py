"""The end of the first run's wizard, on a real node in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from servent import config as configuration
from servent.api import schema_getting as getting
from servent.api.adapter import NodeFace
from servent.api.adapter_setup import suggested
from servent.errors import DiskTrouble, UsageError
from tests.api.test_adapter import story


def test_the_name_is_kept_and_takes_effect_at_once(tmp_path: Path) -> None:
    async def told(ann: NodeFace, bob: NodeFace) -> None:
        assert not ann.setup().done
        done = await ann.finish_setup(getting.SetupDone(name="  attic \n PC "))
        assert (done.done, done.name) == (True, "attic PC")
        assert ann.status().name == "attic PC"
        kept = configuration.load(ann.data_dir)
        assert (kept.node.name, kept.node.wizard) == ("attic PC", False)
        again = await ann.finish_setup(getting.SetupDone())
        assert again.name == "attic PC"

    story(tmp_path, told)


@pytest.mark.parametrize("name", ["   ", "a\x07b", "\u202egnp"])
def test_a_name_nobody_could_read_is_refused(tmp_path: Path, name: str) -> None:
    async def told(ann: NodeFace, bob: NodeFace) -> None:
        with pytest.raises(UsageError):
            await ann.finish_setup(getting.SetupDone(name=name))
        assert not ann.setup().done

    story(tmp_path, told)


def test_a_config_that_cannot_be_written_leaves_the_wizard_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def told(ann: NodeFace, bob: NodeFace) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("servent.api.settings.change", full)
        with pytest.raises(DiskTrouble, match="No space left"):
            await ann.finish_setup(getting.SetupDone(name="attic"))
        assert not ann.setup().done

    story(tmp_path, told)


def test_the_suggestion_is_what_there_is_to_share(tmp_path: Path) -> None:
    assert suggested(tmp_path) == tmp_path / "Servent"
    (tmp_path / "Music").mkdir()
    (tmp_path / "Music" / ".hidden").write_text("x")
    assert suggested(tmp_path) == tmp_path / "Servent"
    (tmp_path / "Public").mkdir()
    (tmp_path / "Public" / "paper.pdf").write_text("x")
    assert suggested(tmp_path) == tmp_path / "Public"
    (tmp_path / "Music" / "song.mp3").write_text("x")
    assert suggested(tmp_path) == tmp_path / "Music"
