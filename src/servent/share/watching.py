"""Tells when something below a folder changes, as the operating system says it. Only this module imports watchfiles.

It is a hint, never the truth: events are lost when too many come at once, when the system has no room for more
watches, and on network disks. So a folder is looked through again from time to time, and at once when much happened.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it reports every batch

MANY = 4096  # changes in one report; inotify's queue holds 16,384 events, so some may be lost: look through it all
DEBOUNCE, STEP = 1000, 200  # ms that changes are gathered for, at most and after the last one
LIMIT_ADVICE = "raise the limit with `sysctl fs.inotify.max_user_watches=1048576`"


class Watcher:
    """Watches one folder from a thread of its own.

    Args:
        changed: called in that thread with paths; None stands for "look through everything".
        lost: called once when there is nothing to be told any more, with the reason.
    """

    def __init__(
        self, root: str, changed: Callable[[list[str] | None], None], lost: Callable[[str], None]
    ) -> None:
        self._root, self._changed, self._lost = root, changed, lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch a folder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            from watchfiles import watch  # 1.4 MB that a node without folders does without

            for changes in watch(
                self._root,
                watch_filter=None,
                debounce=DEBOUNCE,
                step=STEP,
                stop_event=self._stop,
                rust_timeout=500,
                yield_on_timeout=False,
                raise_interrupt=False,
                force_polling=False,
                ignore_permission_denied=True,
            ):
                if self._stop.is_set():
                    return
                self._changed(None if len(changes) >= MANY else [path for _, path in changes])
        except Exception as wrong:  # noqa: BLE001 - a thread that dies silently would leave the folder unwatched
            self._lost(reason(str(wrong)))
        else:
            if not self._stop.is_set():
                self._lost("the system stopped telling of changes")

    def stop(self) -> None:
        """No call comes after this, but for one that is under way. Ends the thread within half a second."""
        self._stop.set()

    def join(self, limit: float = 2.0) -> None:
        """Wait for the thread."""
        if self._thread.is_alive():
            self._thread.join(limit)


def reason(text: str) -> str:
    """Why a folder cannot be watched, and what helps, out of what the system said."""
    low = text.lower()
    if "watch limit" in low or "no space left" in low or "os error 28" in low:
        return f"it has more folders than this system watches; {LIMIT_ADVICE}"
    if "too many open files" in low or "os error 24" in low:
        return "this system has no room for one more watcher; raise fs.inotify.max_user_instances"
    return f"the system does not tell of changes in it ({text[:120]})"
