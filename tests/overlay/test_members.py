"""How many members a network seems to have, while who keeps its index changes."""

from __future__ import annotations

from servent.overlay.topology import Topology
from servent.testing.world import World


def test_a_network_does_not_seem_larger_while_supernodes_retire() -> None:
    peers = 40
    world = World(1, Topology("p2p"))
    for _ in range(peers):
        world.add(uptime=36_000.0)
        world.run(world.now + 0.2)
    world.run(120.0)
    server = Topology("server", frozenset({bytes(world.hosts[7].key)}))
    for topology, lasts in ((Topology("hybrid"), 330.0), (server, 90.0)):
        world.shape(topology)
        end = world.now + lasts
        while world.now < end:
            world.run(world.now + 10.0)
            seem = [host.member.directory.members(world.now) for host in world.living()]
            # an estimate: leaves count twice while they change homes (82 with four of six seeds); it was 29 times as many
            assert max(seem) <= 2.2 * peers, f"{max(seem)} at {world.now}"
        if topology.mode == "hybrid":  # a server's leaves hear how many they are with its next record
            assert sorted(seem)[peers // 2] >= 0.5 * peers
