"""The table: which pair of networks must connect, and which of them directly.

What is direct was measured twice with iroh and observers on two addresses; RFC 4787's words for NATs. Relayed ones
need port guessing (symmetric against port-restricted), have no UDP, or share a carrier's NAT without hairpin.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One pair of sites. `direct`: a direct path must be there within a second of connecting."""

    name: str
    a: str  # who dials
    b: str
    direct: bool
    shared: str | None = None

    @property
    def v6_only(self) -> bool:
        return "nov4" in self.a


CELLS = (
    Cell("pub-pub", "pub", "pub", True),
    Cell("apdf-pub", "apdf", "pub", True),
    Cell("pub-apdf", "pub", "apdf", True),
    Cell("edm-pub", "edm", "pub", True),
    Cell("pub-edm", "pub", "edm", True),
    Cell("eif-eif", "eif", "eif", True),
    Cell("eif-apdf", "eif", "apdf", True),
    Cell("adf-adf", "adf", "adf", True),
    Cell("apdf-apdf", "apdf", "apdf", True),
    Cell("masq-masq", "masq", "masq", True),
    Cell("edm-eif", "edm", "eif", True),
    Cell("eif-edm", "eif", "edm", True),
    Cell("edm-adf", "edm", "adf", True),
    Cell("adf-edm", "adf", "edm", True),
    Cell("edm-apdf", "edm", "apdf", False),
    Cell("apdf-edm", "apdf", "edm", False),
    Cell("edm-edm", "edm", "edm", False),
    Cell("double(apdf/apdf)-apdf", "apdf/apdf", "apdf", True),
    Cell("double-double", "apdf/apdf", "apdf/apdf", True),
    Cell("double(edm/apdf)-apdf", "edm/apdf", "apdf", False),
    Cell("double(edm/apdf)-pub", "edm/apdf", "pub", True),
    Cell("same-lan(apdf)", "apdf", "lan", True),
    Cell("same-lan(edm)", "edm", "lan", True),
    Cell("same-lan(noudp)", "apdf+noudp", "lan", True),
    Cell("same-cgn-no-hairpin", "apdf", "apdf", False, "apdf"),
    Cell("same-cgn-hairpin", "apdf", "apdf", True, "apdf+hairpin"),
    Cell("v6fw-v6fw", "fw+nov4", "fw+nov4", True),
    Cell("v6fw-v6pub", "fw+nov4", "pub+nov4", True),
    Cell("dual-edm+v6fw", "edm+v6", "edm+v6", True),
    Cell("dual-apdf+v6fw", "apdf+v6", "apdf+v6", True),
    Cell("noudp-pub", "apdf+noudp", "pub", False),
    Cell("noudp-apdf", "apdf+noudp", "apdf", False),
    Cell("noudp-noudp", "apdf+noudp", "apdf+noudp", False),
    Cell("tcp443-apdf", "apdf+tcp443", "apdf", False),
    Cell("tcp443-tcp443", "apdf+tcp443", "apdf+tcp443", False),
    Cell("tcp443-reject", "apdf+tcp443+reject", "apdf+tcp443+reject", False),
    Cell("edm+upnp-apdf", "edm+upnp", "apdf", True),
    Cell("edm+upnp-edm", "edm+upnp", "edm", True),
    Cell("edm+upnp-both", "edm+upnp", "edm+upnp", True),
)
