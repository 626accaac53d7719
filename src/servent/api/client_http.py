"""The way from a program to the node: requests, streams of lines, and what can go wrong on it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from servent.api import http1, schema
from servent.api.schema import API
from servent.errors import ServentError, WorldError

T = TypeVar("T")
FIRST_LINE = 60.0  # s of silence in a search: it waits for peers at most as long


class Later:
    """A module that is imported when something of it is asked for: of six schemas a command needs one or two."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._module), name)


class NodeDown(WorldError):
    """No node is running on this data directory."""

    advice = "Start it with `servent up`."


class NoAnswer(WorldError):
    """The node is there but did not answer in time."""

    advice = "`servent doctor` looks for the cause; the node's log says what it was doing."


class ApiError(ServentError):
    """The node said no. `kind` is the word of `Problem.type`: usage, not-found, refused, unreachable, …"""

    def __init__(self, problem: schema.Problem) -> None:
        super().__init__(problem.detail or problem.title, advice=problem.advice)
        self.problem = problem
        self.status = problem.status
        self.kind = problem.type.rpartition(":")[2]


class Http:
    """One node at `url`, with a token. What the clients build on."""

    def __init__(self, url: str, token: str, *, timeout: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._token = token

    def _get(self, target: str, kind: type[T], *, timeout: float | None = -1.0) -> T:
        return self._request("GET", target, kind, None, timeout)

    def _send(
        self,
        method: str,
        target: str,
        kind: type[T],
        body: msgspec.Struct | None = None,
        *,
        timeout: float | None = -1.0,
    ) -> T:
        return self._request(method, target, kind, body, timeout)

    def _request(
        self, method: str, target: str, kind: type[T], body: msgspec.Struct | None, timeout: float | None
    ) -> T:
        answer = self.request(
            method, API + target, None if body is None else msgspec.json.encode(body), timeout=timeout
        )
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except msgspec.MsgspecError as wrong:
            raise NoAnswer(f"the node's answer does not fit this version: {wrong}") from wrong

    def request(
        self, method: str, target: str, body: bytes | None = None, *, timeout: float | None = -1.0
    ) -> http1.Answer:
        """Any path of the API, for what has no method here. Raises as the others do; 2xx only is returned."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        try:
            answer = http1.request(
                self.url, method, target, headers, body, self.timeout if timeout == -1.0 else timeout
            )
        except ConnectionRefusedError as wrong:
            raise NodeDown(f"no node answers at {self.url}") from wrong
        except TimeoutError as wrong:
            raise NoAnswer(f"the node at {self.url} did not answer in time") from wrong
        except OSError as wrong:
            raise NoAnswer(f"the connection to the node broke: {wrong}") from wrong
        if not 200 <= answer.status < 300:
            raise ApiError(_problem(answer))
        return answer

    def _stream(self, target: str, kind: type[T], timeout: float | None) -> Iterator[T]:
        """What comes line by line, each a `kind`. Closing the iterator hangs up."""
        decoder = msgspec.json.Decoder(kind)
        for line in self._lines(target, "application/x-ndjson", timeout):
            if line:
                try:
                    yield decoder.decode(line)
                except msgspec.MsgspecError as wrong:
                    raise NoAnswer(f"the node's answer does not fit this version: {wrong}") from wrong

    def _lines(self, target: str, accept: str, timeout: float | None) -> Iterator[str]:
        """Lines of a streamed answer as they come. `timeout`: seconds of silence. Closing the iterator hangs up."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": accept}
        try:
            exchange = http1.Exchange(self.url, "GET", API + target, headers, None, timeout)
        except ConnectionRefusedError as wrong:
            raise NodeDown(f"no node answers at {self.url}") from wrong
        except OSError as wrong:
            raise NodeDown("the node does not answer") from wrong
        try:
            if exchange.status != 200:
                raise ApiError(_problem(exchange.read()))
            yield from exchange.lines()
        except OSError as wrong:
            raise NoAnswer(f"the stream from the node broke: {wrong}") from wrong
        finally:
            exchange.close()


def part(text: str) -> str:
    """`text` as one part of a path."""
    return quote(text, safe="")


def _problem(answer: http1.Answer) -> schema.Problem:
    try:
        return msgspec.json.decode(answer.body, type=schema.Problem)
    except msgspec.MsgspecError:
        kind = {401: "unauthorized", 403: "refused", 404: "not-found"}.get(answer.status, "world")
        return schema.Problem(
            type=f"urn:servent:{kind}", title=f"the node answered {answer.status}", status=answer.status
        )
