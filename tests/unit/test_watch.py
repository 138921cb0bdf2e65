"""The live table shows what boards said, and never trusts what came over the wire."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from firmware.health import Fault, health_message, state_message, will_message
from firmware.wire.topics import Topics
from provisioning.watch import SILENT_S, BoardRow, table, take

TOPICS = Topics("demo", "entry-1")


def shown(rows: Mapping[str, BoardRow], now: float) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(table("demo", dict(rows), now))
    return out.getvalue()


def test_board_as_it_describes_itself() -> None:
    fault = Fault("camera", "no new frame for 3 s", "cable, then the lens")
    rows: dict[str, BoardRow] = {}
    state = state_message(
        state="closed", boot="00", epoch=1, first_seq=1, last_seq=9, faults=[fault], last_visit="beef"
    )
    take(rows, TOPICS.state, state, 10.0)
    take(rows, TOPICS.health, health_message({"queued": 3, "queue_age_s": 12.4}), 10.0)
    text = shown(rows, 11.0)
    for words in ("entry-1", "up", "closed", "3 (oldest 12 s)", "beef", "camera", "cable, then the lens"):
        assert words in text
    assert "silent" in shown(rows, 10.0 + SILENT_S + 1)
    take(rows, TOPICS.state, will_message("00"), 12.0)
    assert "lost" in shown(rows, 12.0)


def test_other_topics_and_markup_change_nothing() -> None:
    rows: dict[str, BoardRow] = {}
    for topic in (TOPICS.rec, TOPICS.live, "tallygate/1/demo/store/status/w1", "nonsense", "a/" * 300):
        take(rows, topic, b"{}", 0.0)
    assert rows == {}
    take(rows, TOPICS.state, json.dumps({"online": True, "state": "[red]x[/oops]"}).encode(), 0.0)
    assert "(red)x(/oops)" in shown(rows, 0.0)


@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(["online", "state", "faults", "queued", "queue_age_s", "part"]), inner
                ),
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_message_can_be_shown(payload: bytes) -> None:
    rows: dict[str, BoardRow] = {}
    take(rows, TOPICS.state, payload, 0.0)
    take(rows, TOPICS.health, payload, 0.0)
    shown(rows, 1.0)
