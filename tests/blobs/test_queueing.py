"""The section `queue` as people write it, and the command after a download that nobody's file name can bend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent import config
from servent.blobs.queueing import PeerRates, Queue, command, filled, parse_peer, parse_rule, rule_text
from servent.blobs.schedule import DAY, Rule
from servent.errors import UsageError
from servent.identity import PeerId

ANN = PeerId(bytes(range(32)))


@given(
    st.builds(
        Rule,
        st.frozensets(st.integers(0, 6), min_size=1),
        st.integers(0, DAY - 1),
        st.integers(0, DAY - 1),
        st.sampled_from([None, 5000.0]),
        st.sampled_from([None, 90000.0]),
        st.just(True),
    )
)
def test_a_rule_reads_as_it_is_written(rule: Rule) -> None:
    assert parse_rule(rule_text(rule)) == rule


def test_what_is_written_to_the_file_is_what_the_file_takes() -> None:
    queue = Queue(
        3,
        (parse_rule("sat,sun 22:00-06:00 up=5000"), parse_rule("weekdays 08:00-18:00 pause")),
        {ANN: PeerRates(up=7000.0)},
        "beep",
        True,
        None,
    )
    values = {key.removeprefix("queue."): value for key, value in queue.written().items()}
    assert Queue.of(config.parse({"queue": values}, "test").queue) == queue


@pytest.mark.parametrize(
    "text",
    [
        "",
        "daily",
        "daily 8-9 pause",
        "someday 08:00-09:00 pause",
        "daily 08:00-09:00",
        "daily 08:00-25:00 up=1",
    ],
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"queue\.schedule"):
        parse_rule(text)


@pytest.mark.parametrize("text", [f"{ANN} pause", f"{ANN} up=12", "ann up=5000", f"{ANN}"])
def test_what_is_no_peer_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_peer(text)


@pytest.mark.parametrize(
    "template",
    [
        "{path}",
        "'{name}' x",
        "sh -c 'echo {name}'",
        "python -c {name}",
        "powershell -Command {path}",
        "'unclosed",
    ],
)
def test_a_command_that_would_run_a_name_is_refused(template: str) -> None:
    with pytest.raises(UsageError, match="on_complete"):
        command(template)


def test_no_command_is_none() -> None:
    assert command("") == [] == filled([], path="", name="", size=0, infohash="")


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_name_stays_one_word_and_never_an_option(path: str, name: str) -> None:
    words = filled(
        command("mv --to={name} {name} {path} plain -v"), path="/" + path, name=name, size=5, infohash="aa"
    )
    assert len(words) == 6 and words[0] == "mv" and words[4:] == ["plain", "-v"]
    assert words[1] == f"--to={name}"
    assert words[2] == (f"./{name}" if name.startswith("-") else name)
    assert words[3] == "/" + path
