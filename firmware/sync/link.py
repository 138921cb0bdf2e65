"""The board's link to the shop: records up, receipts down, and every other message of the board.

Runs on the loop thread; the network is a ``Session`` with its own thread, records are the ``Sender``'s.
Nothing is published outside a connection and nothing is queued for a later one: the journal is the queue.
Whatever the broker sends is either understood or counted; it can never stop the loop. Must never block, and
never read or write a file.
"""

from __future__ import annotations

import logging
from asyncio import TimerHandle
from collections import Counter
from collections.abc import Callable
from random import Random

from firmware.loop import Guard
from firmware.sync.link_types import (
    Arrived,
    JournalPort,
    LinkDown,
    LinkEvent,
    LinkSettings,
    LinkUp,
    Row,
)
from firmware.sync.sender import Sender
from firmware.sync.session import Dial, Down, Happened, Message, Puback, Session, Suback, Up
from firmware.sync.window import Backoff
from firmware.wire.strictjson import JsonError, parse_object
from firmware.wire.topics import Topics, parse

__all__ = ["Arrived", "JournalPort", "Link", "LinkDown", "LinkEvent", "LinkSettings", "LinkUp", "Row"]

log = logging.getLogger("link")

TAKE = 16  # happenings handled in one turn: a backlog must not hold the gate's loop
SETTLE_S = 0.2  # after SUBACK: retained acks and store status come before the first record goes
OVERHEAD = 64  # bytes of a PUBLISH besides topic and payload, generously
DIAL_S = 20.0  # from dialling to SUBACK
HUNG_S = 60.0  # a network thread that has not turned for so long: every wait of it is far shorter
ABANDONED = 3  # sessions whose thread hangs in connect or DNS; with so many none is added


