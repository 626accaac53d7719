"""The doctor's other half: what `reach` knows, as checks with a remedy."""

from __future__ import annotations

from servent.api import schema
from servent.net.reach import FamilyView, ReachView

_KINDS = {
    "public": "has a public address",
    "easy": "the router translates addresses in the usual way; direct connections work",
    "symmetric": "the router uses a new port for every peer (symmetric NAT)",
    "udp-blocked": "UDP does not get out",
    "none": "none here",
    "unknown": "not known yet: two peers have to say which address they see",
}


def has_address(family: FamilyView) -> bool:
    """Whether this node has an address of that family at all."""
    return family.kind not in ("none", "unknown") or bool(family.addresses or family.local)


def reach_checks(view: ReachView) -> list[schema.Check]:
    """What `reach` knows, as checks: addresses, the router, the way out, the relay."""
    checks = [_family("ipv4", "IPv4", view.ipv4), _family("ipv6", "IPv6", view.ipv6)]
    outcome = {"public": "pass", "easy": "pass", "symmetric": "warn", "udp-blocked": "fail", "none": "fail"}
    remedies = list(view.remedies)
    checks.append(
        schema.Check(
            name="nat",
            title="How others reach this node",
            outcome=outcome.get(view.nat, "skip"),  # type: ignore[arg-type]
            detail=view.summary,
            remedy=" ".join(remedies),
        )
    )
    mapped = ", ".join(view.mapped)
    checks.append(
        schema.Check(
            name="port-mapping",
            title="Port on the router",
            outcome="pass" if mapped else "skip",
            detail=f"opened by UPnP, PCP or NAT-PMP: {mapped}" if mapped else "the router opened none",
        )
    )
    needed = view.nat in ("symmetric", "udp-blocked")
    checks.append(
        schema.Check(
            name="relay",
            title="Relay",
            outcome="pass" if view.relay else "warn" if needed else "skip",
            detail=f"connected to {view.relay}" if view.relay else "none is connected",
            remedy="Set one: `servent up --relay URL`, or run `servent relay` on a public machine."
            if needed and not view.relay
            else "",
        )
    )
    checks += [
        schema.Check(name=f"tried-{number}", title="Tried", outcome="skip", detail=what)
        for number, what in enumerate(view.tried, 1)
    ]
    return checks


def _family(name: str, title: str, family: FamilyView) -> schema.Check:
    outcome = {"public": "pass", "easy": "pass", "symmetric": "warn", "udp-blocked": "warn", "none": "skip"}
    where = ", ".join(family.addresses or family.local)
    words = _KINDS.get(family.kind, family.kind)
    return schema.Check(
        name=name,
        title=title,
        outcome=outcome.get(family.kind, "skip"),  # type: ignore[arg-type]
        detail=f"{words}{': ' if where else ''}{where}",
    )
