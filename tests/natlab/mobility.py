"""Changes the network under a running transfer and measures how long nothing arrives.

Events: none; rebind (the router forgets its mappings); renumber (the host gets another LAN address); wanchange (the
router's public address changes, nobody is told); wanstrict (the same, and the router drops what belongs to old TCP
connections instead of letting them be reset); switch (the host moves to another router); pauseN (the link is down for
N seconds); relaykill (the relay dies and comes back).

Ways out of a silent change that were tried with iroh 1.2.0 (stall in seconds, 2.0 of them to notice the silence;
"wanstrict"): wait for iroh 15.0; dial again beside the old connection never, also with a relay under another URL, since
iroh sends a new connection's packets along the path it last chose for that peer; close first, then dial 14 and more,
since the TCP connection to the relay is dead as well and another URL of the same relay is sent through it; the same
with the relay removed and added 14; the binding's network-change call 14; a second endpoint with the same key, old
connection closed first, 2.05; close, break the relay's TCP connection (net.fresh), dial: 2.1, and all on one endpoint.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from tests.natlab.lab import PUB4, Lab, Place
from tests.natlab.matrix import RELAY4, ROOT, Matrix
from tests.natlab.node import put
from tests.natlab.rules import Router, ruleset

GOALS = {  # longest stall, s; a link that is down for 5 s may cost 2 more
    "none": 0.5, "rebind": 2.0, "renumber": 2.0, "switch": 2.0, "wanchange": 5.0, "wanstrict": 5.0, "pause5": 7.0,
    "relaykill": 4.0,
}  # fmt: skip


@dataclass(frozen=True)
class Move:
    """What one event did. `stall`: the longest time nothing arrived, from shortly before the event on."""

    event: str
    way: str
    stall: float | None
    detail: dict[str, Any]


def happen(lab: Lab, event: str, spec: str, site: str = "A") -> None:
    """Carry out `event` on site "A" or "B", which was built from `spec`."""
    number = "AB".index(site) + 1
    host, router, net = f"h{site}", f"r{site}0", f"10.{number}.0"
    wan, new_wan = f"{PUB4}.{number}0", f"{PUB4}.{number}5"
    if event == "rebind":
        lab.inside(router, "conntrack", "-F")
        if spec in ("eif", "adf", "apdf"):
            lab.inside(router, "nft", "flush", "map", "ip", "natlab", "eim")
    elif event == "renumber" and spec == "pub":
        lab.ip(host, f"addr del {wan}/24 dev eth0", f"addr add {new_wan}/24 dev eth0")
    elif event == "renumber":
        lab.ip(host, f"addr del {net}.2/24 dev eth0", f"addr add {net}.77/24 dev eth0",
               f"route replace default via {net}.1")  # fmt: skip
    elif event in ("wanchange", "wanstrict"):
        lab.ip(router, f"addr del {wan}/24 dev wan0", f"addr add {new_wan}/24 dev wan0")
        rules = "flush ruleset\n" + ruleset(Router.parse(spec), new_wan, net)
        if event == "wanstrict":
            rules += "\ninsert rule inet natlabfilter forw ct state invalid counter drop\n"
            lab.inside(router, "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")
        lab.inside(router, "nft", "-f", "-", feed=rules)
        lab.inside(router, "conntrack", "-F")
    elif event == "switch":
        lab.ip(host, "link del eth0")
        lab.replug(host, Place("rC0", "lan0", "10.3.0", None), 2)
    elif event.startswith("pause"):
        lab.ip(host, "link set eth0 down")
        time.sleep(float(event[5:]))
        lab.ip(host, "link set eth0 up", *([] if spec == "pub" else [f"route replace default via {net}.1"]))
    elif event == "relaykill":
        (lab.folder / "relaykill.json").write_text("{}")
    elif event != "none":
        raise ValueError(f"no event {event}")


def measure(
    matrix: Matrix,
    event: str,
    way: str,
    a: str = "apdf",
    b: str = "apdf",
    *,
    site: str = "A",
    seconds: float = 14.0,
) -> Move:
    """One event on `site` under a running transfer from site `b` to site `a`.

    Args:
        way: "node" for whole nodes and a real file, else what `pull` takes.
        seconds: how long is watched at most: by "node" after the event, by the others in all.
    """
    lab, folder = matrix.lab, matrix.lab.folder
    for name in ("server", "ready", "happened"):
        (folder / f"{name}.json").unlink(missing_ok=True)
    lab.build(a, b, extra=event == "switch")
    python = [sys.executable, "-m"]
    if way == "node":
        module = "tests.natlab.node"
        server = [*python, module, "share", str(folder), RELAY4]
        by = "tcp" if "pub" in (a, b) else "relayed" if a == b == "edm" else "direct"
        client = [*python, module, "fetch", str(folder), RELAY4, str(seconds), by]
    else:
        server = [*python, "tests.natlab.peer", "serve", str(folder), RELAY4]
        client = [*python, "tests.natlab.pull", str(folder), RELAY4, way, str(seconds)]
    lab.spawn("hB", *server, cwd=str(ROOT))
    puller = lab.spawn("hA", *client, cwd=str(ROOT), stdout=subprocess.PIPE)
    until = time.monotonic() + 90
    while not (folder / "ready.json").exists() and time.monotonic() < until and puller.poll() is None:
        time.sleep(0.02)
    if not (folder / "ready.json").exists():
        logs = lab.logs()
        lab.clear(keep_public=True)
        return Move(event, way, None, {"error": "nothing arrived before the event", "logs": logs})
    time.sleep(0.5)
    at = time.time()
    put(folder, "happened", {"at": at})
    happen(lab, event, a if site == "A" else b, site)
    try:
        printed, _ = puller.communicate(timeout=seconds + 60)
    except subprocess.TimeoutExpired:
        printed = ""
    lab.clear(keep_public=True)
    if puller.stdout is not None:
        puller.stdout.close()
    if not printed.strip():
        return Move(event, way, None, {"logs": lab.logs()})
    said = json.loads(printed.strip().splitlines()[-1])
    happened = at - said["wall"]
    after = [length for begin, length in said["gaps"] if begin + length > happened - 0.3]
    said["event_at"] = round(happened, 2)
    return Move(event, way, max(after, default=0.0), said)
