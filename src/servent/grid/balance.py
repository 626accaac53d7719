"""The mutual balance inside a network: who lent how much to whom, and what may still be spent. Pure.

Every result that a project with a budget credits is paid by its owner's balance and goes to the worker's: the sum over all is 0, so credit
cannot be made out of nothing, and a thousand new keys have nothing. A newcomer may go `CREDIT_LINE` below 0, or nobody could begin. Only projects whose owner has
signed that it pays (`manifests.consent`) move balances, each at most its budget. It is counted from ledgers that were checked, of all
projects of the network that this node knows; receipts stand for ledgers that it cannot have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from servent.errors import BadMessage
from servent.grid.credit import from_cobblestones
from servent.grid.credit_views import Balance
from servent.grid.ledger import Earned, Entry, agrees, entry_hash, open_receipt
from servent.grid.manifests import Project, open_project

CREDIT_LINE = from_cobblestones(1000)  # MFLOP; five GFLOPS-days, about two days of one core: a guess


class Paid(NamedTuple):
    """What `project`, which `owner` pays for, has credited `worker` with so far, MFLOP: `charged` to the owner, of which `amount` is good (see `payments`)."""

    project: bytes
    owner: bytes
    worker: bytes
    amount: int
    charged: int


def balances(paid: Iterable[Paid], line: int = CREDIT_LINE) -> list[Balance]:
    """Everybody's, by balance, largest first. `paid`: of all projects of one network, each (project, worker) once."""
    earned: defaultdict[bytes, int] = defaultdict(int)
    spent: defaultdict[bytes, int] = defaultdict(int)
    projects: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for one in paid:
        earned[one.worker] += one.amount
        spent[one.owner] += one.charged
        projects[one.owner].add(one.project)
    people = [
        Balance(peer, earned[peer], spent[peer], line, tuple(sorted(projects[peer])))
        for peer in earned.keys() | spent.keys()
    ]
    return sorted(people, key=lambda one: (-one.balance, one.peer))


def payments(project: Project, charged: Mapping[bytes, int], funds: int | None = None) -> list[Paid]:
    """What a project's ledger moves between balances.

    What is above its budget, or above what its owner can have had, is charged to the owner and good for nobody; each worker bears its part.

    Args:
        charged: by worker, as the ledger says. funds: what the owner had to give as its ledger shows, None where that was seen to beforehand.
    """
    total = sum(amount for worker, amount in charged.items() if worker != project.owner)
    good = min(total, project.budget or 0, total if funds is None else max(0, funds))
    return [
        Paid(
            project.key,
            project.owner,
            worker,
            amount if worker == project.owner or good == total else amount * good // total,
            amount,
        )
        for worker, amount in charged.items()
    ]


def limit(project: Project, paid: int, left: int, sharing: int) -> int | None:
    """MFLOP that a project may pay in all, None for no end.

    Args:
        paid: what its ledger says it has paid. left: what the owner's balance still has (`Balance.left`).
        sharing: how many projects that are paid of the same balance are open here: each gets its part, so that together they cannot spend it twice.
    """
    if project.budget is None:
        return None
    return min(project.budget, max(0, paid) + left // max(1, sharing)) if project.mutual else project.budget


def proven(earned: Sequence[Earned], owner: bytes, network: bytes) -> int:
    """MFLOP that these receipts show `owner` to have earned in `network`, from others.

    Raises:
        BadMessage: one of them shows nothing of the kind.
    """
    seen: set[tuple[bytes, int]] = set()
    sums: defaultdict[bytes, int] = defaultdict(int)
    budgets: dict[bytes, int] = {}
    for one in earned:
        project, entry = open_earned(one)
        if entry.worker != owner or entry.network != network or project.network != network:
            raise BadMessage("a receipt of somebody else, or of another network")
        if project.owner == owner:
            raise BadMessage("a receipt of the owner's own project")
        if (project.key, entry.number) in seen:
            raise BadMessage("the same receipt twice")
        seen.add((project.key, entry.number))
        sums[project.key] += entry.paid if entry.kind == "credit" else -entry.paid
        budgets[project.key] = max(budgets.get(project.key, 0), project.budget or 0)
    return sum(min(amount, budgets[key]) for key, amount in sums.items())


def open_earned(earned: Earned) -> tuple[Project, Entry]:
    """A receipt with its project, after all three signatures were checked. Raises BadMessage."""
    project = open_project(earned.project)
    entry = open_receipt(earned.receipt, project.key)
    if not project.mutual:
        raise BadMessage("a receipt of a project that nobody's balance pays for")
    if not agrees(entry.worker, entry_hash(earned.receipt.body), earned.agreement):
        raise BadMessage("a receipt that its worker has not countersigned")
    return project, entry
