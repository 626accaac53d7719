"""Talks to a running node: what `cli`, `web` and anyone's scripts use. Imports little, so commands start fast.

`Client` is synchronous and safe to call from several threads (each request has its own connection). On an
event loop: `await asyncio.to_thread(client.peers)`, and `async for event in client.watch("peers")`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from servent.api import schema
from servent.api.client_cluster import ClusterClient
from servent.api.client_grid import GridClient
from servent.api.client_http import ApiError, NoAnswer, NodeDown, part
from servent.api.client_network import NetworkClient
from servent.api.client_share import ShareClient
from servent.api.client_talk import TalkClient
from servent.api.client_torrent import TorrentClient
from servent.api.lock import is_held
from servent.api.schema import API, TOPICS
from servent.errors import UsageError

__all__ = [
    "ApiError", "Client", "NoAnswer", "NodeDown", "default_data_dir", "read_api_file", "read_token", "to_dict",
]  # fmt: skip

API_FILE = "api.json"
TOKEN_FILE = "api.token"


def default_data_dir() -> Path:
    """SERVENT_DATA_DIR, or the platform's place for an application's data."""
    if given := os.environ.get("SERVENT_DATA_DIR"):
        return Path(given).expanduser()
    platform: str = sys.platform  # a variable, so that mypy looks at both branches
    if platform == "linux":  # as platformdirs does it, without its import on every command
        base = os.environ.get("XDG_DATA_HOME", "")
        return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "share") / "servent"
    import platformdirs

    return Path(platformdirs.user_data_dir("servent", appauthor=False))


class Client(ShareClient, NetworkClient, TalkClient, TorrentClient, GridClient, ClusterClient):
    """One node's API. Every method raises ApiError, NodeDown or NoAnswer, and nothing else on purpose."""

    @classmethod
    def from_data_dir(cls, data_dir: Path | None = None, *, timeout: float = 30.0) -> Client:
        """The client of the node that runs on `data_dir`.

        Raises:
            NodeDown: none does.
        """
        folder = data_dir or default_data_dir()
        if not is_held(folder):
            raise NodeDown(f"no node is running on {folder}")
        return cls(read_api_file(folder).url, read_token(folder), timeout=timeout)

    # the node

    def ping_api(self) -> schema.Ping:
        return self._get("/ping", schema.Ping)

    def health(self) -> schema.Health:
        return self._get("/health", schema.Health)

    def status(self) -> schema.Status:
        return self._get("/status", schema.Status)

    def id(self) -> schema.NodeId:
        return self._get("/id", schema.NodeId)

    def backup_id(self, passphrase: str) -> schema.Backup:
        return self._send("POST", "/id/backup", schema.Backup, schema.Passphrase(passphrase))

    def doctor(self) -> schema.Doctor:
        return self._get("/doctor", schema.Doctor, timeout=60.0)

    def shutdown(self) -> None:
        self._send("POST", "/shutdown", schema.Done)

    def restart_web(self) -> None:
        self._send("POST", "/web/restart", schema.Done)

    def login_link(self) -> schema.LoginLink:
        return self._send("POST", "/login-link", schema.LoginLink)

    def tokens(self) -> list[schema.Token]:
        return self._get("/tokens", list[schema.Token])

    def add_token(self, name: str, scope: schema.Scope = "read") -> schema.Token:
        return self._send("POST", "/tokens", schema.Token, schema.NewToken(name=name, scope=scope))

    def remove_token(self, name: str) -> None:
        self._send("DELETE", f"/tokens/{part(name)}", schema.Done)

    def rotate_token(self) -> None:
        """A new admin token; this client's is worth nothing afterwards."""
        self._send("POST", "/tokens/rotate", schema.Done)

    # tickets

    def ticket(self, *, once: bool = False, lifetime: float | None = None) -> schema.Ticket:
        wish = schema.TicketRequest(once=once, lifetime=lifetime)
        return self._send("POST", "/ticket", schema.Ticket, wish)

    def join(self, ticket: str) -> schema.Joined:
        return self._send(
            "POST", "/join", schema.Joined, schema.JoinRequest(ticket=ticket), timeout=max(60.0, self.timeout)
        )

    # peers

    def peers(self) -> list[schema.Peer]:
        return self._get("/peers", list[schema.Peer])

    def ping(self, peer: str, count: int = 4) -> schema.PingResult:
        return self._send(
            "POST", f"/peers/{part(peer)}/ping?count={count}", schema.PingResult, timeout=30.0 + 2.0 * count
        )

    def change_peer(
        self,
        peer: str,
        *,
        petname: str | None = None,
        friend: bool | None = None,
        blocked: bool | None = None,
    ) -> schema.Peer:
        wish = schema.PeerChange(petname=petname, friend=friend, blocked=blocked)
        return self._send("PATCH", f"/peers/{part(peer)}", schema.Peer, wish)

    def forget_peer(self, peer: str) -> None:
        self._send("DELETE", f"/peers/{part(peer)}", schema.Done)

    def grants(self) -> list[schema.Grant]:
        return self._get("/grants", list[schema.Grant])

    def set_grant(
        self, service: str, audience: schema.Audience, peers: list[str] | None = None
    ) -> list[schema.Grant]:
        wish = schema.Grant(service=service, audience=audience, peers=peers or [])
        return self._send("PUT", "/grants", list[schema.Grant], wish)

    def unset_grant(self, service: str) -> list[schema.Grant]:
        """Back to who may use it by default."""
        return self._send("DELETE", "/grants?" + urlencode({"service": service}), list[schema.Grant])

    # files

    def shares(self) -> list[schema.Share]:
        return self._get("/shares", list[schema.Share])

    def share(self, share: str) -> schema.Share:
        return self._get(f"/shares/{part(share)}", schema.Share)

    def add_share(self, path: str, *, wait: bool = False) -> schema.Share:
        """With `wait`, returns once the link exists; hashing may take as long as the disk needs."""
        wish = schema.NewShare(path=path, wait=wait)
        return self._send("POST", "/shares", schema.Share, wish, timeout=None if wait else self.timeout)

    def remove_share(self, share: str) -> None:
        self._send("DELETE", f"/shares/{part(share)}", schema.Done)

    def download(self, link: str, to: str | None = None, files: Sequence[str] = ()) -> schema.Transfer:
        """`files`: patterns; only files inside that match one."""
        wish = schema.NewDownload(link=link, to=to, files=list(files))
        return self._send("POST", "/downloads", schema.Transfer, wish)

    def transfers(self) -> list[schema.Transfer]:
        return self._get("/transfers", list[schema.Transfer])

    def transfer(self, transfer: str) -> schema.Transfer:
        return self._get(f"/transfers/{part(transfer)}", schema.Transfer)

    def pause(self, transfer: str) -> schema.Transfer:
        return self._send("POST", f"/transfers/{part(transfer)}/pause", schema.Transfer)

    def resume(self, transfer: str) -> schema.Transfer:
        return self._send("POST", f"/transfers/{part(transfer)}/resume", schema.Transfer)

    def cancel(self, transfer: str) -> schema.Transfer:
        return self._send("POST", f"/transfers/{part(transfer)}/cancel", schema.Transfer)

    def verify(self, transfer: str) -> schema.Transfer:
        return self._send("POST", f"/transfers/{part(transfer)}/verify", schema.Transfer)

    def remove_transfer(self, transfer: str) -> None:
        self._send("DELETE", f"/transfers/{part(transfer)}", schema.Done)

    def limits(self) -> schema.Limits:
        return self._get("/limits", schema.Limits)

    def set_limits(self, limits: schema.Limits) -> schema.Limits:
        return self._send("PUT", "/limits", schema.Limits, limits)

    # settings

    def config(self) -> schema.Config:
        return self._get("/config", schema.Config)

    def change_config(self, values: dict[str, str | int | float | bool | list[str] | None]) -> schema.Config:
        return self._send("PATCH", "/config", schema.Config, schema.ConfigChange(values=values))

    # events

    def events(self, *topics: str, since: int | None = None) -> Iterator[schema.Event]:
        """Events as they happen, over server-sent events; ends when the node stops. Blocks between them."""
        decoder = msgspec.json.Decoder(schema.Event)
        target = "/events?" + _event_query(topics, since)
        for line in self._lines(target, "text/event-stream", 60.0):
            if line.startswith("data: "):
                try:
                    yield decoder.decode(line[6:])
                except msgspec.MsgspecError as wrong:
                    raise NoAnswer(f"the event stream broke: {wrong}") from wrong

    async def watch(self, *topics: str, since: int | None = None) -> AsyncIterator[schema.Event]:
        """The same over WebSocket, for an event loop; reconnects by itself and continues without a gap.

        Yields nothing while the node is away; on return the node sends full tables again. Never ends by
        itself: cancel it. A refused token raises ApiError.
        """
        import asyncio

        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus, WebSocketException

        decoder = msgspec.json.Decoder(schema.Event)
        last, wait = since, 0.2
        while True:
            url = "ws" + self.url.removeprefix("http") + API + "/events?" + _event_query(topics, last)
            try:
                async with connect(
                    url,
                    additional_headers={"Authorization": f"Bearer {self._token}"},
                    max_size=64 * 1024 * 1024,
                    compression=None,
                    proxy=None,
                ) as socket:
                    wait = 0.2
                    async for text in socket:
                        event = decoder.decode(text)
                        last = event.seq
                        yield event
            except InvalidStatus as wrong:
                status = wrong.response.status_code
                if status in (401, 403, 421):
                    raise ApiError(
                        schema.Problem(type="urn:servent:unauthorized", title="refused", status=status)
                    ) from wrong
            except (OSError, WebSocketException, TimeoutError):
                pass  # the node is away: try again below
            await asyncio.sleep(wait)
            wait = min(wait * 2, 5.0)


