"""Topics: every row of the protocol page, and parsing as strict as building."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.wire.topics import Parsed, StoreTopics, Topics, check_board_id, parse

BOARD = Topics("demo", "entry-1")
SHOP = StoreTopics("demo")
IDS = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)


def test_every_row_is_spelled_as_the_protocol_page_has_it() -> None:
    root = "tallygate/1/demo"
    assert [BOARD.state, BOARD.health, BOARD.rec, BOARD.ack, BOARD.nack, BOARD.live] == [
        f"{root}/entry-1/{name}" for name in ("state", "health", "rec", "ack", "nack", "live")
    ]
    assert BOARD.ask("offer") == f"{root}/entry-1/ask/offer"
    assert BOARD.ans("offer") == f"{root}/entry-1/ans/offer"
    assert BOARD.cmd("open") == f"{root}/entry-1/cmd/open"
    assert (BOARD.every_ans, BOARD.every_cmd) == (f"{root}/entry-1/ans/+", f"{root}/entry-1/cmd/+")
    assert BOARD.used == f"{root}/store/used/entry-1"
    assert BOARD.claim == f"{root}/store/used/entry-1/claim"
    assert BOARD.discovery == "homeassistant/device/tallygate-demo-entry-1/config"
    assert SHOP.status("store") == f"{root}/store/status/store"
    assert SHOP.every_status == f"{root}/store/status/+"
    assert (SHOP.every_used, SHOP.every_claim) == (f"{root}/store/used/+", f"{root}/store/used/+/claim")
    assert SHOP.table("sold", "255") == f"{root}/store/tables/sold/255"
    assert SHOP.delta("keys") == f"{root}/store/tables/keys/0/d"
    assert SHOP.every_table == f"{root}/store/tables/#"
    assert SHOP.every("rec") == f"{root}/+/rec"
    assert SHOP.every("ask") == f"{root}/+/ask/+"
    assert SHOP.of("entry-1") == BOARD
    assert BOARD.store == SHOP


@given(store=IDS, board=IDS.filter(lambda board: board != "store"), name=IDS, bucket=IDS)
def test_what_is_built_is_parsed(store: str, board: str, name: str, bucket: str) -> None:
    own, shop = Topics(store, board), StoreTopics(store)
    for kind in ("state", "health", "rec", "ack", "nack", "live"):
        assert parse(getattr(own, kind)) == Parsed(store, board, kind, ())
    for kind in ("ask", "ans", "cmd"):
        assert parse(getattr(own, kind)(name)) == Parsed(store, board, kind, (name,))
    assert parse(own.used) == Parsed(store, "store", "used", (board,))
    assert parse(own.claim) == Parsed(store, "store", "claim", (board,))
    assert parse(shop.status(name)) == Parsed(store, "store", "status", (name,))
    assert parse(shop.table(name, bucket)) == Parsed(store, "store", "table", (name, bucket))
    assert parse(shop.delta(name, bucket)) == Parsed(store, "store", "delta", (name, bucket))


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "tallygate/1/demo",
        "tallygate/1/demo/entry-1",
        "tallygate/1/demo/entry-1/",
        "tallygate/2/demo/entry-1/state",
        "tallygate/1/demo/entry-1/state/",
        "tallygate/1/demo/entry-1/state/x",
        "tallygate/1/demo/entry-1/cmd",
        "tallygate/1/demo/entry-1/cmd/open/now",
        "tallygate/1/demo/entry-1/cmd/Open",
        "tallygate/1/demo/entry-1/cmd/+",
        "tallygate/1/demo/entry-1/unknown",
        "tallygate/1/demo/ENTRY/state",
        "tallygate/1/demo//state",
        "tallygate/1/demo/store/state",
        "tallygate/1/demo/store/status",
        "tallygate/1/demo/store/used",
        "tallygate/1/demo/store/used/entry-1/claim/x",
        "tallygate/1/demo/store/used/entry-1/grant",
        "tallygate/1/demo/store/tables/sold",
        "tallygate/1/demo/store/tables/sold/0/e",
        "tallygate/1/demo/entry-1/state\n",
        "/tallygate/1/demo/entry-1/state",
        "homeassistant/device/tallygate-demo-entry-1/config",
        "tallygate/1/demo/" + "a" * 33 + "/state",
        "tallygate/1/demo/entry-1/cmd/" + "a" * 200,
    ],
)
def test_a_topic_that_is_no_row_is_none(topic: str) -> None:
    assert parse(topic) is None


@given(st.text(max_size=80))
def test_any_text_parses_to_none_or_to_itself(topic: str) -> None:
    assert parse(topic) is None
    assert parse("tallygate/1/" + topic) is None or topic.count("/") >= 2


@pytest.mark.parametrize("value", ["", "Entry", "a/b", "+", "#", "a b", "ä", "a\n", "a" * 33, "entry_1"])
def test_an_id_that_is_none_is_refused(value: str) -> None:
    for build in (
        lambda: Topics("demo", value),
        lambda: Topics(value, "entry-1"),
        lambda: StoreTopics(value),
        lambda: BOARD.cmd(value),
        lambda: BOARD.ask(value),
        lambda: BOARD.ans(value),
        lambda: SHOP.table("sold", value),
        lambda: SHOP.status(value),
    ):
        with pytest.raises(ValueError, match="must be 1 to 32 characters"):
            build()


def test_store_is_no_board_and_a_kind_must_exist() -> None:
    for board in (lambda: Topics("demo", "store"), lambda: check_board_id("store")):
        with pytest.raises(ValueError, match="reserved"):
            board()
    with pytest.raises(ValueError, match="no kind of topic"):
        SHOP.every("sate")
