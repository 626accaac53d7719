"""A ledger is checked by anyone who has it; whatever is not right in it is found, and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.codec import canonical
from servent.errors import BadMessage, NotFound
from servent.grid import ledger, ledger_files, teams
from servent.grid.audit import Auditor, Known
from servent.grid.balance import CREDIT_LINE
from servent.grid.credit import from_cobblestones
from servent.grid.credit_views import Audited
from servent.grid.ledger import AgreementLine, Earned, Entry, EntryLine
from tests.grid.books import ANN, BOB, CARL, NETWORK, NOW, OPERATIONS, OWNER, PROJECT, Book, manifest, unit

BUDGET = from_cobblestones(1e9)


def audit(book: Book, **more: object) -> Audited:
    auditor = Auditor(book.head(), NOW, **more)  # type: ignore[arg-type]
    for line in book.lines:
        auditor.line(line)
    return auditor.finish()


def wrong(audited: Audited) -> list[str]:
    return [f"{check.what}: {check.words}" for check in audited.checks if not check.ok]


def good() -> Book:
    book = Book()
    book.credit(ANN, range(3))
    book.credit(BOB, range(3))
    book.credit(ANN, range(3, 1003))
    book.credit(BOB, [1], back=True, agreed=False)
    return book


def test_a_right_ledger_holds_and_adds_up() -> None:
    audited = audit(good())
    assert audited.ok, wrong(audited)
    assert (audited.entries, audited.countersigned, audited.open) == (4, 3, 0)
    assert (audited.results, audited.workers) == (1005, 2)
    assert audited.credit == 1005 * OPERATIONS
    assert audited.project == PROJECT.peer and audited.name == "Listen"


def test_an_entry_nobody_agreed_to_is_open_and_no_fault() -> None:
    book = Book()
    book.credit(ANN, range(3), agreed=False)
    audited = audit(book)
    assert audited.ok and (audited.countersigned, audited.open) == (0, 1)


def reversed_order(book: Book) -> None:
    book.lines[0], book.lines[2] = book.lines[2], book.lines[0]


def left_out(book: Book) -> None:
    del book.lines[2:4]


def shortened(book: Book) -> None:
    book.receipts.append(book.receipts[-1])  # the head counts one more


def raised(book: Book) -> None:
    """The project raises a credit afterwards, and signs anew."""
    line = book.lines[0]
    assert isinstance(line, EntryLine)
    entry = ledger.read_entry(line.body)
    group = entry.groups[0]
    more = ledger.Group(group.app, group.operations, group.credit - 1, group.price, group.units)
    changed = msgspec.structs.replace(entry, groups=[more], total=entry.total - 3)
    receipt = ledger.sign_entry(changed, PROJECT)
    book.lines[0] = EntryLine(receipt.body, receipt.signature)


def forged(book: Book) -> None:
    line = book.lines[0]
    assert isinstance(line, EntryLine)
    book.lines[0] = EntryLine(line.body, BOB.sign(ledger.ENTRY_PURPOSE + ledger.entry_hash(line.body)))


def lent_agreement(book: Book) -> None:
    line = book.lines[1]
    assert isinstance(line, AgreementLine)
    book.lines[1] = AgreementLine(1, ledger.agree(book.receipts[0], BOB))


def agreement_of_another(book: Book) -> None:
    book.lines[1] = AgreementLine(1, ledger.agree(book.receipts[2], ANN))


def agreed_twice(book: Book) -> None:
    book.lines.append(book.lines[1])


def sums(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, total=entry.total + 1)


def credited_twice(book: Book) -> None:
    book.credit(ANN, [900])


def credited_again(book: Book) -> None:
    book.credit(BOB, [1])


def taken_back_twice(book: Book) -> None:
    book.credit(BOB, [1], back=True)


def taken_from_nobody(book: Book) -> None:
    book.credit(CARL, [1], back=True)


def taken_back_more(book: Book) -> None:
    book.credit(BOB, [2], back=True, each=OPERATIONS - 1)


def above_the_estimate(book: Book) -> None:
    book.credit(CARL, [1], each=OPERATIONS + 1)


def above_any_core(book: Book) -> None:
    book.credit(CARL, [1], operations=2**40, each=2**40)


def with_a_price(book: Book) -> None:
    book.credit(CARL, [1], price=1100)


def of_an_unknown_app(book: Book) -> None:
    book.apps = []


def of_another_owner(book: Book) -> None:
    """Charges a balance though nobody has agreed."""
    book.network = NETWORK
    book.credit(CARL, [1])


def from_the_future(book: Book) -> None:
    book.credit(CARL, [1], at=NOW + 7200)


def back_in_time(book: Book) -> None:
    book.credit(CARL, [1], at=NOW - 5000)


def with_a_team_that_is_none(book: Book) -> None:
    ticket = teams.invite(CARL, ANN.peer, "Reds", NOW - 10)
    member = teams.accept(ticket, ANN, NOW)
    book.credit(BOB, [77], team=member)


def with_a_team_that_is_over(book: Book) -> None:
    ticket = teams.invite(CARL, BOB.peer, "Reds", NOW - 10_000, lifetime=5000.0)
    book.credit(BOB, [77], team=teams.accept(ticket, BOB, NOW - 9000))


FAULTS: list[tuple[Callable[[Book], None], str]] = [
    (reversed_order, "Each entry follows"),
    (left_out, "Each entry follows"),
    (shortened, "how far its ledger goes"),
    (raised, "Each entry follows"),
    (forged, "has signed every entry"),
    (lent_agreement, "have agreed"),
    (agreement_of_another, "have agreed"),
    (agreed_twice, "have agreed"),
    (lambda book: void(book.credit(CARL, [5], change=sums)), "sums add up"),
    (credited_twice, "credited twice"),
    (credited_again, "credited twice"),
    (taken_back_twice, "credited twice"),
    (taken_from_nobody, "credited twice"),
    (taken_back_more, "credited twice"),
    (above_the_estimate, "above the estimate"),
    (above_any_core, "above the estimate"),
    (with_a_price, "above the estimate"),
    (of_an_unknown_app, "above the estimate"),
    (of_another_owner, "has earned what it spends"),
    (from_the_future, "Time goes forward"),
    (back_in_time, "Time goes forward"),
    (with_a_team_that_is_none, "Teams and members"),
    (with_a_team_that_is_over, "Teams and members"),
]


def void(_: object) -> None: ...


@pytest.mark.parametrize(
    ("break_it", "said"), FAULTS, ids=[f"{f.__name__}-{i}" for i, (f, _) in enumerate(FAULTS)]
)
def test_whatever_is_wrong_is_found_and_said(break_it: Callable[[Book], None], said: str) -> None:
    book = good()
    break_it(book)
    audited = audit(book)
    assert not audited.ok
    assert any(said in line for line in wrong(audited)), wrong(audited)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 255))
def test_no_changed_byte_goes_unseen(at: int, to: int) -> None:
    book = good()
    at %= len(book.lines)
    data = bytearray(ledger.write_line(book.lines[at]))
    place = at * 7919 % len(data)
    if data[place] == to:
        return
    data[place] = to
    auditor = Auditor(book.head(), NOW)
    for index, line in enumerate(book.lines):
        if index != at:
            auditor.line(line)
            continue
        try:
            for damaged in ledger.read_lines(bytes(data)):
                auditor.line(damaged)
        except BadMessage as trouble:
            auditor.broken("chain", str(trouble))
    assert not auditor.finish().ok


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    auditor = Auditor(None, NOW)
    try:
        for line in ledger.read_lines(data):
            auditor.line(line)
    except BadMessage:
        pass
    auditor.finish()
    for read in (ledger.open_head, ledger.read_entry, ledger.read_earned):
        try:
            read(data)
        except BadMessage:
            continue


def test_a_ledger_that_was_rewritten_is_found_by_whoever_kept_the_old_one() -> None:
    book = good()
    known = Known(2, ledger.entry_hash(book.receipts[1].body))
    assert audit(book, known=known).ok
    other = Book()
    for number in range(4):
        other.credit(BOB, [number])
    assert audit(other).ok
    assert any("Nothing of before" in line for line in wrong(audit(other, known=known)))
    short = Book()
    short.credit(ANN, range(3))
    assert any("Nothing of before" in line for line in wrong(audit(short, known=known)))


def test_the_bonus_that_the_manifest_grants_is_allowed() -> None:
    book = Book(signed=manifest(bonus=0.75))
    book.credit(ANN, [1], each=9 * OPERATIONS)
    assert audit(book).ok
    book.credit(ANN, [2], each=11 * OPERATIONS)
    assert not audit(book).ok


def test_what_an_earlier_manifest_granted_stays_granted() -> None:
    book = Book()
    book.credit(ANN, [1], each=5 * OPERATIONS)
    head = book.head(earlier=[manifest(bonus=1.0)])
    auditor = Auditor(head, NOW)
    for line in book.lines:
        auditor.line(line)
    assert auditor.finish().ok
    assert not audit(book).ok


def test_a_budget_that_was_overdrawn_is_found() -> None:
    book = Book(signed=manifest(budget=3 * OPERATIONS))
    book.credit(ANN, range(3))
    assert audit(book).ok
    book.credit(BOB, [1])
    assert any("budget" in line for line in wrong(audit(book)))


def spent(count: int, earned: list[Earned]) -> Audited:
    signed = manifest(network=NETWORK, budget=BUDGET)
    book = Book(signed=signed, network=NETWORK)
    for number in range(count):
        book.credit(ANN, [number], operations=CREDIT_LINE, each=CREDIT_LINE)
    return audit(book, earned=earned)


def earnings(count: int, **more: object) -> list[Earned]:
    """What the owner earned at Carl's project."""
    signed = manifest(CARL, CARL, network=NETWORK, budget=BUDGET)
    book = Book(CARL, signed, NETWORK)
    return [
        Earned(signed, receipt, ledger.agree(receipt, OWNER))
        for receipt in (
            book.credit(OWNER, [n], operations=CREDIT_LINE, each=CREDIT_LINE) for n in range(count)
        )
    ]


