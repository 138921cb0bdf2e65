"""Remote commands: strict codec, and an inbox that obeys each at most once and only in time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from firmware.wire.commands import (
    NAMES,
    REASONS,
    REMEMBERED,
    Command,
    CommandError,
    CommandRefused,
    Inbox,
    decode,
)

NOW = 1_800_000_000_000
GOOD: dict[str, Any] = {
    "id": "op-00000001",
    "name": "open",
    "issued_at_ms": NOW - 1000,
    "expires_at_ms": NOW + 9000,
    "args": {},
}
ARGS = {"resend-from": {"epoch": "00000000000000ff", "seq": 1}, "count": {"items": 12}}


def command(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def accept(payload: bytes, inbox: Inbox | None = None, **changes: Any) -> Command | CommandRefused:
    options = {"retained": False, "now_ms": NOW, "quality": "synced"} | changes
    return (inbox or Inbox()).accept(payload, **options)


def reason(verdict: Command | CommandRefused) -> str | None:
    return verdict.reason if isinstance(verdict, CommandRefused) else None


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_obeyed_once_in_time(name: str) -> None:
    sent = Command("op-00000001", name, NOW - 1000, NOW + 9000, ARGS.get(name, {}))
    inbox = Inbox()
    assert accept(sent.encode(), inbox, topic_name=name) == sent
    assert reason(accept(sent.encode(), inbox, topic_name=name)) == "repeated"


@pytest.mark.parametrize(
    ("payload", "options", "why"),
    [
        (command(), {"retained": True}, "retained"),
        (command(), {"now_ms": NOW + 9000}, "late"),
        (command(), {"now_ms": NOW + 8999}, None),
        (command(), {"now_ms": NOW - 31_001}, "future"),
        (command(), {"now_ms": NOW - 31_000}, None),
        (command(expires_at_ms=NOW + 59_001), {}, "long-lived"),
        (command(expires_at_ms=NOW + 59_000), {}, None),
        (command(), {"quality": "unsynced"}, "clock-unsure"),
        (command(), {"quality": "declared"}, None),
        (command(name="locate"), {"quality": "unsynced"}, None),
        (command(name="locate"), {"quality": "unsynced", "now_ms": 0}, None),
        (command(name="lockdown"), {"quality": "unsynced", "now_ms": NOW * 2}, None),
        (command(name="locate"), {"quality": "synced", "now_ms": NOW * 2}, "late"),
        (command(name="locate", expires_at_ms=NOW + 60_000), {"quality": "unsynced"}, "long-lived"),
        (command(name="release"), {"quality": "unsynced"}, "clock-unsure"),
        (command(), {"topic_name": "locate"}, "wrong-topic"),
        (command(), {"topic_name": "open"}, None),
        (command(name="fire-test"), {}, "unknown-name"),
        (command(name=""), {}, "unknown-name"),
        (b" " * 4097, {}, "too-long"),
        (command() + b" " * (4096 - len(command())), {}, None),
    ],
)  # fmt: skip
def test_what_must_not_be_obeyed(payload: bytes, options: dict[str, Any], why: str | None) -> None:
    verdict = accept(payload, **options)
    assert reason(verdict) == why
    if isinstance(verdict, CommandRefused):
        assert verdict.reason in REASONS
        assert verdict.detail


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "not JSON"),
        (b"null", "not a JSON object"),
        (b"{" * 2000, "not JSON"),
        (b"[" * 4096, "not JSON"),
        (b"\x80", "not UTF-8"),
        (b'{"id":"op-00000001",' + command()[1:], "given twice"),
        (command(more=1), "unknown key"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "args"}).encode(), "missing key args"),
        (command(id=5), "id must be"),
        (command(id="short"), "id must be"),
        (command(id="x" * 65), "id must be"),
        (command(id="op-0000000\n"), "id must be"),
        (command(name=5), "name must be text"),
        (command(name=["open"]), "name must be text"),
        (command(args=[]), "args must be an object"),
        (command(args=None), "args must be an object"),
        (command(issued_at_ms=1.5), "issued_at_ms must be"),
        (command(issued_at_ms="1"), "issued_at_ms must be"),
        (command(issued_at_ms=-1), "issued_at_ms must be"),
        (command(expires_at_ms=2**60), "expires_at_ms must be"),
        (command(expires_at_ms=True), "expires_at_ms must be"),
        (command(expires_at_ms=NOW - 1000), "later than"),
        (command(args={"visit": "0123"}), "visit must be 16"),
        (command(args={"visti": "0123456789abcdef"}), "unknown key"),
        (command(name="close", args={"visit": "0123456789abcdef"}), "unknown key"),
        (command(name="locate", args={"seconds": 0}), "seconds must be"),
        (command(name="locate", args={"seconds": 61}), "seconds must be"),
        (command(name="resend-from"), "missing key epoch"),
        (command(name="resend-from", args={"epoch": "00000000000000ff", "seq": 0}), "seq must be"),
        (command(name="resend-from", args={"epoch": "ff", "seq": 1}), "epoch must be"),
    ],
)
def test_a_malformed_command_says_what_is_wrong(payload: bytes, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        decode(payload)
    assert reason(accept(payload)) == "malformed"


def test_a_refusal_names_the_command_where_it_can() -> None:
    verdict = accept(command(name="explode"))
    assert isinstance(verdict, CommandRefused)
    assert verdict.id == "op-00000001"


def test_encode_refuses_what_a_board_would_not_read() -> None:
    with pytest.raises(CommandError, match="visit"):
        Command("op-00000001", "open", NOW, NOW + 1, {"visit": 5}).encode()


def test_a_refused_command_may_still_come_in_time() -> None:
    inbox = Inbox()
    assert reason(accept(command(), inbox, now_ms=NOW - 40_000)) == "future"
    assert inbox.seen() == []
    assert isinstance(accept(command(), inbox), Command)


def test_a_repeat_is_refused_across_a_restart() -> None:
    before = Inbox()
    assert isinstance(accept(command(), before), Command)
    after = Inbox()
    after.restore(json.loads(json.dumps(before.seen())))
    assert reason(accept(command(), after)) == "repeated"


def numbered(number: int, **changes: Any) -> bytes:
    return command(id=f"op-{number:08d}", **changes)


def test_memory_is_bounded_and_never_forgets_what_could_be_repeated() -> None:
    inbox = Inbox()
    for number in range(REMEMBERED):
        assert isinstance(accept(numbered(number), inbox), Command)
    assert reason(accept(numbered(9999), inbox)) == "flood"
    assert reason(accept(numbered(0), inbox)) == "repeated"
    # harmless ones are obeyed all the same, and not at the price of the memory
    assert isinstance(accept(numbered(9998, name="locate"), inbox), Command)
    assert len(inbox.seen()) == REMEMBERED
    later = NOW + 9000
    for number in range(1000, 1500):
        fresh = numbered(number, issued_at_ms=later, expires_at_ms=later + 1 + number)
        assert isinstance(accept(fresh, inbox, now_ms=later + number), Command)
    assert len(inbox.seen()) == REMEMBERED


def test_harmless_commands_cannot_fill_the_memory_with_far_expiries() -> None:
    inbox = Inbox()
    far = NOW * 100
    for number in range(REMEMBERED + 5):
        payload = numbered(number, name="locate", issued_at_ms=far, expires_at_ms=far + 1)
        assert isinstance(accept(payload, inbox, quality="unsynced"), Command)
    assert isinstance(accept(numbered(9999), inbox), Command)
    assert len(inbox.seen()) == REMEMBERED


def test_an_unsure_clock_forgets_nothing() -> None:
    inbox = Inbox()
    for number in range(REMEMBERED):
        accept(numbered(number), inbox)
    before = inbox.seen()
    locate = numbered(9999, name="locate")
    assert isinstance(accept(locate, inbox, quality="unsynced", now_ms=NOW * 2), Command)
    assert inbox.seen() == before


def test_restore_keeps_the_newest() -> None:
    inbox = Inbox()
    inbox.restore([(f"op-{number:08d}", NOW) for number in range(REMEMBERED + 10)])
    assert len(inbox.seen()) == REMEMBERED
    assert inbox.seen()[0] == ("op-00000010", NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    payload=st.binary(max_size=300) | st.dictionaries(st.sampled_from([*GOOD, "x"]), JSON).map(
        lambda changes: json.dumps(GOOD | changes).encode()
    ),
    now_ms=st.integers(),
    retained=st.booleans(),
    quality=st.sampled_from(["synced", "declared", "unsynced"]),
)  # fmt: skip
@settings(deadline=None)
def test_any_payload_gives_a_verdict(payload: bytes, now_ms: int, retained: bool, quality: str) -> None:
    verdict = accept(payload, now_ms=now_ms, retained=retained, quality=quality)
    if isinstance(verdict, Command):
        assert not retained
        assert decode(verdict.encode()) == verdict
    else:
        assert verdict.reason in REASONS


class Obeyed(RuleBasedStateMachine):
    """Whatever is sent, whenever, across restarts: no command that opens is obeyed twice or late."""

    def __init__(self) -> None:
        super().__init__()
        self.inbox = Inbox()
        self.now_ms = NOW
        self.obeyed: set[str] = set()

    @rule(
        number=st.integers(0, 12),
        age_ms=st.integers(-70_000, 70_000),
        life_ms=st.integers(1, 70_000),
        retained=st.booleans(),
        quality=st.sampled_from(["synced", "unsynced"]),
    )
    def send(self, number: int, age_ms: int, life_ms: int, retained: bool, quality: str) -> None:
        issued = self.now_ms - age_ms
        verdict = accept(
            numbered(number, issued_at_ms=issued, expires_at_ms=issued + life_ms),
            self.inbox,
            now_ms=self.now_ms,
            retained=retained,
            quality=quality,
        )
        in_time = -30_000 <= age_ms < life_ms <= 60_000 and not retained and quality == "synced"
        id_ = f"op-{number:08d}"
        assert isinstance(verdict, Command) == (in_time and id_ not in self.obeyed)
        if isinstance(verdict, Command):
            self.obeyed.add(id_)

    @rule(ms=st.integers(0, 100_000))
    def wait(self, ms: int) -> None:
        self.now_ms += ms

    @rule()
    def restart(self) -> None:
        fresh = Inbox()
        fresh.restore(self.inbox.seen())
        self.inbox = fresh

    @invariant()
    def bounded(self) -> None:
        assert len(self.inbox.seen()) <= REMEMBERED


TestObeyed = Obeyed.TestCase
TestObeyed.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
