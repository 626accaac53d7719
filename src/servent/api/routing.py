"""From a typed Python function to an HTTP route with its OpenAPI description, on Starlette and msgspec.

Not FastAPI: its import alone costs 19 MB (measured: 78 MB for iroh, zeroconf, uvicorn and FastAPI idle in one
process, 62 MB with Starlette), and an idle node has 70 MB in all. What a handler's signature says is checked
before it runs: `body` is decoded strictly from JSON, `query` from the query string, everything else is a part
of the path.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, TypeVar, get_type_hints

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from servent.api.keys import includes
from servent.api.schema import API, Problem, Scope
from servent.codec import plainly
from servent.errors import (
    DiskTrouble,
    Doubtful,
    NotFound,
    PeerError,
    Refused,
    ServentError,
    Unreachable,
    UsageError,
)

log = logging.getLogger("servent.api")

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])
Row = TypeVar("Row")
MAX_PATH_PART = 256


class Entry(NamedTuple):
    """One route. `handler(ctx, …)` gets what its signature names and returns what its annotation says."""

    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    scope: Scope | None  # None: open to all who pass Host and Origin
    summary: str
    problems: tuple[int, ...]


class Routes:
    """Collects the routes of one module."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.entries: list[Entry] = []

    def add(
        self, method: str, path: str, scope: Scope | None = "control", problems: Iterable[int] = ()
    ) -> Callable[[F], F]:
        def note(handler: F) -> F:
            summary = (handler.__doc__ or "").strip().split("\n")[0]
            self.entries.append(Entry(method, path, handler, scope, summary, tuple(problems)))
            return handler

        return note


