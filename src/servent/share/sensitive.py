"""Which folders and files people rarely mean to share: keys, password stores, browser profiles, a whole home. Pure.

A folder is looked at before it is shared (`doubts`); files that look like keys are held back for as long as the person
did not say that they are meant (`is_secret`), also when they turn up later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath

# Hidden entries that programs put into folders of any kind, and that say nothing about the folder.
HARMLESS = frozenset({
    ".DS_Store", ".directory", ".nomedia", ".thumbnails", ".Trash", ".Trashes", ".Spotlight-V100", ".fseventsd",
    ".localized", ".stfolder", ".stignore", ".stversions", ".hidden",
})  # fmt: skip
SHOWN = 3  # examples in a sentence

_SECRET_FOLDERS = {
    ".ssh": "SSH keys", ".gnupg": "GnuPG keys", ".aws": "cloud keys", ".azure": "cloud keys", ".gcloud": "cloud keys",
    ".kube": "cluster keys", ".docker": "registry logins", ".password-store": "a password store", ".pki": "certificates' keys",
    ".mozilla": "a browser profile", ".thunderbird": "mail and its passwords", ".netrc": "passwords",
    "google-chrome": "a browser profile", "chromium": "a browser profile", "brave-browser": "a browser profile",
    "bravesoftware": "a browser profile", "firefox": "a browser profile", "keyrings": "a key ring", "kwalletd": "a key ring",
    ".bitcoin": "a wallet", ".ethereum": "a wallet", ".electrum": "a wallet", ".monero": "a wallet", ".litecoin": "a wallet",
    "keychains": "a key ring", ".gem": "registry logins", ".config": "settings of programs", ".local": "data of programs",
    "appdata": "data of programs", ".git-credentials": "passwords",
}  # fmt: skip
_SECRET_FILES = re.compile(
    r"(?i)(id_(rsa|dsa|ecdsa|ed25519)(_sk)?|ssh_host_.*_key|identity\.key|.*\.(ppk|pfx|p12|kdbx?|keystore|jks|keychain(-db)?|gpg-key|agekey)"
    r"|wallet\.dat|.*\.wallet|(key[34]\.db|logins\.json|signons\.sqlite|cookies\.sqlite|login data)"
    r"|\.?(netrc|pgpass|htpasswd|git-credentials)|credentials\.(json|csv)|\.env(\..+)?|secring\.(gpg|pgp)|(private|secret)[-_. ]?key.*"
    r"|.*[-_.]private\.(key|pem)|(server|client|privkey|key)[0-9]*\.(key|pem)|recovery[-_ ]?(codes?|phrase|seed).*|seed[-_ ]?phrase.*"
    r"|passwords?\.(txt|csv|xlsx?|ods|docx?))\Z"
)
# Folders of a home, by the names that systems give them; three of them together are one.
_HOME_PARTS = {"documents", "downloads", "desktop", "pictures", "music", "videos", "library", "appdata", ".config", ".local", ".cache"}  # fmt: skip
PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9 ]+ )?PRIVATE KEY(?: BLOCK)?-----")


def is_secret(name: str) -> bool:
    """Whether a file of this name is most likely a key, a wallet, a password store or the like."""
    return _SECRET_FILES.match(name) is not None


def secret_folder(name: str) -> str:
    """What a folder of this name holds that nobody means to share; "" for nothing known."""
    return _SECRET_FOLDERS.get(name.lower(), "")


def holds_key(head: bytes) -> bool:
    """Whether a file that begins so is a private key in PEM's or OpenSSH's form."""
    return head.startswith(b"-----BEGIN ") and PRIVATE_KEY.match(head) is not None


@dataclass(slots=True)
class Look:
    """What a quick look into a folder saw. Paths "/"-separated below it.

    Attributes:
        hidden: dotfiles and dot folders, at any depth.
        secrets: files that look like keys, and folders that hold such.
        top: names of the folders at its top.
        whole: False: there was more than a quick look could see.
    """

    hidden: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    top: list[str] = field(default_factory=list)
    whole: bool = True


def refusal(folder: PurePath, data_dir: PurePath) -> str:
    """Why `folder` is never shared, whoever confirms it; "" when it may be. Both are resolved."""
    if folder == data_dir or folder.is_relative_to(data_dir):
        return f"{folder} belongs to servent itself and holds its keys"
    return ""


def doubts(folder: PurePath, homes: Iterable[PurePath], look: Look, *, hidden: bool) -> list[str]:
    """Sentences about what people rarely mean to share; empty when there is nothing.

    Args:
        folder: resolved.
        homes: home directories, resolved.
        hidden: whether dotfiles are to be shared as well.
    """
    found = []
    if folder.parent == folder:
        found.append(f"{folder} is a whole file system.")
    for home in homes:
        if folder == home:
            found.append(f"{folder} is a home directory.")
        elif home.is_relative_to(folder):
            found.append(f"{folder} contains the home directory {home}.")
    if not found and len(_HOME_PARTS & {name.lower() for name in look.top}) >= 3:
        found.append(f"{folder} looks like a home directory.")
    for part in folder.parts:
        if what := secret_folder(part):
            found.append(f"{part} usually holds {what}.")
            break
    if look.secrets:
        found.append(f"It holds what looks like keys or passwords: {_some(look.secrets)}.")
    if look.hidden and hidden:
        found.append(f"It holds hidden files, and they would be shared: {_some(look.hidden)}.")
    elif look.hidden:
        found.append(
            f"It holds hidden files, as folders of programs and settings do: {_some(look.hidden)}. They stay out."
        )
    return found


def _some(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
