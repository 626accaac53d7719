"""Builds networks out of namespaces: a public one, sites of routers and a host behind them, and takes them down.

All namespaces of a lab carry its prefix and the number of the process that built it, and only they and the processes
inside them are ever touched. Labs with different prefixes run side by side, and so do test runs. What the labs of a
process left that was killed is taken down by the next one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.natlab.rules import Router, miniupnpd_conf, ruleset

PUB4 = "11.0.113"  # not a documentation range: miniupnpd refuses those as a public address
PUB6 = "2001:db8:0"


class LabTrouble(RuntimeError):
    """A command of the lab failed; the message holds it and what it said."""


def missing() -> str | None:
    """Why no lab can be built here, or None."""
    if os.name != "posix" or os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "nft", "conntrack", "sysctl"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed (Debian: iproute2, nftables, conntrack, procps)"
    probe = subprocess.run(["ip", "netns", "list"], check=False, capture_output=True)
    if probe.returncode:
        return "ip netns does not work here"
    name = f"natlab-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode:
        return "no network namespace can be made here"
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return None


def run(*command: str, feed: str | None = None) -> str:
    done = subprocess.run(command, check=False, input=feed, text=True, capture_output=True, timeout=120)
    if done.returncode:
        raise LabTrouble(f"{' '.join(command)}\n{feed or ''}\n{done.stderr}")
    return done.stdout


@dataclass(frozen=True)
class Place:
    """Where a site ends: the namespace and bridge its host plugs into, and addresses there."""

    space: str
    bridge: str
    net4: str | None  # first three numbers
    net6: str | None  # without "::"


@dataclass
class Lab:
    """One public network and up to two sites. Use as a context manager: leaving it takes everything down."""

    prefix: str
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="natlab-")))
    _veths: int = 0
    _bridges: int = 0
    _processes: dict[subprocess.Popen[str], str] = field(default_factory=dict)  # and its namespace
    _ip: dict[str, list[str]] = field(default_factory=dict)
    _nft: dict[str, str] = field(default_factory=dict)
    _spaces: dict[str, bool] = field(default_factory=dict)  # name -> forwards
    _links: list[str] = field(default_factory=list)
    _public_routes: list[str] = field(default_factory=list)
    _public_ports: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.prefix = f"lab{os.getpid()}-{self.prefix}"

    def __enter__(self) -> Self:
        _bury_orphans()
        self.clear()
        self._space("pub", forwards=True)
        self._bridge("pub", "br0", f"{PUB4}.1/24", f"{PUB6}::1/64")
        self._do("pub", f"addr add {PUB4}.2/24 dev br0", f"addr add {PUB6}::2/64 dev br0 nodad")
        self._apply()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self, keep_public: bool = False) -> None:
        """Kill what runs in our namespaces, then remove them."""
        self._unplug_public()
        ours = [name for name in _spaces() if name.startswith(self.prefix)]
        if keep_public:
            ours = [name for name in ours if name != self.prefix + "pub"]
        _kill_inside(ours)
        for process, space in list(self._processes.items()):
            if self.prefix + space in ours:
                process.wait(60)
                del self._processes[process]
        _delete(ours)

    def _unplug_public(self) -> None:
        """Cut the sites off the public network at once.

        The kernel takes a deleted namespace apart when it finds the time, seconds later on a busy machine, and until
        then its interfaces answer ARP and refuse connections under the addresses that the next site has, too.
        """
        ports, self._public_ports = self._public_ports, []
        if ports:
            gone = "".join(f"link del {port}\n" for port in ports)  # some are, with what they led to: -force
            with contextlib.suppress(LabTrouble):
                run("ip", "-n", self.prefix + "pub", "-force", "-batch", "-", feed=gone)

    def build(self, a: str, b: str, shared: str | None = None, extra: bool = False) -> None:
        """Put up site A and site B, in place of any before.

        A site is a chain of routers from the public side inwards ("edm/apdf"), "pub" for a host right on the public
        network, or "lan" for a host in the other site's LAN. `shared` is one more router (a carrier's NAT) in
        front of both. `extra` adds a router rC0 that a host can move to.
        """
        self.clear(keep_public=True)
        for route in self._public_routes:
            self._do("pub", f"route del {route}")
        self._do("pub", "neigh flush dev br0")  # addresses come again with other MAC addresses
        self._public_routes.clear()
        root = Place("pub", "br0", PUB4, PUB6)
        if shared:
            root = self._router("rS", Router.parse(shared), root, 90, "100.64.0", "2001:db8:90")
        a_place = self._site("A", 1, a, root)
        self._site("B", 2, b, root, lan=a_place)
        if extra:
            self._router("rC0", Router.parse("apdf"), root, 30, "10.3.0", "2001:db8:30")
        self._apply()
        for name, conf in self._upnp().items():
            Path(conf + ".pid").unlink(missing_ok=True)
            self.spawn(name, "miniupnpd", "-d", "-f", conf, "-P", conf + ".pid", log=f"{name}.upnp.log")

    def replug(self, host: str, place: Place, number: int) -> None:
        """Connect a host, whose eth0 is gone, to another place."""
        self._plug(host, "eth0", place)
        run("ip", "-batch", "-", feed=f"{self._links.pop()}\n")
        self._do(host, f"addr add {place.net4}.{number}/24 dev eth0", f"route add default via {place.net4}.1")
        for space in (place.space, host):
            self.ip(space, *self._ip.pop(space))

    def spawn(
        self,
        space: str,
        *command: str,
        log: str | None = None,
        stdout: int | None = None,
        cwd: str | None = None,
    ) -> subprocess.Popen[str]:
        """Start `command` in a namespace; `clear` ends it at the latest."""
        with open(self.folder / (log or f"{space}.log"), "a") as errors:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.prefix + space, *command],
                stdin=subprocess.DEVNULL,
                stdout=stdout if stdout is not None else errors,
                stderr=errors,
                text=True,
                start_new_session=True,
                cwd=cwd,
            )
        self._processes[process] = space
        return process

    def ip(self, space: str, *commands: str) -> None:
        """Run `ip` commands in a namespace, now."""
        run("ip", "-n", self.prefix + space, "-batch", "-", feed="\n".join(commands) + "\n")

    def inside(self, space: str, *command: str, feed: str | None = None) -> str:
        return run("ip", "netns", "exec", self.prefix + space, *command, feed=feed)

    def logs(self, last: int = 2000) -> str:
        """What programs in the lab said, for the report of a failure."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-last:]}" for path in logs)

    # building blocks; nothing happens before _apply

    def _space(self, name: str, forwards: bool = False) -> None:
        self._spaces[name] = forwards
        self._do(name, "link set lo up")

    def _do(self, space: str, *commands: str) -> None:
        self._ip.setdefault(space, []).extend(commands)

    def _bridge(self, space: str, name: str, net4: str | None, net6: str | None) -> None:
        self._bridges += (
            1  # an address of its own: otherwise it changes with the ports, and neighbours lose it
        )
        mac = f"02:00:00:00:{self._bridges >> 8 & 255:02x}:{self._bridges & 255:02x}"
        self._do(space, f"link add {name} address {mac} type bridge mcast_snooping 0", f"link set {name} up")
        if net4:
            self._do(space, f"addr add {net4} dev {name}")
        if net6:
            self._do(space, f"addr add {net6} dev {name} nodad")

    def _plug(self, space: str, interface: str, up: Place) -> None:
        self._veths += 1
        port = f"p{self._veths}"
        if up.space == "pub":
            self._public_ports.append(port)
        self._links.append(
            f"link add {interface} netns {self.prefix}{space} type veth peer name {port} netns {self.prefix}{up.space}"
        )
        self._do(up.space, f"link set {port} master {up.bridge} up")
        self._do(space, f"link set {interface} up")

    def _router(self, name: str, router: Router, up: Place, number: int, net4: str, net6: str) -> Place:
        self._space(name, forwards=True)
        self._plug(name, "wan0", up)
        wan4, wan6 = f"{up.net4}.{number}", f"{up.net6}::{number}"
        if router.v4:
            self._do(name, f"addr add {wan4}/24 dev wan0")
            if up.space != "pub":
                self._do(name, f"route add default via {up.net4}.1")
        v6 = router.v6 and up.net6 is not None
        self._bridge(name, "lan0", f"{net4}.1/24" if router.v4 else None, f"{net6}::1/64" if v6 else None)
        if v6:
            self._do(name, f"addr add {wan6}/64 dev wan0 nodad", f"route add default via {up.net6}::1")
            if up.space == "pub":
                self._route(f"{net6}::/64 via {wan6}")
        if router.kind == "fw" and router.v4 and up.space == "pub":
            self._route(f"{net4}.0/24 via {wan4}")
        self._nft[name] = ruleset(router, wan4, net4)
        if "upnp" in router.options:
            conf = miniupnpd_conf(wan4, net4, str(self.folder / f"{name}.leases"), number)
            (self.folder / f"{name}.upnp.conf").write_text(conf)
        return Place(name, "lan0", net4 if router.v4 else None, net6 if v6 else None)

    def _route(self, route: str) -> None:
        self._do("pub", f"route add {route}")
        self._public_routes.append(route)

    def _site(self, letter: str, number: int, spec: str, root: Place, lan: Place | None = None) -> Place:
        host = "h" + letter
        if spec == "lan":
            assert lan is not None, "only site B can be in the other's LAN"
            return self._host(host, lan, 3, set())
        place = root
        options = set(spec.split("+")[1:]) if spec.split("+")[0] == "pub" else set[str]()
        if spec.split("+")[0] != "pub":
            chain = spec.split("/")
            for depth, text in enumerate(chain):
                innermost = depth == len(chain) - 1
                net4 = f"10.{number}.{depth}" if innermost else f"100.64.{number * 10 + depth}"
                address = number * 10 if depth == 0 else 2
                place = self._router(
                    f"r{letter}{depth}", Router.parse(text), place, address, net4, f"2001:db8:{number}{depth}"
                )
        return self._host(host, place, number * 10 if place.space in ("pub", "rS") else 2, options)

    def _host(self, name: str, place: Place, number: int, options: set[str]) -> Place:
        self._space(name)
        self._plug(name, "eth0", place)
        if place.net4 and "nov4" not in options:
            self._do(name, f"addr add {place.net4}.{number}/24 dev eth0")
            if place.space != "pub":
                self._do(name, f"route add default via {place.net4}.1")
        if place.net6 and "nov6" not in options:
            self._do(
                name,
                f"addr add {place.net6}::{number}/64 dev eth0 nodad",
                f"route add default via {place.net6}::1",
            )
        return place

    def _upnp(self) -> dict[str, str]:
        found = {path.name.split(".")[0]: str(path) for path in self.folder.glob("*.upnp.conf")}
        return {name: conf for name, conf in found.items() if name in self._built}

    def _apply(self) -> None:
        """Carry out what was collected: few processes, since each costs milliseconds."""
        names = list(self._spaces)
        run("ip", "-batch", "-", feed="".join(f"netns add {self.prefix}{name}\n" for name in names))
        for name, forwards in self._spaces.items():  # before any interface exists, so that all of them obey
            settings = [
                f"net.ipv6.conf.{w}.{s}=0" for w in ("all", "default") for s in ("accept_dad", "accept_ra")
            ]
            if forwards:
                settings += ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]
            self.inside(name, "sysctl", "-qw", *settings)
            if forwards:  # frames inside a LAN must not meet the router's rules
                with contextlib.suppress(LabTrouble):
                    self.inside(name, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0",
                                "net.bridge.bridge-nf-call-ip6tables=0")  # fmt: skip
        run("ip", "-batch", "-", feed="".join(f"{link}\n" for link in self._links))
        for name, commands in self._ip.items():
            self.ip(name, *commands)
        for name, rules in self._nft.items():
            self.inside(name, "nft", "-f", "-", feed=rules)
        self._built = set(names)
        self._spaces, self._links, self._ip, self._nft = {}, [], {}, {}

    _built: set[str] = field(default_factory=set)


def _spaces() -> list[str]:
    return [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.strip()]


def _kill_inside(spaces: list[str]) -> None:
    pids = [int(pid) for name in spaces for pid in run("ip", "netns", "pids", name).split()]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        _wait_gone(pid)


def _delete(spaces: list[str]) -> None:
    if spaces:
        run("ip", "-batch", "-", feed="".join(f"netns del {name}\n" for name in spaces))


def _bury_orphans() -> None:
    """Take down what nobody will take down any more: labs of processes that are gone. Two may do it at once."""
    for name in _spaces():
        owner = re.match(r"lab(\d+)-", name)
        if owner is not None and not Path(f"/proc/{owner[1]}").exists():
            with contextlib.suppress(LabTrouble):
                _kill_inside([name])
                _delete([name])


def _wait_gone(pid: int) -> None:
    for _ in range(6000):
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.005)
