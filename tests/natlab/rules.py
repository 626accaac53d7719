"""What a router does to packets, as nftables rules. Pure."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("eif", "adf", "apdf", "masq", "edm", "fw")
OPTIONS = ("v6", "noudp", "tcp443", "reject", "upnp", "nov4", "nov6", "hairpin")


@dataclass(frozen=True)
class Router:
    """One box between a host and the public network.

    Kinds, in the words of RFC 4787:
        eif   endpoint-independent mapping and filtering (full cone)
        adf   endpoint-independent mapping, address-dependent filtering
        apdf  endpoint-independent mapping, address-and-port-dependent filtering: the usual home router
        masq  what plain Linux masquerade gives: keeps the port until two clash, filters like apdf
        edm   address-and-port-dependent mapping (symmetric), filters like apdf
        fw    no translation, a stateful firewall only

    Options: v6 also routes IPv6 behind a stateful firewall; noudp drops all UDP; tcp443 lets out nothing but TCP
    to port 443; reject answers with ICMP instead of dropping; upnp runs miniupnpd; nov4/nov6 leave out
    a family; hairpin loops packets from the LAN to its own public address back into the LAN.
    """

    kind: str
    options: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Router:
        kind, *options = text.split("+")
        if kind not in KINDS or not set(options) <= set(OPTIONS):
            raise ValueError(f"no such router: {text}")
        return cls(kind, frozenset(options))

    @property
    def v4(self) -> bool:
        return "nov4" not in self.options

    @property
    def v6(self) -> bool:
        return "nov6" not in self.options and (self.kind == "fw" or "v6" in self.options)


def ruleset(router: Router, wan4: str, lan4: str) -> str:
    """The rules of `router`; `wan4` is its public address, `lan4` the first three numbers of its LAN."""
    parts = [_filter(router)]
    if router.kind != "fw":
        parts.insert(0, _nat(router, wan4, lan4))
    if "upnp" in router.options:
        parts.append(_UPNP)
    return "\n".join(parts)


def _nat(router: Router, wan4: str, lan4: str) -> str:
    independent = router.kind in ("eif", "adf", "apdf")
    hairpin = "hairpin" in router.options
    out = ["table ip natlab {"]
    if independent:
        ends = "inet_service : ipv4_addr . inet_service"
        out += [f" map eim {{ type {ends}; flags dynamic,timeout; timeout 120s; size 65535; }}"]
    out += [" chain pre { type nat hook prerouting priority -100; policy accept;"]
    if independent:
        where = "" if hairpin else 'iifname "wan0"'
        out += [f"  {where} ip daddr {wan4} meta l4proto udp dnat ip to udp dport map @eim"]
    out += [" }", " chain post { type nat hook postrouting priority 100; policy accept;"]
    remember = "meta l4proto udp update @eim { udp sport : ip saddr . udp sport }"
    if independent:
        out += [f'  oifname "wan0" {remember}']
        if hairpin:
            looped = f'oifname "lan0" ip saddr {lan4}.0/24 ct status dnat'
            out += [f"  {looped} {remember}", f"  {looped} snat to {wan4}"]
    out += [f'  oifname "wan0" masquerade {"random,fully-random" if router.kind == "edm" else ""}', " }", "}"]
    return "\n".join(out)


def _filter(router: Router) -> str:
    deny = "reject" if "reject" in router.options else "drop"
    out = ["table inet natlabfilter {"]
    if router.kind == "adf":
        out += [
            " set contacted { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 120s; size 65535; }"
        ]
    out += [" chain forw { type filter hook forward priority 0; policy drop;"]
    if "noudp" in router.options:
        out += [f"  meta l4proto udp {deny}"]
    if "tcp443" in router.options:
        out += [f'  iifname "lan0" meta l4proto udp {deny}', f'  iifname "lan0" tcp dport != 443 {deny}']
    if router.kind == "adf":
        out += ['  iifname "lan0" meta l4proto udp update @contacted { ip daddr . udp sport }']
    out += [
        '  iifname "lan0" accept',
        "  ct state established,related accept",
        "  meta l4proto ipv6-icmp accept",
    ]
    if router.kind == "eif" or "upnp" in router.options:
        out += ["  ct status dnat accept"]
    if router.kind == "adf":
        out += ["  ct status dnat ip saddr . udp dport @contacted accept"]
    out += [
        " }",
        " chain inp { type filter hook input priority 0; policy accept;",
        '  iifname "wan0" ct state new meta l4proto { tcp, udp } drop',
        " }",
        "}",
    ]
    return "\n".join(out)


# The chains miniupnpd puts its mappings into.
_UPNP = """table inet filter {
 chain miniupnpd {
 }
 chain prerouting_miniupnpd {
 }
 chain postrouting_miniupnpd {
 }
 chain forward { type filter hook forward priority 1; policy accept;
  jump miniupnpd
 }
 chain prerouting { type nat hook prerouting priority -101; policy accept;
  jump prerouting_miniupnpd
 }
 chain postrouting { type nat hook postrouting priority 99; policy accept;
  jump postrouting_miniupnpd
 }
}"""


def miniupnpd_conf(wan4: str, lan4: str, lease_file: str, number: int) -> str:
    return "\n".join(
        [
            "ext_ifname=wan0",
            f"ext_ip={wan4}",
            "listening_ip=lan0",
            "http_port=0",
            "enable_natpmp=yes",
            "enable_upnp=yes",
            "secure_mode=yes",
            "min_lifetime=120",
            "max_lifetime=86400",
            "system_uptime=yes",
            f"uuid=00000000-0000-4000-8000-{number:012d}",
            "pcp_allow_thirdparty=no",
            f"lease_file={lease_file}",
            f"allow 1024-65535 {lan4}.0/24 1024-65535",
            "deny 0-65535 0.0.0.0/0 0-65535",
            "",
        ]
    )
