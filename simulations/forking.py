"""Something is done in children of this process, which begin with all that was built here; their numbers come back."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence

Work = Callable[[], dict[str, float]]


def apart(works: Sequence[Work], *, at_once: int = 1) -> list[dict[str, float]]:
    """What each of `works` returns; what it changes is forgotten. Where no process can be forked they are done here.

    Raises:
        RuntimeError: one broke; its traceback stands on standard error.
    """
    if not hasattr(os, "fork"):
        return [work() for work in works]
    found: list[dict[str, float]] = []
    for first in range(0, len(works), at_once):
        children = [_begun(work) for work in works[first : first + at_once]]
        ended = [_ended(*child) for child in children]
        for one in ended:
            if one is None:
                raise RuntimeError("a child process broke")
            found.append(one)
    return found


def _begun(work: Work) -> tuple[int, int]:
    read, write = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child:
        os.close(write)
        return child, read
    status = 1
    try:
        os.close(read)
        with os.fdopen(write, "w") as out:
            out.write(json.dumps(work()))
        status = 0
    except (Exception, KeyboardInterrupt):  # noqa: BLE001 - it is shown, and the child ends
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _ended(child: int, read: int) -> dict[str, float] | None:
    with os.fdopen(read) as found:
        text = found.read()
    _, how = os.waitpid(child, 0)
    if how or not text:
        return None
    numbers: dict[str, float] = json.loads(text)
    return numbers
