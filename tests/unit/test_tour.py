"""The tour's comparison is loud: a record that is missing, altered or booked otherwise is never "equal"."""

from __future__ import annotations

import io
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from firmware.wire.passes import verify
from firmware.wire.records import Admitted, Alarm, Basket, Passed, Record, Refused, Stamp
from firmware.wire.refusals import REASONS, Refusal
from provisioning import keys, outcomes
from provisioning.ledger_view import LedgerView
from provisioning.listener import Seen
from provisioning.tour import Result, Tour
from provisioning.tour_script import Issuer, Step, steps

STAMP = Stamp(1_700_000_000_000, 1000, b"boot", "declared")
VISIT = bytes(range(8))
EPOCH = 0xFEED
NOW = 1_700_000_000.0


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(1, keys.make(tmp_path / "own"), keys.make(tmp_path / "foreign"), "demo")


def test_every_code_of_the_script_is_what_its_title_says(issuer: Issuer) -> None:
    public = {1: issuer.private.public_key().public_bytes_raw()}
    for step in steps(issuer):
        if step.code is None:
            continue
        verdict = verify(step.code(NOW).encode(), store_id="demo", keys=public, now_s=NOW)
        reasons = [name.removeprefix("refused ") for name in step.expect if name.startswith("refused")]
        if reasons in ([], ["used"]):
            assert not isinstance(verdict, Refusal), step.title
        else:
            assert isinstance(verdict, Refusal), step.title
            assert [verdict.reason] == reasons


def test_script_expects_at_least_the_promised_scenes(issuer: Issuer) -> None:
    expected = Counter(name for step in steps(issuer) for name in step.expect)
    for name in ("admitted", "passed", "annulled", "refused used", "refused expired", "refused foreign"):
        assert expected[name], name
    for name in ("refused damaged", "alarm tailgate", "alarm fire", "basket"):
        assert expected[name], name


def ledger(path: Path, records: list[tuple[int, bytes, str]]) -> LedgerView:
    """A ledger as the store makes it, written by its own code where it matters: the schema."""
    from store.ledger import migrate, open_ledger

    engine = open_ledger(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    db = sqlite3.connect(path)
    db.execute("INSERT INTO boards (board) VALUES ('entry-1')")
    db.execute(
        "INSERT INTO journals (id, board, epoch, through, opened_ms) VALUES (1, 'entry-1', ?, 0, 0)",
        (f"{EPOCH:016x}",),
    )
    db.execute("INSERT INTO visits (visit, origin, opened_ms) VALUES (?, 'pass', 0)", (VISIT.hex(),))
    for seq, body, table in records:
        db.execute("INSERT INTO records (journal, seq, body, received_ms) VALUES (1, ?, ?, 0)", (seq, body))
        if table == "admissions":
            db.execute(
                "INSERT INTO admissions (journal, seq, at_ms, clock, flags, visit, direction, uses) "
                "VALUES (1, ?, 0, 2, 0, ?, 'in', 1)",
                (seq, VISIT.hex()),
            )
    db.commit()
    db.close()
    return LedgerView(path)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("none", ""),
        ("missing", "is not in the ledger"),
        ("altered", "has other bytes"),
        ("unbooked", "became nothing"),
        ("unexpected", "expected 1 × passed"),
    ],
)
def test_difference_is_loud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, words: str) -> None:
    monkeypatch.setattr("provisioning.tour.LEDGER_S", 0.1)
    record = Admitted(STAMP, VISIT, "in", 1, "entry")
    body = record.body()
    stored = {"missing": [], "altered": [(1, body + b"x", "admissions")], "unbooked": [(1, body, "")]}
    view = ledger(tmp_path / "ledger.sqlite", stored.get(fault, [(1, body, "admissions")]))
    tour = Tour(Console(file=io.StringIO()), None, None, tmp_path, 0.0)  # type: ignore[arg-type]
    expect = {"passed": 1} if fault == "unexpected" else {"admitted": 1}
    tour.results = [Result(Step("a pass", expect), [Seen(EPOCH, 1, body, record)])]
    assert tour.compare(view) is (fault == "none")
    assert words in tour.summary()
    assert ("NOT EQUAL" in tour.summary()) is (fault != "none")
    out = io.StringIO()
    Console(file=out, width=120).print(tour.table())
    assert ("NOT EQUAL" in out.getvalue()) is (fault != "none")
    view.close()


@pytest.mark.parametrize(
    ("record", "name", "words"),
    [
        (Admitted(STAMP, VISIT, "in", 2, "entry"), "admitted", "opened for 2 people"),
        (Passed(STAMP, VISIT, "in", 1), "passed", "somebody went in"),
        (Refused(STAMP, REASONS["expired"].number, "pass"), "refused expired", "has expired"),
        (Refused(STAMP, 999, "other"), "refused 999", "unknown"),
        (Alarm(STAMP, "tailgate", ""), "alarm tailgate", "ALARM tailgate"),
        (Basket(STAMP, b"\x01", 3, "quiet"), "basket", "3 tagged items"),
    ],
)
def test_records_in_words(record: Record, name: str, words: str) -> None:
    assert outcomes.outcome(record) == name
    assert words in outcomes.sentence(record)


def test_ledger_that_is_not_there(tmp_path: Path) -> None:
    from provisioning.trouble import Trouble

    with pytest.raises(Trouble, match="cannot be read"):
        LedgerView(tmp_path / "nothing.sqlite")
