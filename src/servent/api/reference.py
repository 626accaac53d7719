"""Writes docs/api.md from the routes themselves: `python -m servent.api.reference > docs/api.md`."""

from __future__ import annotations

import re
import sys

import msgspec

from servent.api import (
    schema,
    schema_chains,
    schema_cluster,
    schema_credit,
    schema_doctor,
    schema_getting,
    schema_grid,
    schema_network,
    schema_pictures,
    schema_share,
    schema_sky,
    schema_talk,
    schema_torrent,
    schema_wasm,
)
from servent.api.routing import Call, Entry
from servent.api.server import COLLECTIONS

HEAD = """# The local API

Made from the routes; `python -m servent.api.reference > docs/api.md` writes it anew. A running node also
describes itself: `/docs` in the browser (after `servent open`), `/api/v1/openapi.json` for programs.

The node listens on 127.0.0.1 only. `api.json` in its data directory says where, `api.token` (mode 0600) holds
the token that may do everything; `servent token add` makes ones that may do less.

```
curl -H "X-API-Key: $(cat $(servent token path))" http://127.0.0.1:7700/api/v1/status
```

## Who is let in

In this order, for HTTP and WebSocket alike:

1. `Host` is 127.0.0.1, localhost or [::1] with the node's port, else 421. A foreign name that resolves to
   127.0.0.1 (DNS rebinding, as in CVE-2018-5702) ends here.
2. `Origin` is absent, or the node's or its page's own, else 403. There is no CORS.
3. `Authorization: Bearer TOKEN`, `X-API-Key: TOKEN`, or the page's session cookie, else 401. Never a token in
   an address.
4. What the cookie alone carries and what changes something also needs the browser's word that our own page
   sent it: our `Origin`, or `Sec-Fetch-Site: same-origin`; else 403.

A login link (`servent open`, `POST /login-link`) holds a code that is good once, for ten minutes, and is
exchanged for an HttpOnly, SameSite=Strict cookie whose name contains the node's id. Bodies are JSON
(`Content-Type: application/json`, else 415) and have at most 1 MiB (else 413).

Tokens have a scope: `read` looks, `control` also moves things, `admin` may do everything. Each includes the one
before. `control` may share and overwrite whatever the node's user can read and write: give it only to programs
that you would trust with your files.

## Errors

Every answer that is no success is `application/problem+json` (RFC 9457): `type` (`urn:servent:` and one of
usage, confirm, not-found, refused, unauthorized, unreachable, timeout, peer, disk, world, bug), `title`, `status`, `detail` (the
fact) and `advice` (the next step).

## Events

`GET /api/v1/events` as a WebSocket, or as server-sent events for curl and EventSource. `?topics=peers,transfers`
chooses (all when missing): status, reach, peers, transfers, shares, networks, shape, folders, wishes, feeds, codes, friends,
conversations, rooms, messages, presence, notices, talk, torrents, lending, joined, projects, batches, log. Each event is `{"seq": 17, "topic": "peers", "data": {…}}`.

- The first events hold everything. peers, transfers, shares, networks, folders, wishes, feeds, codes, friends, conversations,
  rooms, torrents, joined (a `JoinedProject` each), projects (`MyProject`) and batches (`Batch`) are tables: `{"full": true, "items": [rows], "gone": []}`; later ones hold rows that are new or changed, and the
  ids that are gone. `status`, `reach`, `shape`, `presence`, `talk` and `lending` are whole objects. `shape` (a `Shaping`) says that a
  network looks different, or a role changed; ask for what you show.
- `messages` (each a `Message`: new, delivered, or taken back), `notices` (each a `Notice`) and `log` (a line) are said once, as
  they happen. What was before is asked for: `GET /conversations/{conversation}/messages`, `GET /notices`.
- `codes`, `conversations`, `messages` and `notices` are for tokens of scope `control`: whoever reads a code can use it, and
  letters are not for programs that only look.
- Looked at twice a second, and only for topics somebody listens to; what changed in a long table comes as several
  events of some 500 rows.
- `?since=SEQ` (or `Last-Event-ID`) continues without a gap. What is too old, or of an earlier run, is answered by
  the topic `resync`, and full tables follow. The node remembers 10,000 events or 4 MiB.

## The numbers of a few transfers, fast

`GET /api/v1/transfers/lane` as a WebSocket, for bars that move. Say which rows are looked at, again whenever that
changes: `{"see": ["id", …]}`, 64 at most. What comes back, up to 30 times a second, is a list of
`[id, done_bytes, rate_bytes_per_s, eta_s]` of those that changed. 16 lanes at most; whoever reads slowly gets fewer.

## Search

`GET /api/v1/search?q=…` answers line by line (NDJSON, one `SearchEvent` each) as hits come in; the same `content`
again replaces the hit before. "done" is the last line. Whoever hangs up ends the search, here and at all peers.
"network" lines say how far each network is searched. `GET /api/v1/who-has?link=…` answers in the same way.

## Routes

All under `/api/v1`.
"""


def _name(kind: object) -> str:
    text = re.sub(r"[\w.]+\.(\w+)", r"\1", str(kind))
    return f"`{getattr(kind, '__name__', text) if isinstance(kind, type) and '[' not in text else text}`"


def _row(entry: Entry) -> str:
    call = Call(entry)
    takes = _name(call.body) if call.body is not None else ""
    if call.query is not None:
        takes += " ".join(f"`?{field.encode_name}=`" for field in msgspec.structs.fields(call.query))
    return f"| {entry.method} | `{entry.path}` | {entry.scope or 'open'} | {takes} | {_name(call.returns)} | {entry.summary} |"


def render() -> str:
    lines = [HEAD, "| | path | scope | takes | gives | |", "|---|---|---|---|---|---|"]
    lines += [_row(entry) for rooms in COLLECTIONS for entry in rooms.entries]
    lines += ["| GET | `/events` | read | `?topics=` `?since=` | `Event` | What happens, as it happens. |"]
    lines += ["", "## What is given and taken", ""]
    kinds = [
        kind
        for module in (
            schema,
            schema_doctor,
            schema_network,
            schema_share,
            schema_getting,
            schema_talk,
            schema_torrent,
            schema_grid,
            schema_chains,
            schema_pictures,
            schema_sky,
            schema_wasm,
            schema_cluster,
            schema_credit,
        )
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__
    ]
    for kind in kinds:
        fields = ", ".join(f"`{field.encode_name}`" for field in msgspec.structs.fields(kind))
        said = (
            " ".join((kind.__doc__ or "").split())
            if not (kind.__doc__ or "").startswith(kind.__name__ + "(")
            else ""
        )
        lines.append(f"**{kind.__name__}** {said} Fields: {fields}.".replace("  ", " "))
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(render())
