"""The node's key, for commands that work while the node does not run."""

from __future__ import annotations

import time
from pathlib import Path

from servent import keyfile
from servent.api.lock import DirLock
from servent.errors import UsageError, WorldError

KEY_FILE = "identity.key"


def restore_identity(data_dir: Path, blob: bytes, passphrase: str, *, replace: bool) -> str:
    """Put a backup's key into `data_dir`; returns the id. A key that was there is kept aside with `replace`.

    Raises:
        UsageError: the node runs, another key is there and `replace` is False, or see `keyfile.restore`.
    """
    with DirLock(data_dir):
        identity = keyfile.restore(blob, passphrase)
        path = data_dir / KEY_FILE
        try:
            if path.exists():
                there = keyfile.load_or_create(path)
                if there.peer == identity.peer:
                    return str(identity.peer)
                if not replace:
                    raise UsageError(
                        f"this node already is {there.peer.short}",
                        advice="--replace keeps that key aside; or restore into a new --data-dir.",
                    )
                path.rename(path.with_name(f"{KEY_FILE}.before-{time.strftime('%Y%m%d-%H%M%S')}"))
            keyfile.write_new(path, identity)
        except OSError as wrong:
            raise WorldError(
                f"{path}: {wrong.strerror}", advice="Check its owner and permissions."
            ) from wrong
        return str(identity.peer)
