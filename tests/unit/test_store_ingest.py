"""Batches into the ledger: what is stored, what is posted, what is acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Table, event, func, select
from sqlalchemy.exc import OperationalError

from firmware.wire.acks import Ack, Nack
from firmware.wire.records import Alarm, Missing, Refused, Started, frame
from store import journals, schema
from store.ingest import AHEAD, Arrived, Outcome, commit
from store.ledger import migrate, open_ledger
from tests.support import shopfeed as feed

E1, E2 = 0xFEED_0000_0000_0001, 0x2


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Engine]:
    engine = open_ledger(feed.sqlite_url(tmp_path / "ledger.sqlite"))
    migrate(engine)
    yield engine
    engine.dispose()


def send(ledger: Engine, *frames: bytes, board: str = "entry-1") -> Outcome:
    return commit(ledger, [Arrived(board, "rec", data, 1_000) for data in frames])


def tell(ledger: Engine, payload: bytes, board: str = "entry-1") -> Outcome:
    return commit(ledger, [Arrived(board, "state", payload, 2_000)])


def rows(ledger: Engine, table: Table) -> list[dict[str, Any]]:
    with ledger.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table))]


def through(outcome: Outcome) -> list[tuple[str, int, int]]:
    return [(board, ack.epoch, ack.through) for board, ack in outcome.acks]


def test_a_visit_is_posted_to_its_tables(ledger: Engine) -> None:
    made = [
        Started(feed.STAMP, "0.1.0", "power"),
        feed.admitted(5, uses=2),
        feed.passed(5, 2),
        feed.annulled(5, 1, 2),
        Refused(feed.STAMP, 11, "pass", feed.visit(5)),
        feed.basket(b"\x30" + bytes(11), bytes(range(12)), of=5),
        Alarm(feed.STAMP, "tailgate", "two on one pass", feed.visit(5)),
    ]
    outcome = send(ledger, *(feed.framed(E1, seq, record) for seq, record in enumerate(made, 1)))
    assert outcome == Outcome(acks=[("entry-1", Ack(E1, 7))], posted=7)
    name = feed.visit(5).hex()
    (visit,) = rows(ledger, schema.visits)
    assert visit == {
        "visit": name,
        "origin": "pass",
        "opened_ms": feed.STAMP.wall_ms,
        "kind": "entry",
        "campaign": 7,
        "placement": 2,
        "settled_ms": None,
    }
    (admission,) = rows(ledger, schema.admissions)
    assert (admission["seq"], admission["direction"], admission["uses"], admission["clock"]) == (
        2,
        "in",
        2,
        1,
    )
    (passage,) = rows(ledger, schema.passages)
    assert (passage["visit"], passage["ref_seq"], passage["ref_epoch"]) == (name, 2, None)
    (annulment,) = rows(ledger, schema.annulments)
    assert (annulment["uses"], annulment["why"]) == (1, "not-used")
    (refusal,) = rows(ledger, schema.refusals)
    assert (refusal["reason"], refusal["code_kind"], refusal["visit"]) == (11, "pass", name)
    (basket,) = rows(ledger, schema.baskets)
    assert (basket["count"], basket["flags"], basket["visit"]) == (2, 4, name)
    assert [tag["epc"] for tag in rows(ledger, schema.basket_tags)] == [
        "000102030405060708090A0B",
        "300000000000000000000000",
    ]
    (alarm,) = rows(ledger, schema.alarms)
    assert (alarm["kind"], alarm["source"], alarm["subject"]) == ("tailgate", "board", name)
    (started,) = rows(ledger, schema.events)
    assert (started["name"], started["detail"]) == ("started", '{"fw": "0.1.0", "reason": "power"}')


def test_a_basket_without_a_visit_opens_an_anonymous_one_always_the_same(ledger: Engine) -> None:
    data = feed.framed(E1, 1, feed.basket(bytes(12)))
    send(ledger, data)
    (visit,) = rows(ledger, schema.visits)
    assert (visit["origin"], visit["kind"]) == ("anonymous", None)
    assert rows(ledger, schema.baskets)[0]["visit"] == visit["visit"]


def test_what_an_admission_knows_of_a_visit_is_added_when_it_comes_after_its_basket(ledger: Engine) -> None:
    send(ledger, feed.framed(E2, 1, feed.basket(bytes(12), of=5)), board="portal-1")
    send(ledger, feed.framed(E1, 1, feed.admitted(5)))
    send(ledger, feed.framed(E1, 2, feed.passed(5, 1)))
    (visit,) = rows(ledger, schema.visits)
    assert (visit["kind"], visit["campaign"]) == ("entry", 7)


def test_duplicates_change_nothing_and_are_acknowledged(ledger: Engine) -> None:
    frames = feed.visits_of(E1, 4)
    send(ledger, frames[0], frames[0], frames[1])
    outcome = send(ledger, *frames, *frames)
    assert through(outcome) == [("entry-1", E1, 4)]
    assert through(send(ledger, frames[0])) == [("entry-1", E1, 4)]
    assert len(rows(ledger, schema.records)) == 4
    assert len(rows(ledger, schema.admissions)) == 2


def test_of_two_records_with_one_id_the_first_stays(ledger: Engine) -> None:
    first, second = (feed.framed(E1, 1, feed.admitted(visit)) for visit in (5, 6))
    send(ledger, first, second)
    send(ledger, second)
    assert [row["visit"] for row in rows(ledger, schema.admissions)] == [feed.visit(5).hex()]
    assert rows(ledger, schema.records)[0]["body"] == feed.admitted(5).body()


def test_records_behind_a_hole_are_kept_and_posted_in_order_when_it_closes(ledger: Engine) -> None:
    frames = feed.visits_of(E1, 6)
    assert through(send(ledger, frames[5], frames[2])) == [("entry-1", E1, 0)]
    assert rows(ledger, schema.admissions) == []
    assert len(rows(ledger, schema.records)) == 2
    assert through(send(ledger, frames[1], frames[0])) == [("entry-1", E1, 3)]
    assert through(send(ledger, frames[4], frames[3])) == [("entry-1", E1, 6)]
    assert [row["seq"] for row in rows(ledger, schema.admissions)] == [1, 3, 5]


def test_more_kept_records_than_are_read_at_once(ledger: Engine) -> None:
    frames = feed.visits_of(E1, 2 * journals.CHUNK + 3)
    send(ledger, *frames[1:])
    outcome = send(ledger, frames[0])
    assert (outcome.posted, through(outcome)) == (len(frames), [("entry-1", E1, len(frames))])


def test_state_with_a_later_first_seq_makes_a_gap_and_goes_on(ledger: Engine) -> None:
    frames = feed.visits_of(E1, 12)
    send(ledger, *frames[:2])
    send(ledger, frames[4], *frames[8:])
    assert through(tell(ledger, feed.state(E1, 9, 12))) == [("entry-1", E1, 12)]
    (gap,) = rows(ledger, schema.gaps)
    assert (gap["from_seq"], gap["to_seq"]) == (3, 8)
    assert [row["seq"] for row in rows(ledger, schema.admissions)] == [1, 5, 9, 11]
    assert through(tell(ledger, feed.state(E1, 9, 12))) == [("entry-1", E1, 12)]
    assert len(rows(ledger, schema.gaps)) == 1


def test_a_record_that_comes_after_its_gap_was_passed_is_posted_once(ledger: Engine) -> None:
    frames = feed.visits_of(E1, 8)
    tell(ledger, feed.state(E1, 5, 8))
    assert through(send(ledger, *frames[4:])) == [("entry-1", E1, 8)]
    for _ in range(2):
        assert through(send(ledger, frames[2], frames[2])) == [("entry-1", E1, 8)]
    assert [row["seq"] for row in rows(ledger, schema.admissions)] == [3, 5, 7]
    assert rows(ledger, schema.quarantine) == []


def test_a_missing_record_lets_the_old_journal_go_on(ledger: Engine) -> None:
    old = feed.visits_of(E1, 9)
    send(ledger, *old[:2], *old[6:])
    missing = Missing(feed.STAMP, 3, 6, {}, E1)
    outcome = send(ledger, feed.framed(E2, 1, missing))
    assert through(outcome) == [("entry-1", E1, 9), ("entry-1", E2, 1)]
    (gap,) = rows(ledger, schema.gaps)
    assert (gap["from_seq"], gap["to_seq"], gap["reason"]) == (3, 6, "missing record 1")


def test_a_missing_record_of_unknown_length_passes_holes_but_acks_no_record_unseen(ledger: Engine) -> None:
    old = feed.visits_of(E1, 9)
    send(ledger, *old[:2], old[4])
    outcome = send(ledger, feed.framed(E2, 1, Missing(feed.STAMP, 3, 0, {}, E1)))
    assert through(outcome)[0] == ("entry-1", E1, 5)
    assert through(send(ledger, old[7])) == [("entry-1", E1, 8)]


def test_a_missing_record_of_a_journal_never_seen(ledger: Engine) -> None:
    outcome = send(ledger, feed.framed(E2, 1, Missing(feed.STAMP, 1, 4, {}, E1)))
    assert sorted(through(outcome)) == [("entry-1", E2, 1), ("entry-1", E1, 4)]


def test_the_boards_current_journal_is_acknowledged_last(ledger: Engine) -> None:
    tell(ledger, feed.state(E1, 1, 0))
    outcome = send(ledger, feed.visits_of(E1, 1)[0], feed.visits_of(E2, 1)[0])
    assert through(outcome) == [("entry-1", E2, 1), ("entry-1", E1, 1)]


def test_boards_and_epochs_do_not_mix(ledger: Engine) -> None:
    first, second = feed.visits_of(E1, 2), feed.visits_of(E2, 2)
    commit(
        ledger,
        [
            Arrived("entry-1", "rec", first[0], 1),
            Arrived("entry-2", "rec", first[1], 1),
            Arrived("entry-1", "rec", second[0], 1),
        ],
    )
    outcome = commit(ledger, [Arrived("entry-2", "rec", first[0], 1)])
    assert through(outcome) == [("entry-2", E1, 2)]
    assert len(rows(ledger, schema.records)) == 4


def test_a_body_nobody_can_read_is_quarantined_alarmed_and_acknowledged(ledger: Engine) -> None:
    good = feed.visits_of(E1, 3)
    broken = frame(E1, 2, b"\xa1\x00\x18\x63")
    outcome = send(ledger, good[0], broken, good[2])
    assert through(outcome) == [("entry-1", E1, 3)]
    (kept,) = rows(ledger, schema.quarantine)
    assert (kept["seq"], kept["raw"]) == (2, b"\xa1\x00\x18\x63")
    assert "unknown record type 99" in kept["error"]
    assert [row["kind"] for row in rows(ledger, schema.alarms)] == ["quarantined"]
    assert [row["seq"] for row in rows(ledger, schema.admissions)] == [1, 3]


def test_a_basket_whose_tags_do_not_decode_or_add_up_is_quarantined(ledger: Engine) -> None:
    whole = feed.basket(bytes(12))
    cut = type(whole)(feed.STAMP, whole.tags[:-1], 1, "quiet")
    few = type(whole)(feed.STAMP, whole.tags, 2, "quiet")
    assert through(send(ledger, feed.framed(E1, 1, cut), feed.framed(E1, 2, few))) == [("entry-1", E1, 2)]
    assert [row["seq"] for row in rows(ledger, schema.quarantine)] == [1, 2]
    assert rows(ledger, schema.baskets) == []


def test_a_frame_with_a_bad_crc_is_nacked_counted_and_not_stored(ledger: Engine) -> None:
    data = feed.visits_of(E1, 1)[0]
    outcome = send(ledger, data[:-1] + bytes([data[-1] ^ 1]), b"short", data[:-1])
    assert outcome.acks == []
    assert outcome.nacks == [("entry-1", Nack(E1, 1, "crc")), ("entry-1", Nack(E1, 1, "length"))]
    faults = {row["kind"]: row["count"] for row in rows(ledger, schema.wire_faults)}
    assert faults == {"crc": 1, "short": 1, "length": 1}
    assert rows(ledger, schema.records) == []
    assert through(send(ledger, data)) == [("entry-1", E1, 1)]


def test_a_header_of_no_possible_record_is_counted_and_asks_for_nothing(ledger: Engine) -> None:
    outcome = send(ledger, bytes(40))
    assert (outcome.nacks, len(outcome.warnings)) == ([], 1)


def test_a_record_far_ahead_fills_no_disk(ledger: Engine) -> None:
    outcome = send(ledger, feed.framed(E1, AHEAD + 1, feed.admitted(1)))
    assert through(outcome) == [("entry-1", E1, 0)]
    assert rows(ledger, schema.records) == []
    assert [row["kind"] for row in rows(ledger, schema.wire_faults)] == ["ahead"]
    send(ledger, feed.framed(E1, AHEAD, feed.admitted(1)))
    assert [row["seq"] for row in rows(ledger, schema.records)] == [AHEAD]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b'{"online": 1}',
        b'{"online": true, "epoch": "zz"}',
        b'{"online": true, "epoch": "00000000000000ff", "first_seq": -1, "last_seq": 3}',
        feed.state(E1, 9, 3),
        b"\xff" * 9000,
    ],
)
def test_a_state_nobody_can_use_is_counted_and_believed_in_no_part(ledger: Engine, payload: bytes) -> None:
    assert tell(ledger, payload).acks == []
    assert [row["kind"] for row in rows(ledger, schema.wire_faults)] == ["state"]
    assert rows(ledger, schema.journals) == []


def test_the_will_marks_a_board_offline_and_keeps_what_is_known(ledger: Engine) -> None:
    tell(ledger, feed.state(E1, 1, 0))
    tell(ledger, b'{"online": false}')
    (board,) = rows(ledger, schema.boards)
    assert (board["online"], board["fw"], board["epoch"]) == (False, "0.1.0", f"{E1:016x}")


def test_text_that_no_database_takes_does_not_stop_the_batch(ledger: Engine) -> None:
    tell(ledger, b'{"online": true, "state": "a\\u0000b\\ud800", "fw": 7}')
    (board,) = rows(ledger, schema.boards)
    assert (board["state"], board["fw"]) == ("ab", None)


# -- one pass at two gates ---------------------------------------------------------------------


def doubles(ledger: Engine) -> list[tuple[str, bool]]:
    found = [row for row in rows(ledger, schema.alarms) if row["kind"] == "double_entry"]
    return [(row["subject"], row["cleared_ms"] is not None) for row in found]


SUBJECT = feed.visit(5).hex() + "/in"


def test_two_offline_gates_that_granted_the_same_pass_raise_double_entry_once(ledger: Engine) -> None:
    send(ledger, feed.framed(E1, 1, feed.admitted(5, 2, offline=True)))
    assert doubles(ledger) == []
    send(ledger, feed.framed(E2, 1, feed.admitted(5, 2)), board="entry-2")
    send(ledger, feed.framed(E2, 2, feed.admitted(5, 1)), board="entry-2")
    assert doubles(ledger) == [(SUBJECT, False)]
    (alarm,) = (row for row in rows(ledger, schema.alarms) if row["kind"] == "double_entry")
    assert "4 admissions in at entry-1, entry-2 on one pass for 2" in alarm["detail"]


def test_double_entry_within_one_batch(ledger: Engine) -> None:
    data = feed.framed(E1, 1, feed.admitted(5, offline=True))
    commit(ledger, [Arrived("entry-1", "rec", data, 1), Arrived("entry-2", "rec", data, 1)])
    assert doubles(ledger) == [(SUBJECT, False)]


def test_a_party_split_between_two_gates_is_no_double_entry(ledger: Engine) -> None:
    send(ledger, feed.framed(E1, 1, feed.admitted(5, 3)), feed.framed(E1, 2, feed.annulled(5, 2, 1)))
    send(ledger, feed.framed(E2, 1, feed.admitted(5, 2, offline=True)), board="entry-2")
    assert doubles(ledger) == []


def test_an_annulment_that_comes_late_clears_the_alarm(ledger: Engine) -> None:
    send(ledger, feed.framed(E1, 1, feed.admitted(5, offline=True)))
    send(ledger, feed.framed(E2, 1, feed.admitted(5, offline=True)), board="entry-2")
    send(ledger, feed.framed(E1, 2, feed.annulled(5, 1, 1)))
    assert doubles(ledger) == [(SUBJECT, True)]


def test_gates_that_reached_the_broker_raise_nothing(ledger: Engine) -> None:
    send(ledger, feed.framed(E1, 1, feed.admitted(5)))
    send(ledger, feed.framed(E2, 1, feed.admitted(5)), board="entry-2")
    assert doubles(ledger) == []


def test_one_gate_that_granted_twice_has_lost_its_journal(ledger: Engine) -> None:
    send(ledger, *(feed.framed(E1, seq, feed.admitted(5, offline=True)) for seq in (1, 2)))
    ((subject, cleared),) = doubles(ledger)
    assert subject.endswith("5/in")
    assert not cleared


def test_one_gate_that_gave_the_use_back_raises_nothing(ledger: Engine) -> None:
    bodies = (feed.admitted(5), feed.annulled(5, 1, 1), feed.admitted(5))
    send(ledger, *(feed.framed(E1, seq, body) for seq, body in enumerate(bodies, 1)))
    assert doubles(ledger) == []


def test_staff_may_go_in_and_out_at_any_gate(ledger: Engine) -> None:
    for board, epoch in (("entry-1", E1), ("entry-2", E2)):
        send(ledger, feed.framed(epoch, 1, feed.admitted(5, offline=True, kind="staff")), board=board)
    assert doubles(ledger) == []


# -- faults of ours and of the database --------------------------------------------------------


def test_one_record_that_cannot_be_posted_takes_no_other_with_it(
    ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = journals.post

    def faulty(place: Any, record: Any, found: Any) -> None:
        real(place, record, found)
        if place.seq == 3:
            raise KeyError("a defect")
        if place.seq == 5:
            found.facts[schema.admissions][-1]["uses"] = None  # the database refuses it

    monkeypatch.setattr(journals, "post", faulty)
    assert through(send(ledger, *feed.visits_of(E1, 6))) == [("entry-1", E1, 6)]
    assert [row["seq"] for row in rows(ledger, schema.quarantine)] == [3, 5]
    assert [row["seq"] for row in rows(ledger, schema.admissions)] == [1]
    assert len(rows(ledger, schema.passages)) == 3


def test_a_commit_that_fails_stores_nothing_and_raises(ledger: Engine) -> None:
    frames = feed.visits_of(E1, 4)

    def fail(_connection: Any) -> None:
        raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

    event.listen(ledger, "commit", fail)
    with pytest.raises(OperationalError):
        send(ledger, *frames)
    event.remove(ledger, "commit", fail)
    assert rows(ledger, schema.records) == []
    assert through(send(ledger, *frames)) == [("entry-1", E1, 4)]


def test_a_database_that_fails_while_posting_one_by_one_quarantines_nothing(
    ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(_connection: Any, _rows: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("a defect")
        raise OperationalError("INSERT", {}, Exception("disk I/O error"))

    with monkeypatch.context() as patch:
        patch.setattr(journals, "_write", fail)
        with pytest.raises(OperationalError):
            send(ledger, *feed.visits_of(E1, 2))
    assert rows(ledger, schema.quarantine) == []
    assert through(send(ledger, *feed.visits_of(E1, 2))) == [("entry-1", E1, 2)]


def test_a_full_disk_raises_and_quarantines_nothing(ledger: Engine) -> None:
    with ledger.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()

    def limit(connection: Any) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    event.listen(ledger, "begin", limit)
    big = feed.basket(*(bytes([7]) * 11 + bytes([n]) for n in range(200)))
    with pytest.raises(OperationalError, match="full"):
        send(ledger, *(feed.framed(E1, seq, big) for seq in range(1, 40)))
    event.remove(ledger, "begin", limit)
    with ledger.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1073741823")
        assert connection.scalar(select(func.count()).select_from(schema.records)) == 0
    assert rows(ledger, schema.quarantine) == []
