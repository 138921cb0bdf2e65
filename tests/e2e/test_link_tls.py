"""The link over mutual TLS, also on a board whose clock is not set yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.sync.link import LinkDown, LinkUp
from firmware.wire.broker import BrokerTls
from tests.support.broker import Mosquitto
from tests.support.certificates import Authority, Issued
from tests.support.linkboard import LinkBoard, until


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def tls_broker(folder: Path, authority: Authority, server: Issued) -> Mosquitto:
    folder.mkdir()
    tls = BrokerTls(str(authority.ca), str(server.cert), str(server.key), str(authority.crl))
    return Mosquitto(folder, tls=tls)


@pytest.fixture
def good_broker(tmp_path: Path, authority: Authority) -> Iterator[Mosquitto]:
    with tls_broker(tmp_path / "broker", authority, authority.server()) as broker:
        yield broker


def board_with(
    folder: Path, port: int, authority: Authority, own: Issued, name: str = "entry-1"
) -> LinkBoard:
    return LinkBoard(folder, port, board=name, ca=authority.ca, cert=own.cert, key=own.key)


def test_a_board_with_its_certificate_is_connected(
    tmp_path: Path, authority: Authority, good_broker: Mosquitto
) -> None:
    with board_with(tmp_path / "b", good_broker.port, authority, authority.issue("entry-1")) as board:
        board.link_up()
        assert board.call(board.link.publish, board.link.topics.state, b"{}", 1, True)
        until(lambda: board.call(board.link.health)["link_in_flight"] == 0)


@pytest.mark.parametrize("wrong", ["another authority", "no such file", "expired"])
def test_a_wrong_certificate_is_a_lost_link_with_a_reason(
    tmp_path: Path, authority: Authority, good_broker: Mosquitto, wrong: str
) -> None:
    own, trust = authority.issue("entry-2"), authority
    if wrong == "another authority":
        (tmp_path / "other").mkdir()
        trust = Authority(tmp_path / "other")
    elif wrong == "expired":
        own = authority.issue("entry-2", days=-1)
    else:
        own = Issued(tmp_path / "none.crt", tmp_path / "none.key", 0)
    with board_with(tmp_path / "b", good_broker.port, trust, own, "entry-2") as board:
        until(lambda: board.seen(LinkDown))
        assert not board.seen(LinkUp)
        if wrong == "no such file":
            assert "none.crt" in board.seen(LinkDown)[0].reason


def test_dates_are_not_checked_before_the_clock_is_set_and_are_from_then_on(
    tmp_path: Path, authority: Authority
) -> None:
    """The server's certificate has expired: to a board with a wrong clock every good one looks like that."""
    expired = authority.issue("127.0.0.1", days=-1)
    with (
        tls_broker(tmp_path / "broker", authority, expired) as broker,
        board_with(tmp_path / "b", broker.port, authority, authority.issue("entry-1")) as board,
    ):
        until(lambda: board.seen(LinkDown))
        assert "expired" in board.seen(LinkDown)[0].reason
        synced = False
        board.link._clock_synced = lambda: synced
        board.link_up()
        board.call(board.link.clock_changed)
        assert board.link.up, "nothing changed yet"
        synced = True
        board.call(board.link.clock_changed)
        until(lambda: len(board.seen(LinkDown)) == 2)
        assert "dates" in board.seen(LinkDown)[1].reason
        until(lambda: board.link.counts["dials"] > len(board.seen(LinkUp)) + 2)
        assert not board.link.up
