"""Who may talk to this node's API: the admin token, named tokens, page sessions and one-time login codes.

The token file is the root of all: sessions are sealed with a key derived from it, so that the page's own
process can check them without asking, and a new token ends every session.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from servent.api.client import TOKEN_FILE
from servent.api.schema import SCOPES, Scope, Token
from servent.errors import NotFound, UsageError, WorldError

NAMED_FILE = "api-tokens.json"
TOKEN_BYTES = 32
SESSION_LIFETIME = 30 * 86400.0  # s; a month without the page, then `servent open` again
LOGIN_LIFETIME = 600.0  # s; time to walk from the terminal to the browser
MOST_LOGIN_CODES = 64
MOST_NAMED_TOKENS = 100


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    scope: Scope
    sha256: str
    created: float


def includes(have: Scope, need: Scope) -> bool:
    """Whether a holder of `have` may do what asks for `need`."""
    return SCOPES.index(have) >= SCOPES.index(need)


def cookie_name(node_id: str) -> str:
    """Cookies ignore ports: two nodes on one host must not overwrite each other's."""
    return f"servent-{node_id[:16]}"


class Keys:
    """Checks tokens and sessions; makes new ones. Times are Unix time. Nothing of it is ever logged."""

    def __init__(self, token: str, named: Sequence[_Named] = (), folder: Path | None = None) -> None:
        if len(token) < 32:
            raise UsageError(
                "the API token is too short to be safe",
                advice="Remove api.token from the data directory; the next start makes a new one.",
            )
        self._folder = folder
        self._named = {entry.name: entry for entry in named}
        self._codes: dict[bytes, float] = {}
        self._set_token(token)

    def _set_token(self, token: str) -> None:
        self._token = token.encode("utf-8")
        self._session_key = hmac.digest(self._token, b"servent page session 1", "sha256")

    @classmethod
    def open(cls, folder: Path) -> Keys:
        """Read the token of the data directory, making it on first use (mode 0600)."""
        path = folder / TOKEN_FILE
        try:
            token = path.read_text("ascii").strip()
            if os.name == "posix" and path.stat().st_mode & 0o077:
                path.chmod(0o600)
        except FileNotFoundError:
            token = _new_token()
            write_private(path, token + "\n")
        except (OSError, UnicodeDecodeError) as wrong:
            raise WorldError(f"{path} cannot be read: {wrong}", advice="Check its owner and mode.") from wrong
        named: list[_Named] = []
        try:
            named = msgspec.json.decode((folder / NAMED_FILE).read_bytes(), type=list[_Named])
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as wrong:
            raise WorldError(
                f"{folder / NAMED_FILE} cannot be read: {wrong}",
                advice="Remove it to drop all named tokens.",
            ) from wrong
        return cls(token, named, folder)

    @property
    def admin_token(self) -> str:
        return self._token.decode("utf-8")

    def scope_of_token(self, given: str) -> Scope | None:
        """None for a token that is not ours. Takes the same time for any wrong one."""
        raw = given.encode("utf-8", "replace")
        found: Scope | None = "admin" if hmac.compare_digest(raw, self._token) else None
        digest = hashlib.sha256(raw).hexdigest()
        for entry in self._named.values():
            if hmac.compare_digest(digest, entry.sha256):
                found = found or entry.scope
        return found

    # sessions of the page

    def new_session(self, scope: Scope, wall_now: float, lifetime: float = SESSION_LIFETIME) -> str:
        """The value of the page's cookie."""
        text = f"{scope}.{int(wall_now + lifetime)}.{secrets.token_urlsafe(12)}"
        return f"{text}.{self._seal(text)}"

    def scope_of_session(self, given: str, wall_now: float) -> Scope | None:
        text, _, seal = given.rpartition(".")
        if not hmac.compare_digest(seal.encode("utf-8", "replace"), self._seal(text).encode()):
            return None
        scope, until, _nonce = text.split(".")  # our own seal: the shape is right
        return next((known for known in SCOPES if known == scope), None) if int(until) > wall_now else None

    def _seal(self, text: str) -> str:
        mac = hmac.digest(self._session_key, text.encode("utf-8", "replace"), "sha256")
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")

    # one-time login

    def new_login_code(self, wall_now: float) -> str:
        """A code that opens one session; the oldest is forgotten beyond 64."""
        self._codes = {code: until for code, until in self._codes.items() if until > wall_now}
        while len(self._codes) >= MOST_LOGIN_CODES:
            del self._codes[next(iter(self._codes))]
        code = secrets.token_urlsafe(18)
        self._codes[hashlib.sha256(code.encode()).digest()] = wall_now + LOGIN_LIFETIME
        return code

    def redeem(self, code: str, wall_now: float) -> str | None:
        """A session's cookie value for a fresh code; None for a used, old or invented one."""
        until = self._codes.pop(hashlib.sha256(code.encode("utf-8", "replace")).digest(), 0.0)
        return self.new_session("admin", wall_now) if until > wall_now else None

    # named tokens

    def tokens(self) -> list[Token]:
        return [Token(name=e.name, scope=e.scope, created=e.created) for e in self._named.values()]

    def add(self, name: str, scope: Scope, wall_now: float) -> Token:
        """Raises UsageError when the name is taken, or there are too many."""
        if name in self._named:
            raise UsageError(
                f"a token called {name!r} exists", advice=f"`servent token revoke {name}` first."
            )
        if len(self._named) >= MOST_NAMED_TOKENS:
            raise UsageError(f"there are {MOST_NAMED_TOKENS} tokens already", advice="Revoke some first.")
        token = _new_token()
        digest = hashlib.sha256(token.encode()).hexdigest()
        self._named[name] = _Named(name=name, scope=scope, sha256=digest, created=wall_now)
        self._save()
        return Token(name=name, scope=scope, token=token, created=wall_now)

    def remove(self, name: str) -> None:
        if name not in self._named:
            raise NotFound(f"no token is called {name!r}", advice="`servent token ls` lists them.")
        del self._named[name]
        self._save()

    def rotate(self) -> None:
        """A new admin token; every session ends, named tokens stay."""
        token = _new_token()
        if self._folder is not None:
            write_private(self._folder / TOKEN_FILE, token + "\n")
        self._set_token(token)
        self._codes.clear()

    def _save(self) -> None:
        if self._folder is not None:
            write_private(self._folder / NAMED_FILE, msgspec.json.encode(list(self._named.values())))


def _new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def write_private(path: Path, content: str | bytes) -> None:
    """Write the file whole or not at all, readable by its owner alone from the first byte on."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
