"""The identity on disk: made once, mode 0600, never overwritten; backup and restore under a passphrase."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from servent.errors import DiskTrouble, UsageError, WorldError
from servent.identity import KEY_BYTES, Identity, PeerId, z32_decode, z32_encode

log = logging.getLogger(__name__)

FIRST_LINE = "servent identity 1"
MAX_FILE_BYTES = 1024
MAX_BACKUP_BYTES = 4096
MIN_PASSPHRASE = 8  # characters; scrypt makes each guess cost 128 MiB, it cannot make "1234" good

# Backup, before base64: version, log2(N), r, p (one byte each), salt 16, nonce 12, sealed seed 48, checksum 8.
_VERSION = 1
_SCRYPT = (17, 8, 1)  # N = 2^17, r = 8, p = 1: OWASP password storage cheat sheet, 2023; 128 MiB, about 0.4 s
_MAX_SCRYPT_BYTES = 512 << 20  # what a backup file may ask of this machine
_BACKUP_BYTES = 4 + 16 + 12 + KEY_BYTES + 16 + 8
_BEGIN = "-----BEGIN SERVENT IDENTITY BACKUP-----"
_END = "-----END SERVENT IDENTITY BACKUP-----"


class KeyTrouble(WorldError):
    """The identity file cannot be read or is damaged. It is never replaced by a new one."""

    advice = "Put your backup back with `servent id restore FILE`; moving the file away makes a new identity."


def load_or_create(path: Path) -> Identity:
    """The identity in `path`; a new one, written to disk before this returns, when there is no such file.

    Two programs that start at once get the same identity. A file others may read is set to mode 0600 and a
    warning is logged.

    Raises:
        KeyTrouble: the file is there and is not a whole identity.
        DiskTrouble: no permission or no room.
    """
    try:
        found = _load(path)
        if found is not None:
            return found
        write_new(path, Identity(os.urandom(KEY_BYTES)))
        made = _load(path)
    except OSError as wrong:
        raise DiskTrouble(f"cannot use {path}: {wrong.strerror}") from wrong
    if made is None:
        raise KeyTrouble(f"{path} vanished while it was being made")
    return made


def write_new(path: Path, identity: Identity) -> bool:
    """Put `identity` into `path` unless something is there already (then False). Whole or not at all.

    Raises:
        OSError: as the system says.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(6).hex()}")
    text = f"{FIRST_LINE}\nseed {z32_encode(identity.seed)}\npeer {identity.peer}\n"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(draft, flags, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike rename, never replaces what is there
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links: claim the name first, then fill it
            try:
                os.close(os.open(path, flags, 0o600))
            except FileExistsError:
                return False
            os.replace(draft, path)
        _sync_folder(path.parent)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    return True


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _load(path: Path) -> Identity | None:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if os.name == "posix" and status.st_mode & 0o077:
                log.warning("%s could be read by others; its mode is 0600 now", path)
                os.fchmod(file.fileno(), 0o600)
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    try:
        first, seed_line, peer_line = raw.decode("ascii").split("\n")[:3]
        if first != FIRST_LINE or not seed_line.startswith("seed ") or not peer_line.startswith("peer "):
            raise ValueError
        identity = Identity(z32_decode(seed_line[5:].strip(), KEY_BYTES))
        if identity.peer != PeerId(z32_decode(peer_line[5:].strip(), KEY_BYTES)):
            raise ValueError
    except ValueError:
        # No `from`: the decoder's message would quote letters of the key.
        raise KeyTrouble(f"{path} is not a whole identity file") from None
    return identity


def backup(identity: Identity, passphrase: str) -> bytes:
    """`identity` as text that only `passphrase` opens. Takes about half a second and 128 MiB, on purpose.

    Raises:
        UsageError: the passphrase is shorter than 8 characters.
    """
    if len(passphrase) < MIN_PASSPHRASE:
        raise UsageError(
            f"a passphrase has at least {MIN_PASSPHRASE} characters",
            advice="Four random words are good and easy.",
        )
    salt, nonce = os.urandom(16), os.urandom(12)
    head = bytes((_VERSION, *_SCRYPT)) + salt + nonce
    sealed = ChaCha20Poly1305(_stretch(passphrase, salt, *_SCRYPT)).encrypt(nonce, identity.seed, head)
    body = head + sealed
    body += hashlib.sha256(body).digest()[:8]
    text = base64.b64encode(body).decode()
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    return "\n".join([_BEGIN, f"Peer: {identity.peer}", "", *lines, _END, ""]).encode()


def restore(blob: bytes, passphrase: str) -> Identity:
    """The identity in a file that `backup` made.

    Raises:
        UsageError: no backup, a damaged one, one of a newer version, or the wrong passphrase: it says which.
    """
    body = _unarmor(blob)
    if body[0] != _VERSION:
        raise UsageError(
            f"this backup has version {body[0]}, known here is {_VERSION}", advice="Update servent."
        )
    log2_n, r, p = body[1:4]
    if not (10 <= log2_n <= 22 and 1 <= r <= 32 and 1 <= p <= 8) or 128 * r << log2_n > _MAX_SCRYPT_BYTES:
        raise UsageError("this backup asks for more memory than is reasonable; it was not made by servent")
    head, sealed = body[:32], body[32:80]
    try:
        key = _stretch(passphrase, body[4:20], log2_n, r, p)
        seed = ChaCha20Poly1305(key).decrypt(body[20:32], sealed, head)
    except InvalidTag:
        raise UsageError(
            "wrong passphrase",
            advice="The file itself is undamaged. Mind upper case, spaces and the keyboard.",
        ) from None
    return Identity(seed)


def _unarmor(blob: bytes) -> bytes:
    damaged = UsageError(
        "this backup is damaged or incomplete", advice=f"Copy the whole text, from {_BEGIN} to {_END}."
    )
    if len(blob) > MAX_BACKUP_BYTES:
        raise UsageError(f"a backup is under {MAX_BACKUP_BYTES} bytes; this is something else")
    try:
        text = blob.decode("ascii")
    except UnicodeDecodeError:
        raise damaged from None
    found = re.search(f"{_BEGIN}(.*?){_END}", text, re.DOTALL)
    if found is None:
        raise damaged
    letters = "".join(line.strip() for line in found[1].splitlines() if ":" not in line)
    try:
        body = base64.b64decode(letters, validate=True)
    except binascii.Error:
        raise damaged from None
    # Only the length of version 1 can be told; a later version has its checksum at the end as well.
    if len(body) < 12 or hashlib.sha256(body[:-8]).digest()[:8] != body[-8:]:
        raise damaged
    if body[0] == _VERSION and len(body) != _BACKUP_BYTES:
        raise damaged
    return body


def _stretch(passphrase: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    secret = unicodedata.normalize("NFKC", passphrase).encode()  # the same letters typed on another system
    return Scrypt(salt=salt, length=32, n=1 << log2_n, r=r, p=p).derive(secret)
