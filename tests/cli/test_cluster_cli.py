"""`servent grid cluster …`, against a real daemon around a node in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from servent.api.schema_cluster import Cluster, ClusterWorker, Machine
from servent.api.schema_grid import LendChange
from servent.cli.grid_cluster import _is, _seen
from servent.cli.main import run
from tests.api.running import client, fake_daemon

Servent = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.fixture
def cluster(folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Servent:
    monkeypatch.delenv("SERVENT_DATA_DIR", raising=False)

    def go(*line: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(["--data-dir", str(folder), "grid", "cluster", *line])
        out, err = capfd.readouterr()
        return code, out, err

    return go


def test_a_list_and_a_console(cluster: Servent) -> None:
    code, out, _ = cluster("ls")
    assert code == 0 and "servent://lab" in out and "works, submits" in out
    code, out, err = cluster("show", "lab")
    assert code == 0
    assert "10 workers, 8 tasks running, 56 waiting" in out
    assert "AMD Ryzen 9 7950X 16-Core Processor, 32 cores, 64.0 GB, NVIDIA GeForce RTX 4090" in out
    assert "somebody is at this machine" in out and "read_parquet" in out and "12 s" in out
    assert "group night: 2 machines, daily 22:00-07:00" in out
    assert "eve has other versions: distributed 2026.7.1, here 2026.8.0" in err
    code, out, _ = cluster("show", "lab", "--json")
    assert json.loads(out)["machines"][0]["hardware"]["gpus"] == ["NVIDIA GeForce RTX 4090"]


def test_from_up_to_down(cluster: Servent) -> None:
    code, out, err = cluster("up", "attic", "--wait", "0", "--cores", "2")
    assert code == 0 and out.startswith("servent-cluster:") and "its scheduler has not begun yet" in err
    answer = cluster("up", "attic")  # one that is known begins again
    assert answer[0] == 0, answer
    code, _, err = cluster("allow", "attic", "carl", "--submit")
    assert code == 0 and "servent grid cluster join servent-cluster:" in err
    code, out, _ = cluster("show", "attic", "--json")
    carl = next(one for one in json.loads(out)["machines"] if one["name"] == "carl")
    assert carl["work"] and carl["submit"]
    assert (
        cluster("group", "attic", "night", "--hours", "daily 22:00-07:00")[1]
        == "group night of attic works daily 22:00-07:00\n"
    )
    assert cluster("group", "attic", "night", "--remove")[1] == "group night of attic is gone\n"
    assert cluster("deny", "attic", "carl")[0] == 0
    assert cluster("deny", "attic", "carl")[0] == 4  # there is no such
    assert cluster("work", "attic", "--off")[1] == "this machine does not work in attic\n"
    assert "is down" in cluster("down", "attic")[1]
    code, _, err = cluster("leave", "attic")
    assert code == 2 and "--yes" in err  # nobody is here to ask
    assert cluster("leave", "attic", "--yes")[1] == "attic is gone\n"
    assert cluster("show", "attic")[0] == 4


def test_who_lends_by_making_a_cluster_is_told(cluster: Servent, folder: Path) -> None:
    node = client(folder)
    assert "lent from now on" not in cluster("up", "cellar", "--wait", "0")[2], "it was before"
    node.change_lending(LendChange(on=False))
    try:
        assert "lent" not in cluster("up", "shed", "--no-work", "--wait", "0")[2]
        code, _, err = cluster("up", "barn", "--wait", "0")
        assert (
            code == 0
            and "This machine is lent from now on, when-idle: " in err
            and "servent grid lend" in err
        )
    finally:
        node.change_lending(LendChange(on=True))


def test_whoever_joins_is_told_first_what_that_means(cluster: Servent) -> None:
    code, _, err = cluster("join", "servent-cluster:yyyy")
    assert code == 2 and "can run any program on this machine, as you" in err
    code, _, err = cluster("join", "servent-cluster:yyyy", "--yes")
    assert code == 5 and "not on the list" in err
    assert cluster("join", "nonsense", "--no-work")[0] == 2


def test_words_of_processes_and_the_dashboard(cluster: Servent) -> None:
    assert cluster("log", "lab")[1] == "distributed.scheduler: State start\n"
    assert cluster("log", "lab", "worker-9")[0] == 4
    code, _, err = cluster("dashboard", "lab", "--print")
    assert code == 2 and "without its page" in err


def test_a_member_sees_others_by_their_workers_and_the_owner_who_is_away() -> None:
    one = Machine(id="ann", name="ann", work=True)
    theirs = Cluster(
        id="c", name="lab", owner="ann", mine=False, workers=[ClusterWorker(name="a", node="ann")]
    )
    assert _is(one, theirs) == "1 worker"
    assert _is(one, replace(theirs, workers=[])) == "", "who is no owner is not told how it is there"
    assert _is(one, replace(theirs, mine=True)) == "away"


def test_a_member_is_shown_what_goes_on_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first question makes the node ask the owner; what it knew by then may be of yesterday."""
    old = Cluster(id="c", name="lab", owner="ann", mine=False, state="up", done=1)
    answers = [old, replace(old, done=2)]
    asked: list[str] = []

    class Node:
        def one_cluster(self, name: str) -> Cluster:
            asked.append(name)
            return answers[len(asked) - 1]

    monkeypatch.setattr("servent.cli.grid_cluster.ASKED_WITHIN", 0.0)
    assert _seen(Node(), "lab").done == 2 and asked == ["lab", "c"]  # type: ignore[arg-type]
    answers[0], asked = replace(old, mine=True), []
    assert _seen(Node(), "lab").done == 1 and asked == ["lab"], "its owner knows"  # type: ignore[arg-type]
