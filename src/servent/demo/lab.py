"""Two home routers and a piece of public internet, out of network namespaces (Linux, root, nftables).

Everything is made with one prefix, on private bridges that lead nowhere, and torn down again.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import selectors
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

PREFIX = "sv-demo-"
PUBLIC = "203.0.113"  # TEST-NET-3, RFC 5737: never a real host
HOMES = {"a": ("10.1.0", 10), "b": ("10.2.0", 20)}
_CLONE_NEWNET = 0x40000000  # setns(2)

# What an ordinary home router does: address translation outwards, nothing new inwards.
_ROUTER_RULES = """
table ip nat {
  chain post { type nat hook postrouting priority 100; oifname "wan0" masquerade; }
}
table inet filter {
  chain forward { type filter hook forward priority 0; policy drop;
    iifname "lan0" accept
    ct state established,related accept
  }
  chain input { type filter hook input priority 0; policy accept;
    iifname "wan0" ct state new meta l4proto { tcp, udp } drop
  }
}
"""


def unavailable() -> str | None:
    """Why there can be no lab here, or None."""
    if sys.platform != "linux":
        return "network namespaces exist on Linux only"
    if os.geteuid() != 0:
        return "not root"
    for tool in ("ip", "nft"):
        if not (shutil.which(tool) or os.path.exists(f"/usr/sbin/{tool}")):
            return f"`{tool}` is not installed"
    name = f"sv-probe-{os.getpid()}"
    probe = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return None if probe.returncode == 0 else "namespaces are not allowed here"


def _namespaces() -> list[str]:
    """Of this machine, by name."""
    listing = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    return [line.split()[0] for line in listing.splitlines() if line.strip()]


def _remove(names: Iterable[str]) -> None:
    for name in names:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _sweep() -> None:
    """Remove what demos left here that were killed."""
    ours = [(name, name.removeprefix(PREFIX).partition("-")[0]) for name in _namespaces()]
    _remove(
        name
        for name, number in ours
        if name.startswith(PREFIX) and not (number.isdigit() and Path("/proc", number).exists())
    )


class Lab:
    """Hosts "pub" (203.0.113.1, .2, .3), "home-a" and "home-b", each home behind a router of its own.

    Namespaces bear the number of this process: several demos may run at once.
    """

    def __init__(self) -> None:
        self.prefix = f"{PREFIX}{os.getpid()}-"

    def __enter__(self) -> Self:
        _sweep()
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove every namespace with our prefix; the links inside go with them."""
        _remove(name for name in _namespaces() if name.startswith(self.prefix))

    def command(self, host: str) -> list[str]:
        """What to put in front of a command line so that it runs on `host`."""
        return ["ip", "netns", "exec", self.prefix + host]

    def _build(self) -> None:
        self._namespace("pub")
        self._bridge("pub", "br0", *(f"{PUBLIC}.{n}/24" for n in (1, 2, 3)))
        for letter, (lan, number) in HOMES.items():
            router, home = f"router-{letter}", f"home-{letter}"
            self._namespace(router)
            self._namespace(home)
            self._run([*self.command(router), "sysctl", "-qw", "net.ipv4.ip_forward=1"])
            self._plug(router, "wan0", "pub", "br0")
            self._ip(router, "addr", "add", f"{PUBLIC}.{number}/24", "dev", "wan0")
            self._bridge(router, "lan0", f"{lan}.1/24")
            self._plug(home, "eth0", router, "lan0")
            self._ip(home, "addr", "add", f"{lan}.2/24", "dev", "eth0")
            self._ip(home, "route", "add", "default", "via", f"{lan}.1")
            self._run([*self.command(router), "nft", "-f", "-"], _ROUTER_RULES)

    def _run(self, command: Sequence[str], text: str | None = None) -> None:
        result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if result.returncode:
            raise OSError(f"{' '.join(command)}: {result.stderr.strip()}")

    def _ip(self, host: str, *arguments: str) -> None:
        self._run(["ip", "-n", self.prefix + host, *arguments])

    def _namespace(self, host: str) -> None:
        self._run(["ip", "netns", "add", self.prefix + host])
        self._ip(host, "link", "set", "lo", "up")

    def _bridge(self, host: str, name: str, *addresses: str) -> None:
        self._ip(host, "link", "add", name, "type", "bridge")
        self._ip(host, "link", "set", name, "up")
        for address in addresses:
            self._ip(host, "addr", "add", address, "dev", name)

    def _plug(self, host: str, interface: str, up_host: str, bridge: str) -> None:
        port = f"to-{host}"[:15]
        ends = ["type", "veth", "peer", "name", port, "netns", self.prefix + up_host]
        self._run(["ip", "link", "add", interface, "netns", self.prefix + host, *ends])
        self._ip(up_host, "link", "set", port, "master", bridge, "up")
        self._ip(host, "link", "set", interface, "up")


def free_ports(count: int) -> list[int]:
    """Ports on loopback that are free here, below those the system gives out by itself."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found


class Window:
    """Makes 127.0.0.1:`port` of a lab host visible at the same port here, so that a browser can look in.

    Only connections from this machine's own loopback are taken. Use as a context manager.
    """

    def __init__(self, lab: Lab, host: str, port: int) -> None:
        self._namespace = f"/run/netns/{lab.prefix}{host}"
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._accept, name=f"window {port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        # setns(2) moves this thread alone; sockets it makes from now on belong to the lab host.
        libc = ctypes.CDLL(None, use_errno=True)
        with open(self._namespace) as namespace:
            if libc.setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns", self._namespace)
        with contextlib.suppress(OSError):  # the listener is closed: the demo ends
            while True:
                here, _ = self._listener.accept()
                try:
                    there = socket.create_connection(("127.0.0.1", self._port), timeout=5)
                except OSError:
                    here.close()
                    continue
                threading.Thread(target=_carry, args=(here, there), daemon=True).start()


def _carry(here: socket.socket, there: socket.socket) -> None:
    """Copy bytes both ways until either side ends."""
    with here, there, selectors.DefaultSelector() as ready, contextlib.suppress(OSError):
        ready.register(here, selectors.EVENT_READ, there)
        ready.register(there, selectors.EVENT_READ, here)
        while True:
            for key, _ in ready.select():
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not data:
                    return
                key.data.sendall(data)
