"""Something is done in a child of this process, which begins with all that was built here; its numbers come back."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable


def apart(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What `work` returns; what it changes is forgotten. Where no process can be forked it is done here.

    Raises:
        RuntimeError: it broke; its traceback stands on standard error.
    """
    if not hasattr(os, "fork"):
        return work()
    read, write = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
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
    os.close(write)
    with os.fdopen(read) as found:
        text = found.read()
    _, how = os.waitpid(child, 0)
    if how or not text:
        raise RuntimeError("a child process broke")
    numbers: dict[str, float] = json.loads(text)
    return numbers