def test_an_owner_may_spend_what_it_earned_and_its_line_and_no_more() -> None:
    assert spent(1, []).ok
    assert not spent(2, []).ok
    assert spent(3, earnings(2)).ok
    assert not spent(3, earnings(1)).ok


def test_receipts_that_show_nothing_are_found() -> None:
    earned = earnings(2)
    assert not spent(3, [earned[0], earned[0]]).ok, "the same twice"
    forged = [Earned(e.project, e.receipt, ledger.agree(e.receipt, BOB)) for e in earned]
    assert not spent(3, forged).ok, "agreed to by another"
    own = manifest(BOB, OWNER, network=NETWORK, budget=BUDGET)
    book = Book(BOB, own, NETWORK)
    receipt = book.credit(OWNER, [1], operations=CREDIT_LINE, each=CREDIT_LINE)
    assert not spent(2, [Earned(own, receipt, ledger.agree(receipt, OWNER))]).ok, "of a project of its own"
    free = manifest(CARL, CARL)
    receipt = Book(CARL, free).credit(OWNER, [1], operations=CREDIT_LINE, each=CREDIT_LINE)
    assert not spent(2, [Earned(free, receipt, ledger.agree(receipt, OWNER))]).ok, "nobody paid for it"
    poor = manifest(CARL, CARL, network=NETWORK, budget=CREDIT_LINE // 2)
    receipt = Book(CARL, poor, NETWORK).credit(OWNER, [1], operations=CREDIT_LINE, each=CREDIT_LINE)
    assert not spent(2, [Earned(poor, receipt, ledger.agree(receipt, OWNER))]).ok, "more than its budget"


def test_a_folder_is_checked_with_its_head(tmp_path: Path) -> None:
    folder = good().write(tmp_path / "ledger", parts=3)
    found = ledger_files.audit(folder, NOW)
    assert found.audited.ok, wrong(found.audited)
    assert found.head is not None and len(found.head.segments) == 3
    assert {score.name for score in found.tally.people.values()} == {"Ann", "Bob"}
    assert not ledger_files.audit(folder, NOW, project=bytes(BOB.peer)).audited.ok


@pytest.mark.parametrize("name", ["000002.ledger", "head", "earned"])
def test_a_file_that_was_changed_is_found(tmp_path: Path, name: str) -> None:
    folder = good().write(tmp_path / "ledger", parts=3)
    (folder / name).write_bytes(((folder / name).read_bytes() if name != "earned" else b"") + b"x")
    assert not ledger_files.audit(folder, NOW).audited.ok


def test_a_missing_end_is_found_by_the_head_alone(tmp_path: Path) -> None:
    folder = good().write(tmp_path / "ledger", parts=3)
    (folder / "000003.ledger").unlink()
    assert not ledger_files.audit(folder, NOW).audited.ok
    (folder / "head").unlink()
    assert ledger_files.audit(folder, NOW).audited.ok, "without the head nothing says that more belongs to it"


def test_one_segment_may_be_looked_at_and_nothing_is_no_ledger(tmp_path: Path) -> None:
    folder = good().write(tmp_path / "ledger")
    audited = ledger_files.audit(folder / "000001.ledger", NOW).audited
    assert audited.ok and audited.entries == 4
    with pytest.raises(NotFound):
        ledger_files.audit(tmp_path, NOW)
    with pytest.raises(NotFound):
        ledger_files.audit(tmp_path / "away", NOW)


def test_a_whole_day_of_results_is_checked_in_seconds() -> None:
    book = Book()
    for start in range(0, 30_000, 1000):
        book.credit(ANN, range(start, start + 1000))
        book.credit(BOB, range(start, start + 1000))
    auditor = Auditor(book.head(), NOW)
    for line in book.lines:
        auditor.line(line)
    audited = auditor.finish()
    assert audited.ok and audited.results == 60_000


def test_entries_hold_a_thousand_results_or_what_fits() -> None:
    alike = [ledger.Credited(unit(n), b"a" * 32, 10, 10, 100) for n in range(1500)]
    groups, taken = ledger.pack(alike)
    assert (taken, len(groups)) == (1000, 1)
    different = [ledger.Credited(unit(n), b"a" * 32, 2**50 + n, 2**50, 100) for n in range(1500)]
    groups, taken = ledger.pack(different)
    assert 400 < taken < 1000
    assert len(canonical(groups)) < ledger.ENTRY_BYTES - 1500
