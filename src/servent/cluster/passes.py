"""Passes: how a node vouches for a process of its own, and who is let in. A core: no clock, no dice.

A process that dials or is dialed shows its pass in the first frame of the connection (see `wire`). It is looked at before anything of
Dask's is read: the process proved its key by TLS; its node signed for that key, this cluster and this role; the cluster's list of members
has that node in that role; the time is right; and such a one has business with us. Both ends look, since both execute what they are sent.
"""

from __future__ import annotations

from servent.cluster.model import PASS_BYTES, Pass, SignedPass
from servent.cluster.rosters import Role, Roster
from servent.codec import Decoder, canonical
from servent.errors import BadMessage, Refused
from servent.identity import Identity, PeerId

PASS_TIME = 15 * 60.0  # s that a pass is good for, as nodes write them; a guess
LONGEST = 3600.0  # s; a pass for longer is not taken
SKEW = 120.0  # s that two members' clocks may differ
LOOK_EVERY = 10.0  # s between two looks for a newer list: so long who was taken off it may stay connected
_PURPOSE = b"servent/cluster pass 1\n"

_passes: Decoder[Pass] = Decoder(Pass, PASS_BYTES)

# With whom each talks. Workers fetch results from each other, clients from workers.
BUSINESS: dict[Role, frozenset[Role]] = {
    "scheduler": frozenset({"scheduler", "worker", "client"}),
    "worker": frozenset({"scheduler", "worker", "client"}),
    "client": frozenset({"scheduler", "worker"}),
}
_DOES: dict[Role, str] = {"scheduler": "have the scheduler", "worker": "have workers", "client": "submit"}
_ASK = "The cluster's owner can change that: `servent grid cluster --help` says how."


def issue(
    node: Identity,
    cluster: bytes,
    process: bytes,
    role: Role,
    now: float,
    name: str = "",
    lifetime: float = PASS_TIME,
) -> SignedPass:
    """A pass for `process`, signed by `node`; whether it may have one is the caller's to know (`Roster.may`).

    Args:
        now: seconds since 1970. lifetime: seconds.
    """
    given = Pass(
        cluster=bytes(cluster),
        node=bytes(node.peer),
        process=bytes(process),
        role=role,
        name=name,
        begins=now,
        ends=now + lifetime,
    )
    body = canonical(given)
    return SignedPass(body, node.sign(_PURPOSE + body))


def read(signed: SignedPass) -> Pass:
    """The pass, after its bytes and its node's signature were checked; whether that node may, `admit` says.

    Raises:
        BadMessage: malformed, or not signed by the node it names.
    """
    shown = _passes.decode(signed.body)
    if not PeerId(shown.node).verify(signed.signature, _PURPOSE + signed.body):
        raise BadMessage("a pass that its node has not signed")
    return shown


def admit(signed: SignedPass, *, peer: bytes, mine: Role, roster: Roster, now: float) -> Pass:
    """The pass of the process at the other end, if it may talk with us.

    Args:
        peer: the key that the other end proved. mine: what we are. roster: of our cluster. now: seconds since 1970.

    Raises:
        BadMessage: malformed, or not signed.
        Refused: somebody else's, of another cluster, out of time, or of a node that is not on the list in that role.
    """
    shown = read(signed)
    if shown.process != bytes(peer):
        raise Refused("this pass was made out to another process", advice="")
    if shown.cluster != roster.cluster:
        raise Refused(f"this process belongs to another cluster than {roster.name}", advice="")
    if shown.ends - shown.begins > LONGEST:
        raise Refused("a pass for more than an hour is not taken", advice="")
    if not shown.begins - SKEW <= now <= shown.ends + SKEW:
        raise Refused(
            f"its pass is good at another time (it ends {shown.ends - now:+.0f} s from now)",
            advice="Set the clocks of both machines.",
        )
    allow(shown, mine=mine, roster=roster)
    return shown


def allow(shown: Pass, *, mine: Role, roster: Roster) -> None:
    """Whether who was admitted may stay, by this list of members. Raises Refused."""
    node = PeerId(shown.node).short
    if roster.member(shown.node) is None:
        raise Refused(f"node {node} is no member of the cluster {roster.name}", advice=_ASK)
    if not roster.may(shown.node, shown.role):
        raise Refused(f"node {node} may not {_DOES[shown.role]} in the cluster {roster.name}", advice=_ASK)
    if shown.role not in BUSINESS[mine]:
        raise Refused(f"a {shown.role} has no business with a {mine}", advice="")