class Link:
    """``post`` gets ``LinkEvent``s on the loop thread. ``rng`` seeds the jitter."""

    def __init__(
        self,
        guard: Guard,
        settings: LinkSettings,
        journal: JournalPort,
        post: Callable[[LinkEvent], None],
        *,
        rng: Random | None = None,
        clock_synced: Callable[[], bool] = lambda: True,
    ) -> None:
        rng = rng or Random()
        self.topics = Topics(settings.store_id, settings.board)
        self.up = False
        self.counts: Counter[str] = Counter()
        self.settings = settings
        self._guard, self._post = guard, post
        self._clock_synced = clock_synced
        self._sender = Sender(
            guard, settings, journal, rng, self.counts, self._hand_over, self._lost, self._bad
        )
        self._retry = Backoff(settings.retry_s, settings.retry_max_s, rng)
        self._session: Session | None = None
        self._unanswered: set[int] = set()
        self._abandoned: list[Session] = []
        self._checked_time = True
        self._max_packet = 0
        self._receive_max = 0
        self._workers: dict[str, bool] = {}
        self._closed = self._told = False
        self._dial: TimerHandle | None = None
        self._settle: TimerHandle | None = None

    # -- for the board ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect. Returns at once; ``LinkUp`` follows."""
        self._connect()

    def appended(self) -> None:
        """The journal has a new record: send it when its turn comes."""
        self._sender.appended()

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        expiry_s: int | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> bool:
        """Hand a message over now. False: not connected or no room; it is not kept, ask again."""
        if (
            not self.up
            or self._session is None
            or (qos and not self._sender.room_for_other(self._receive_max))
        ):
            return False
        properties = len(response_topic or "") + len(correlation or b"")
        if len(payload) + len(topic) + properties + OVERHEAD > self._max_packet:
            self.counts["too_large_other"] += 1
            return False
        mid = self._session.publish(topic, payload, qos, retain, expiry_s, response_topic, correlation)
        if mid is None:
            return False
        if qos:
            self._sender.other_sent(mid)
        else:
            self._unanswered.add(mid)
        return True

    def resend_from(self, seq: int) -> None:
        """The store asks for everything from ``seq`` of this epoch again (restored from a backup)."""
        self._sender.resend_from(seq)

    def clock_changed(self) -> None:
        """The clock is synchronised now: a session made without checking certificate dates is renewed."""
        if self._session is not None and not self._checked_time and self._clock_synced():
            self._lost("the clock is set: connecting again with certificate dates checked")

    def check_pulse(self) -> None:
        """Call every second. A connection whose thread stands still is given up for a new one, which the
        board shows as a lost link; the gate needs no restart for it. Dialling is bounded by itself."""
        if self.up and self._session is not None and self._now() - self._session.alive_at > HUNG_S:
            self._lost(f"the network thread has stood still for {HUNG_S:g} s")

    def health(self) -> dict[str, int]:
        """Counters for ``health``: numbers only."""
        shown = {"up": int(self.up)} | self._sender.health() | dict(sorted(self.counts.items()))
        return {f"link_{name}": value for name, value in shown.items()}

    def close(self, wait_s: float = 2.0) -> bool:
        """Say that the board is offline, leave, and end the thread: at most ``wait_s``, for the end of the
        process only. False when the thread still hangs (it is a daemon and dies with the process)."""
        if self._closed:
            return True
        self._closed = True
        for timer in (self._dial, self._settle):
            if timer is not None:
                timer.cancel()
        session, self._session = self._session, None
        ended = True
        if session is not None:
            if self.up:
                session.publish(self.topics.state, self.settings.offline_state, 1, True)
                session.leave()
                ended = session.join(wait_s * 0.75)
            session.drop()
            ended = session.join(wait_s * 0.25) or ended
        self.up = False
        self._sender.close()
        for left in self._abandoned:
            left.drop()
        return ended

    def _hand_over(self, frame: bytes) -> int | None:
        return self._session.publish(self.topics.rec, frame, 1) if self._session is not None else None

    # -- connection ------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._guard.loop.time()

    def _connect(self) -> None:
        if self._closed or self._session is not None:
            return
        self._abandoned = [session for session in self._abandoned if session.running]
        if len(self._abandoned) >= ABANDONED:
            self._dial = self._guard.at(self._now() + self._retry.next(), self._connect)
            return
        chosen = self.settings
        self._checked_time = self._clock_synced()
        dial = Dial(
            host=chosen.host,
            port=chosen.port,
            user=chosen.board,
            keepalive_s=chosen.keepalive_s,
            will_topic=self.topics.state,
            will=chosen.offline_state,
            ca=chosen.ca,
            cert=chosen.cert,
            key=chosen.key,
            check_time=self._checked_time,
            connect_s=chosen.connect_s,
        )
        session = Session(dial, self._wake)
        self._session = session
        self.counts["dials"] += 1
        session.start()
        self._dial = self._guard.at(
            self._now() + DIAL_S, self._lost, f"{chosen.host}:{chosen.port}: no answer for {DIAL_S:g} s"
        )

    def _wake(self, session: Session) -> None:
        """From the network thread. A bound method: a closure over the session would keep it for ever."""
        self._guard.post(self._take, session)

    def _take(self, session: Session) -> None:
        for happened in session.take(TAKE):
            if session is not self._session:
                return  # of a connection that was given up meanwhile
            self._handle(session, happened)

    def _handle(self, session: Session, happened: Happened) -> None:
        match happened:
            case Puback(mid, _) if mid in self._unanswered:
                self._unanswered.discard(mid)  # QoS 0: the client only says that it was written
            case Puback(mid, code):
                if code < 0x80:
                    self._retry.reset()
                self._sender.puback(mid, code)
            case Message():
                if self._max_packet:
                    self._on_message(happened)
            case Up(receive_max, max_packet):
                self._receive_max, self._max_packet = receive_max, max_packet
                self._workers.clear()
                session.subscribe(self._filters())
            case Suback(codes):
                self._on_suback(codes)
            case Down(reason):
                self._lost(reason)

    def _filters(self) -> list[str]:
        """What the board has a use for, and no more: each reconnect brings all of it again."""
        mine, shop = self.topics, self.topics.store
        filters = [shop.every_status, mine.ack, mine.nack, mine.every_cmd, mine.every_ans]
        if self.settings.claims:
            filters += [shop.every_used, shop.every_claim]
        return filters + [shop.every_bucket(name) for name in self.settings.tables]

    def _on_suback(self, codes: tuple[int, ...]) -> None:
        if self.up or not self._max_packet:
            self.counts["strays"] += 1
            return
        refused = [name for name, code in zip(self._filters(), codes, strict=False) if code >= 0x80]
        if refused:
            self.counts["refused_subscriptions"] += len(refused)
            log.error("the broker refuses to send %s: check its access list", ", ".join(refused))
        if self._dial is not None:
            self._dial.cancel()
        self.up = True
        self.counts["connects"] += 1
        log.info("connected to %s:%s", self.settings.host, self.settings.port)
        self._told = False
        self._settle = self._guard.at(self._now() + SETTLE_S, self._open)
        self._post(LinkUp(self._now()))

    def _open(self) -> None:
        if self.up:
            room = self._max_packet - len(self.topics.rec) - OVERHEAD
            self._sender.opened(self._receive_max, room, self._store_online())

    def _lost(self, reason: str) -> None:
        """The connection is over; the next attempt is set."""
        session, self._session = self._session, None
        if session is None:
            return
        session.drop()
        self._abandoned.append(session)
        was_up, self.up = self.up, False
        self._max_packet = 0
        self._unanswered.clear()
        for timer in (self._dial, self._settle):
            if timer is not None:
                timer.cancel()
        self._sender.disconnected()
        if was_up:
            self.counts["losses"] += 1
        if not self._told:
            self._told = True
            log.warning("link lost: %s; records are kept and sent later", reason)
            self._post(LinkDown(reason, self._now()))
        if not self._closed:
            self._dial = self._guard.at(self._now() + self._retry.next(), self._connect)

    # -- what came -------------------------------------------------------------------------------

    def _on_message(self, message: Message) -> None:
        found = parse(message.topic)
        mine = self.topics
        if found is None or found.store != mine.store_id or found.board not in (mine.board, "store"):
            self.counts["unknown_topics"] += 1
            return
        match found.kind:
            case "ack":
                self._sender.ack(message.payload)
            case "nack":
                self._sender.nack(message.payload)
            case "status":
                self._on_status(found.rest[0], message.payload)
            case "cmd" | "ans" | "used" | "claim" | "table" | "delta":
                self._post(
                    Arrived(
                        found.kind,
                        found.rest,
                        message.payload,
                        message.retained,
                        message.correlation,
                        self._now(),
                    )
                )
            case _:
                self.counts["unknown_topics"] += 1

    def _on_status(self, worker: str, payload: bytes) -> None:
        if not payload:
            self._workers.pop(worker, None)  # its retained status was removed
        else:
            try:
                online = parse_object(payload, 4096).get("online")
            except JsonError as error:
                self._bad("store status", error)
                return
            if not isinstance(online, bool) or len(self._workers) >= 64:
                self._bad("store status", ValueError("online must be true or false"))
                return
            self._workers[worker] = online
        self._sender.store_online(self._store_online())

    def _store_online(self) -> bool | None:
        return any(self._workers.values()) if self._workers else None

    def _bad(self, what: str, error: Exception) -> None:
        self.counts["bad_messages"] += 1
        if self.counts["bad_messages"] == 1:
            log.warning(
                "a message from the broker is unreadable: %s: %s (said once, then counted)", what, error
            )
