"""Every number of the overlay in one place, with where it comes from; tests and simulations turn them. Pure.

Where no source is named they were chosen by simulation; docs/benchmarks.md has what comes of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """HyParView; times in seconds.

    Attributes:
        active, active_super: neighbours of a leaf, and of a supernode.
        passive, passive_super: others kept in mind.
        join_hops, keep_hops: a newcomer's walk, and how many hops before its end it is kept in mind.
        shuffle_every: +-20 %; `shuffle_own` active and `shuffle_passive` passive records go along.
        stir: share of shuffles with which a neighbour is taken from the passive view even where there is no room.
        answer: for `Accept` or `Decline`; `dial`: before it, while there is no connection.
        again, again_most: until another peer is asked after a `Decline`, doubled each time.
        alarm, alarm_most: until the providers are asked again while nobody is known, doubled each time.
        few_every: they are asked too while fewer peers are known than there is room for neighbours.
        lost, lost_tries: neighbours that went away are tried again, one each `shuffle_every`: so many, so often.
        told_per_minute: passive entries that one neighbour may add.
        per_block, per_block_passive: entries of one /24 (/48).
        per_wide, per_wide_passive: entries of one /16 (/32); one neighbour, and a limit in the passive view at all, only where
            many wide blocks are known.
        relayed: neighbours of which only a relay is known.
        anchors: the longest-lived neighbours, written to disk.
        topics: the network's own and rooms, at most.
    """

    active: int = 5
    active_super: int = 8
    passive: int = 32
    passive_super: int = 64
    join_hops: int = 6
    stir: float = 0.1
    keep_hops: int = 3
    shuffle_every: float = 60.0
    shuffle_own: int = 3
    shuffle_passive: int = 4
    answer: float = 2.0
    dial: float = 8.0
    again: float = 1.0
    again_most: float = 300.0
    alarm: float = 5.0
    alarm_most: float = 300.0
    few_every: float = 600.0
    lost: int = 16
    lost_tries: int = 7
    told_per_minute: int = 16
    per_block: int = 1
    per_block_passive: int = 3
    per_wide: int = 2
    per_wide_passive: int = 4
    relayed: int = 2
    anchors: int = 3
    topics: int = 64


@dataclass(frozen=True, slots=True)
class GossipSettings:
    """Plumtree over the internet (iroh-gossip's 80/40/5 ms suit a LAN); times in seconds.

    Attributes:
        missing, next_source: until a message that was only announced is asked for, and then from the next.
        notice: ids are told together.
        reparent: hops an announcement must be shorter by for its sender to become the parent.
        cache, ids: messages and ids are remembered; `most_kept` and `most_ids` of them.
        per_author, author_burst: messages a second of one author.
    """

    missing: float = 0.4
    next_source: float = 0.2
    notice: float = 0.05
    reparent: int = 7
    cache: float = 30.0
    ids: float = 120.0
    most_ids: int = 50_000
    most_kept: int = 512
    per_author: float = 1.0
    author_burst: float = 20.0


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """Supernodes that are known; times in seconds.

    Attributes:
        lifetime, refresh: of a supernode's record; +-25 %.
        complete: while at most so many are known they are compared with others; a supernode keeps twice as many at most.
        leaf: so many a leaf keeps.
        reconcile_every: with one other supernode, by ranges.
        probe_every, probe_wait, helpers: SWIM among supernodes.
    """

    lifetime: int = 3600
    refresh: float = 1200.0
    complete: int = 4096
    leaf: int = 32
    reconcile_every: float = 300.0
    probe_every: float = 10.0
    probe_wait: float = 3.0
    helpers: int = 3


@dataclass(frozen=True, slots=True)
class ElectionSettings:
    """Who becomes a supernode in the hybrid mode; times in seconds, rates in bytes per second.

    Attributes:
        target, room: leaves a supernode should have, and the most it takes.
        few, many: share of free places below which new ones are needed, and above which an idle one retires.
        samples: in a row with too few free places before anyone acts.
        sample_every: between two samples; `sampled` supernodes each.
        wait: the longest, times (1.2 - score), before a candidate takes the role.
        dwell: the shortest time in the role.
        idle_leaves: with fewer than these for `dwell` an idle one retires.
        hand_over: while it goes on answering.
        floor, floor_share: supernodes there must be at least: so many, or one for so many members.
        session, average_session, up, memory, files, clock: what a candidate must have (seconds, bytes/s, bytes, fds, seconds).
        relaxed_session: while there are fewer than the floor.
        urgent_wait: as `wait`, while there is none at all; anyone who can be reached may then take it.
        receipts, receipt_lifetime: dial-backs from different wide blocks, and how long they count.
    """

    target: int = 100
    room: int = 512
    few: float = 0.2
    many: float = 0.6
    samples: int = 3
    sample_every: float = 12.0
    sampled: int = 5
    wait: float = 120.0
    dwell: float = 1800.0
    idle_leaves: int = 10
    hand_over: float = 60.0
    floor: int = 3
    floor_share: int = 500
    session: float = 1800.0
    average_session: float = 7200.0
    relaxed_session: float = 300.0
    urgent_wait: float = 5.0
    up: float = 250_000.0
    memory: int = 512 << 20
    files: int = 4096
    clock: float = 30.0
    receipts: int = 2
    receipt_lifetime: float = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class HomeSettings:
    """Homes and what they keep; times in seconds.

    Attributes:
        homes, homes_large: of a leaf; the second above `large` members.
        attach_wait: for `Attached`.
        renew: `Attach` again, before `lifetime` ends.
        lease: of a posting at a keyed supernode; said again after `restore`.
        items: most that one publisher may have at a home; `items_server`: in the server mode.
        per_key, per_publisher_key: postings of one key at one supernode, and of one publisher under it.
        common: share of a home's items with a word above which it is not keyed.
        spot_check: one in so many new items is asked for.
        peers: records of peers kept for others.
        disk: bytes of the index above which nothing more is kept for homes of others, so that many keys of one person
            cannot fill the disk. What our own leaves publish is bounded by their number. A million items take 494 MB
            (docs/benchmarks.md).
    """

    homes: int = 2
    homes_large: int = 3
    large: int = 10_000
    attach_wait: float = 3.0
    renew: float = 1200.0
    lifetime: int = 3600
    lease: float = 86_400.0
    restore: float = 43_200.0
    items: int = 2000
    items_server: int = 100_000
    per_key: int = 5000
    per_publisher_key: int = 50
    common: float = 0.05
    spot_check: int = 20
    peers: int = 200_000
    disk: int = 1 << 30


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Questions; times in seconds.

    Attributes:
        hop: for an answer of one supernode. `total`: for all; `total_large` above 100,000 members.
        wanted: results after which no probe is sent.
        batches: supernodes probed at a time. `budget`: messages a question may cost.
        rate, burst: questions per second of one peer; a probe costs `probe_cost`.
        answer_bytes: of one answer.
        canary_every: a home is asked for an item of our own.
        watches, watches_per_peer: standing queries kept for others.
    """

    hop: float = 0.8
    total: float = 4.0
    total_large: float = 8.0
    wanted: int = 1
    batches: tuple[int, ...] = (3, 12, 48, 137)
    budget: int = 200
    rate: float = 5.0
    burst: float = 20.0
    probe_cost: float = 4.0
    answer_bytes: int = 32 * 1024
    canary_every: float = 600.0
    watches: int = 20_000
    watches_per_peer: int = 100


@dataclass(frozen=True, slots=True)
class OverlaySettings:
    """All of it."""

    view: ViewSettings = ViewSettings()
    gossip: GossipSettings = GossipSettings()
    directory: DirectorySettings = DirectorySettings()
    election: ElectionSettings = ElectionSettings()
    home: HomeSettings = HomeSettings()
    search: SearchSettings = SearchSettings()
    record_lifetime: int = 3600
