"""An app that does, in the sandbox, whatever a test asks of it. Built once for all tests; see conftest."""

import os
import random
import sys
import time

import servent
from servent import Grid


@servent.grid.app
def science(what: dict, size: int = 0) -> object:
    """Does as it is told."""
    match what["do"]:
        case "square":
            return {"square": what["n"] ** 2, "places": sum(random.random() for _ in range(3))}
        case "beside":
            import beside

            return beside.double(size)
        case "time":
            began = time.monotonic()
            time.sleep(1000)
            return [time.time(), time.monotonic() - began]
        case "date":
            import datetime

            return datetime.datetime.now().isoformat()
        case "dice":
            return [random.random(), os.urandom(8).hex(), hash("a"), list({"a", "b", "c", "d"})]
        case "read":
            return open("/etc/passwd").read()
        case "write":
            return open("left-behind", "w").write("x")
        case "list":
            return os.listdir("/")
        case "around":
            return [dict(os.environ), sys.argv, sys.stdin.read()]
        case "socket":
            import socket

            return socket.create_connection(("127.0.0.1", 80)).fileno()
        case "program":
            import subprocess

            return subprocess.run(["ls"], check=False).returncode
        case "thread":
            import threading

            threading.Thread(target=print).start()
        case "print":
            print("so far", what["n"])
            raise ValueError("seven is not allowed")
        case "cause":
            try:
                return {}["missing"]
            except KeyError as wrong:
                raise RuntimeError("it is not there") from wrong
        case "deep":
            return deep(0)
        case "long":
            return "x" * size
        case "memory":
            return len(bytearray(size))
        case "nan":
            return float("nan")
        case "exit":
            sys.exit(3)
        case "end":
            os._exit(3)
        case "forever":
            while True:
                pass
        case "grid":
            return Grid()


@servent.grid.app(name="turned")
def backwards(data: bytes) -> bytes:
    return data[::-1]


def deep(n):
    return deep(n + 1) + 1


if __name__ == "__main__":
    raise SystemExit("this is not for a unit")