def read_api_file(data_dir: Path) -> schema.ApiFile:
    """Raises NodeDown when no node runs on `data_dir`, or left its file behind when it was killed."""
    try:
        return msgspec.json.decode((data_dir / API_FILE).read_bytes(), type=schema.ApiFile)
    except FileNotFoundError:
        raise NodeDown(f"no node is running on {data_dir}") from None
    except (OSError, msgspec.MsgspecError) as wrong:
        raise NodeDown(f"{data_dir / API_FILE} is not readable: {wrong}") from wrong


def read_token(data_dir: Path) -> str:
    """The admin token of the node on `data_dir`."""
    try:
        text = (data_dir / TOKEN_FILE).read_text("ascii").strip()
    except FileNotFoundError:
        raise NodeDown(f"no node has run on {data_dir} yet") from None
    except PermissionError as wrong:
        raise UsageError(
            f"{data_dir / TOKEN_FILE} is not yours to read",
            advice="The node belongs to another user; run the command as that user.",
        ) from wrong
    except (OSError, UnicodeDecodeError) as wrong:
        raise NodeDown(f"{data_dir / TOKEN_FILE} is not readable") from wrong
    return text


def to_dict(value: Any) -> Any:
    """A Struct, or a list of them, as plain dicts."""
    return msgspec.to_builtins(value)


def _event_query(topics: tuple[str, ...], since: int | None) -> str:
    unknown = [topic for topic in topics if topic not in TOPICS]
    if unknown:
        raise UsageError(f"no such topic: {', '.join(unknown)}", advice=f"There are {', '.join(TOPICS)}.")
    query = {"topics": ",".join(topics)} if topics else {}
    if since is not None:
        query["since"] = str(since)
    return urlencode(query)