class ProblemError(Exception):
    """A handler's answer that is no success and has no family of errors of its own."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def problem_of(error: BaseException) -> Problem:
    """How an error looks from outside: whose move it is decides the status."""
    kinds: list[tuple[type[BaseException], int, str, str]] = [
        (Doubtful, 409, "confirm", "look at this first"),
        (NotFound, 404, "not-found", "not found"),
        (UsageError, 400, "usage", "cannot be done as asked"),
        (Refused, 403, "refused", "refused"),
        (PeerError, 502, "peer", "the other side broke the protocol"),
        (Unreachable, 504, "unreachable", "no path to the peer"),
        (TimeoutError, 504, "timeout", "no answer in time"),
        (DiskTrouble, 507, "disk", "the disk said no"),
        (ServentError, 503, "world", "network, disk or permissions stood in the way"),
    ]
    if isinstance(error, ProblemError):
        return error.problem
    for kind, status, word, title in kinds:
        if isinstance(error, kind):
            advice = error.advice if isinstance(error, ServentError) else ""
            detail = str(error) or title
            return Problem(
                type=f"urn:servent:{word}", title=title, status=status, detail=detail, advice=advice
            )
    return Problem(
        type="urn:servent:bug",
        title="a mistake in servent",
        status=500,
        detail=f"the node made a mistake ({type(error).__name__}); its log holds the details",
        advice="`servent bugreport` packs what helps to find it.",
    )


def respond(problem: Problem) -> Response:
    return Response(msgspec.json.encode(problem), problem.status, media_type="application/problem+json")


class Call:
    """A handler with everything about its signature worked out once."""

    def __init__(self, entry: Entry) -> None:
        hints = get_type_hints(entry.handler, include_extras=True)
        self.entry = entry
        self.returns: Any = hints.pop("return", None)
        self.body: Any = hints.pop("body", None)
        self.query: Any = hints.pop("query", None)
        names = list(inspect.signature(entry.handler).parameters)
        self.parts = [name for name in names if name not in ("ctx", "body", "query", "request")]
        self.wants_request = "request" in names
        missing = set(self.parts) ^ set(re.findall(r"{(\w+)", entry.path))
        if missing:
            raise TypeError(f"{entry.method} {entry.path}: path and signature differ in {missing}")
        self.body_optional = self.body is not None and (
            inspect.signature(entry.handler).parameters["body"].default is not inspect.Parameter.empty
        )

    async def arguments(self, request: Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {name: request.path_params[name] for name in self.parts}
        for value in arguments.values():
            if not value or len(value) > MAX_PATH_PART or not value.isprintable():
                raise NotFound("nothing has a name like that")
        if self.query is not None:
            try:
                arguments["query"] = msgspec.convert(dict(request.query_params), self.query, strict=False)
            except msgspec.ValidationError as wrong:
                raise UsageError(f"the query: {wrong}") from wrong
        if self.body is not None:
            raw = await request.body()
            if raw or not self.body_optional:
                arguments["body"] = self._decode(request, raw)
        if self.wants_request:
            arguments["request"] = request
        return arguments

    def _decode(self, request: Request, raw: bytes) -> Any:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ProblemError(
                Problem(
                    type="urn:servent:usage",
                    title="bodies are JSON",
                    status=415,
                    detail="a body needs Content-Type: application/json",
                )
            )
        try:
            return msgspec.json.decode(raw, type=self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
            raise UsageError(plainly(wrong)) from wrong


def routes_for(collections: Iterable[Routes], ctx: Any) -> list[Route]:
    """Starlette's routes; a handler's ServentError becomes a problem, any other error is logged and a 500."""
    by_path: dict[str, dict[str, Call]] = {}
    for collection in collections:
        for entry in collection.entries:
            by_path.setdefault(entry.path, {})[entry.method] = Call(entry)
    return [
        Route(API + path, _endpoint(calls, ctx), methods=list(calls), name=path)
        for path, calls in by_path.items()
    ]


def _endpoint(calls: dict[str, Call], ctx: Any) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        call = calls["GET" if request.method == "HEAD" else request.method]
        granted: Scope | None = request.scope.get("servent_scope")
        needed = call.entry.scope
        if needed is not None and (granted is None or not includes(granted, needed)):
            return respond(
                Problem(
                    type="urn:servent:refused",
                    title="this token may not do that",
                    status=403,
                    detail=f"it needs a token for {needed}; this one is for {granted or 'nothing'}",
                    advice="`servent token add --scope control --name NAME` makes one.",
                )
            )
        try:
            result = await call.entry.handler(ctx, **await call.arguments(request))
        except (ServentError, TimeoutError, ProblemError) as error:
            return respond(problem_of(error))
        except Exception as error:
            log.exception("%s %s failed", request.method, call.entry.path)
            return respond(problem_of(error))
        if isinstance(result, Response):
            return result
        return Response(msgspec.json.encode(result), media_type="application/json")

    return endpoint


def pick(
    rows: Iterable[Row], wanted: str, names: Callable[[Row], tuple[str, ...]], what: str, advice: str
) -> Row:
    """The row that `wanted` names; failing that, the only one whose first name (its id) begins with it.

    Raises:
        NotFound: none, or several.
    """
    rows = list(rows)
    found = [row for row in rows if wanted == names(row)[0]] or [row for row in rows if wanted in names(row)]
    found = found or [row for row in rows if names(row)[0].startswith(wanted)]
    if len(found) != 1:
        said = f"several match {wanted[:80]!r}" if found else f"there is no {what} {wanted[:80]!r}"
        raise NotFound(said, advice=f"Give the id. {advice}" if found else advice)
    return found[0]


# OpenAPI


def openapi(collections: Iterable[Routes], version: str) -> dict[str, Any]:
    """The description of every route, OpenAPI 3.1 with JSON Schema from the Structs."""
    calls = [(collection.tag, Call(entry)) for collection in collections for entry in collection.entries]
    kinds: list[Any] = [Problem]
    for _, call in calls:
        kinds += [kind for kind in (call.returns, call.body) if _described(kind)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    by_kind = {repr(kind): found for kind, found in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for tag, call in calls:
        entry = call.entry
        operation: dict[str, Any] = {
            "operationId": entry.handler.__name__,
            "summary": entry.summary,
            "tags": [tag],
            "responses": _responses(call, by_kind),
        }
        parameters = [
            {
                "name": part,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1, "maxLength": MAX_PATH_PART},
            }
            for part in call.parts
        ]
        if call.query is not None:
            parameters += _query_parameters(call.query)
        if parameters:
            operation["parameters"] = parameters
        if call.body is not None:
            operation["requestBody"] = {
                "required": not call.body_optional,
                "content": {"application/json": {"schema": by_kind[repr(call.body)]}},
            }
        if entry.scope is None:
            operation["security"] = []
        else:
            operation["description"] = f"Needs a token for `{entry.scope}`."
        paths.setdefault(API + entry.path, {})[entry.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "servent", "version": version, "description": "The local API of a node."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


def _described(kind: Any) -> bool:
    return kind is not None and not (isinstance(kind, type) and issubclass(kind, Response))


def _responses(call: Call, by_kind: dict[str, Any]) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": by_kind[repr(Problem)]}}
    good: dict[str, Any] = {"description": "done"}
    if _described(call.returns):
        good["content"] = {"application/json": {"schema": by_kind[repr(call.returns)]}}
    found: dict[str, Any] = {"200": good}
    statuses = {421, 403, *call.entry.problems}
    if call.entry.scope is not None:
        statuses |= {401}
    if call.body is not None:
        statuses |= {400, 413, 415}
    if call.query is not None:
        statuses |= {400}
    if call.parts:
        statuses |= {404}
    for status in sorted(statuses):
        found[str(status)] = {"description": "see the problem's detail and advice", "content": problem}
    return found


def _query_parameters(kind: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": field.encode_name,
            "in": "query",
            "required": field.required,
            "schema": msgspec.json.schema(field.type),
        }
        for field in msgspec.structs.fields(kind)
    ]
