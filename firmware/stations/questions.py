"""A portal's questions to the shop and the answers that count: offer and payment. Loop thread.

A question goes at once or not at all (QoS 0, with an expiry); one that did not go is answered here, so that
nobody waits for it. An answer counts only with the correlation of a question of ours, for the basket and the
version that it was about. The payment code passes through to that one question and is not kept.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from firmware.portal import facts
from firmware.portal.facts import Told
from firmware.sync.link import Arrived, Link
from firmware.wire.asks import EXPIRY_S
from firmware.wire.offers import OfferError, PayQuestion, basket_id, decode_offer, decode_pay_stand

log = logging.getLogger("portal")

MOST_ASKED = 16
"""Questions remembered; an answer to an older one is stray."""
NOT_REACHED = "The shop does not answer"
NAMES = (("offer",), ("pay",))


@dataclass
class _Asked:
    """A question under way: its name, the basket's token, the attempt to pay."""

    name: str
    token: int
    attempt: int = 0


@dataclass
class _Known:
    """A submitted basket as the shop knows it."""

    epoch: int
    first: int
    version: int
    frame: bytes = field(repr=False)

    @property
    def name(self) -> str:
        return basket_id(self.epoch, self.first)


class Questions:
    """``link()``: the board's link, None before there is one. ``tell(answer)`` hands an answer to policy;
    ``later(answer)`` does after the orders that are being carried out."""

    def __init__(
        self,
        link: Callable[[], Link | None],
        tell: Callable[[Told], None],
        later: Callable[[Told], None],
        counts: Counter[str],
    ) -> None:
        self._link, self._tell, self._later, self._counts = link, tell, later, counts
        self._asked: dict[bytes, _Asked] = {}
        self._known: tuple[int, _Known] | None = None

    def submitted(self, answer: facts.Submitted) -> str:
        """This basket is the one that is asked about from here on; returns its name."""
        known = _Known(answer.epoch, answer.first, answer.version, answer.frame)
        self._known = (answer.token, known)
        return known.name

    def offer(self, order: facts.AskOffer) -> None:
        known = self._of(order.token)
        if known is None or not self._ask(_Asked("offer", order.token), known.frame):
            self._later(facts.OfferRefused(order.token, ""))

    def pay(self, order: facts.AskPay, code: bytes | None) -> None:
        """A payment code that did not leave the board is no charge: the shopper may show one again."""
        known = self._of(order.token)
        if known is not None and (order.again or code is not None):
            shown = None if order.again or code is None else code.decode("ascii")
            question = PayQuestion(known.name, known.version, order.total_fen, shown)
            if self._ask(_Asked("pay", order.token, order.attempt), question.encode()):
                return
        if not order.again:
            self._later(facts.PayAnswer(order.token, "declined", why=NOT_REACHED, attempt=order.attempt))

    def arrived(self, event: Arrived) -> None:
        """An answer of the shop, not trusted: another basket's, another version's and garbage are counted."""
        correlation = event.correlation or b""
        asked = self._asked.get(correlation)
        known = self._of(asked.token) if asked is not None else None
        if asked is None or known is None or event.names != (asked.name,):
            self._counts["stray_answers"] += 1
            return
        try:
            told = (_offer if asked.name == "offer" else _stand)(asked, known, event.payload)
        except OfferError as error:
            log.error("an answer of the shop is not understood: %s", error)
            self._counts["bad_answers"] += 1
            return
        if told is None:
            self._counts["stray_answers"] += 1
            return
        if not (isinstance(told, facts.PayAnswer) and told.state == "pending"):
            del self._asked[correlation]  # how a pending payment ended may come behind it
        self._tell(told)

    def _of(self, token: int) -> _Known | None:
        return self._known[1] if self._known is not None and self._known[0] == token else None

    def _ask(self, asked: _Asked, payload: bytes) -> bool:
        """False: it did not go."""
        link = self._link()
        if link is None:
            return False
        correlation = os.urandom(8)
        topic, answer = link.topics.ask(asked.name), link.topics.ans(asked.name)
        if not link.publish(topic, payload, 0, False, EXPIRY_S, answer, correlation):
            return False
        self._asked[correlation] = asked
        while len(self._asked) > MOST_ASKED:
            del self._asked[next(iter(self._asked))]
        return True


def _offer(asked: _Asked, known: _Known, payload: bytes) -> Told | None:
    offer = decode_offer(payload)
    if (offer.basket, offer.version) != (known.name, known.version):
        return None
    if offer.refused:
        return facts.OfferRefused(asked.token, offer.refused)
    return facts.Offered(asked.token, offer.total_fen, offer.list_fen, offer.settled)


def _stand(asked: _Asked, known: _Known, payload: bytes) -> Told | None:
    stand = decode_pay_stand(payload)
    if (stand.basket, stand.version) != (known.name, known.version):
        return None
    visit = bytes.fromhex(stand.visit)
    total, why = stand.total_fen, stand.why
    return facts.PayAnswer(asked.token, stand.state, stand.order, total, visit, why, asked.attempt)
