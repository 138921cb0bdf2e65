"""Passes: round trip, damage, time, rotation, and what a screenshot is worth."""

from __future__ import annotations

import math
import random

import pytest
from base45 import b45decode, b45encode
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.wire import passes
from firmware.wire.issue import Issued, issue, new_seed, new_visit_id
from firmware.wire.passes import Pass, PassError, decode, verify
from firmware.wire.refusals import Refusal

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC = KEY.public_key().public_bytes_raw()
KEYS = {1: PUBLIC}
ISSUED_AT = 1_800_000_000
BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


def make(**changes: object) -> Issued:
    fields: dict[str, object] = {
        "key_id": 1,
        "store_id": "demo",
        "visit": bytes.fromhex("0123456789abcdef"),
        "issued_at": ISSUED_AT,
        "valid_for": 3600,
        "seed": bytes(range(12)),
    }
    key = changes.pop("key", KEY)
    return issue(key, **(fields | changes))  # type: ignore[arg-type]


def check(text: str | bytes, now_s: float = ISSUED_AT, **changes: object) -> Pass | Refusal:
    data = text.encode() if isinstance(text, str) else text
    options: dict[str, object] = {"store_id": "demo", "keys": KEYS, "now_s": now_s}
    return verify(data, **(options | changes))  # type: ignore[arg-type]


def test_a_pass_is_116_bytes_and_fills_a_version_7_m_code() -> None:
    text = make().shown_at(ISSUED_AT)
    assert passes.BODY_BYTES == 40
    assert passes.PASS_BYTES == 116
    assert len(text) == 178  # just what a version 7 code at level M holds in alphanumeric mode
    assert set(text) <= set(BASE45)


@given(
    key_id=st.integers(0, 255),
    visit=st.binary(min_size=8, max_size=8),
    kind=st.sampled_from(["entry", "exit", "staff", "technician"]),
    party=st.integers(1, 15),
    campaign=st.integers(0, 2**32 - 1),
    placement=st.integers(0, 2**16 - 1),
    issued_at=st.integers(0, 2**32 - 1),
    valid_for=st.integers(1, 7200),
    settled=st.booleans(),
    seed=st.binary(min_size=12, max_size=12),
    share=st.floats(0, 1, exclude_max=True),
    skew=st.floats(-30, 30),
)
@settings(max_examples=150, deadline=None)
def test_what_is_issued_is_what_a_board_accepts_within_one_step_of_skew(
    share: float, skew: float, **fields: object
) -> None:
    issued = make(**fields)
    now = issued.fields.issued_at + math.floor(share * issued.fields.valid_for)
    shown = check(issued.shown_at(now), now + skew, keys={fields["key_id"]: PUBLIC})
    assert isinstance(shown, Pass)
    assert {name: getattr(shown, name) for name in fields if name != "seed"} == {
        name: value for name, value in fields.items() if name != "seed"
    }
    assert shown == issued.fields


def test_every_truncation_is_refused() -> None:
    text = make().shown_at(ISSUED_AT)
    raw = b45decode(text[4:].encode())
    for length in range(len(text)):
        assert isinstance(check(text[:length]), Refusal), length
    for length in range(len(raw)):
        assert check(b"TG1:" + b45encode(raw[:length])) == Refusal("damaged"), length


def test_every_single_bit_flip_is_refused() -> None:
    raw = b45decode(make().shown_at(ISSUED_AT + 45)[4:].encode())
    reasons = set()
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 0x80 >> bit % 8
        verdict = check(b"TG1:" + b45encode(bytes(flipped)), ISSUED_AT + 45)
        assert isinstance(verdict, Refusal), bit
        reasons.add(verdict.reason)
    assert reasons == {"unknown-version", "unknown-key", "foreign", "damaged", "bad-signature", "stale-code"}


def test_every_other_character_at_every_place_is_refused() -> None:
    text = make().shown_at(ISSUED_AT)
    for place in range(len(text)):
        for character in BASE45 + "az\n\x00":
            changed = text[:place] + character + text[place + 1 :]
            assert changed == text or isinstance(check(changed), Refusal), (place, character)


@pytest.mark.parametrize("before", ["", " ", "\ufeff", "\n"])
@pytest.mark.parametrize("after", ["", " ", "\n", "\r\n", "\x00", "0", "00", "000"])
def test_nothing_may_stand_around_a_pass(before: str, after: str) -> None:
    verdict = check(before + make().shown_at(ISSUED_AT) + after)
    assert isinstance(verdict, Refusal) == bool(before or after)


def test_lower_case_is_refused() -> None:
    text = make().shown_at(ISSUED_AT)
    assert check(text.lower()) == Refusal("not-a-pass")
    assert check("TG1:" + text[4:].lower()) == Refusal("damaged")


def test_a_second_spelling_of_the_same_bytes_does_not_exist() -> None:
    assert check("TG1:" + ":::") == Refusal("damaged")  # 91124 does not fit in two bytes
    with pytest.raises(PassError, match="Base45"):
        decode(b"TG1:" + b":::" + make().shown_at(ISSUED_AT).encode()[7:])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not-a-pass"),
        (b"TG1", "not-a-pass"),
        (b"TG2:00", "not-a-pass"),
        (b"TG1:", "damaged"),
        (b"TG1:" + b"0" * 174, "unknown-version"),
        (b"TG1:" + b"0" * 508, "damaged"),
        (b"TG1:" + b"0" * 509, "too-long"),
        (b"\xff" * 513, "too-long"),
        (b"TG1:\xff\xfe\x00", "damaged"),
    ],
)
def test_other_input_is_refused_by_name(data: bytes, reason: str) -> None:
    assert check(data) == Refusal(reason)


def test_cheap_checks_come_before_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "signature_holds", lambda *_: pytest.fail("a signature was verified"))
    text = make().shown_at(ISSUED_AT)
    assert check(text, store_id="other") == Refusal("foreign")
    assert check(text, keys={2: PUBLIC}) == Refusal("unknown-key")
    assert check(text[:-3]) == Refusal("damaged")


def resigned(body: bytes, offset: int, value: bytes) -> bytes:
    """A body with other bytes at ``offset``, signed by the real key: only range checks can refuse it."""
    body = body[:offset] + value + body[offset + len(value) :]
    return passes.encode(body, KEY.sign(b"TG1:" + body), bytes(12)).encode()


@pytest.mark.parametrize(
    ("offset", "value"),
    [(14, b"\x00"), (14, b"\x05"), (14, b"\x21"), (14, b"\x81"), (15, b"\x00"), (15, b"\x10"),
     (26, b"\x00\x00"), (26, (7201).to_bytes(2, "big"))],
)  # fmt: skip
def test_a_signed_pass_with_a_field_out_of_range_is_refused(offset: int, value: bytes) -> None:
    assert check(resigned(make().body, offset, value)) == Refusal("damaged")


def test_a_signed_pass_of_another_version_is_refused() -> None:
    assert check(resigned(make().body, 0, b"\x02")) == Refusal("unknown-version")
    with pytest.raises(PassError, match="version 2"):
        passes.decode_body(b"\x02" + make().body[1:])


def test_a_signature_over_the_bare_body_is_no_pass() -> None:
    body = make().body
    assert check(passes.encode(body, KEY.sign(body), bytes(12)).encode()) == Refusal("bad-signature")


# -- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset_s", "reason"),
    [(-30.001, "not-yet-valid"), (-30, None), (-0.001, None), (0, None), (59.999, None), (60, "stale-code")],
)
def test_the_first_text_around_the_time_of_issue(offset_s: float, reason: str | None) -> None:
    verdict = check(make().shown_at(ISSUED_AT), ISSUED_AT + offset_s)
    assert verdict == (Refusal(reason) if reason else make().fields)


@pytest.mark.parametrize("valid_for", [1, 29, 30, 31, 59, 60, 61, 3600, 7199, 7200])
def test_the_last_text_lives_one_step_longer_than_the_pass(valid_for: int) -> None:
    issued = make(valid_for=valid_for)
    end = ISSUED_AT + valid_for
    text = issued.shown_at(end - 0.001)
    assert isinstance(check(text, end - 0.001), Pass)
    assert check(text, end + 30) == Refusal("expired")
    # a step that ends with the pass: its text is good for one more; a step cut short by the end: until expiry
    assert isinstance(check(text, end + 29.999), Pass)


def test_a_screenshot_is_worth_nothing_after_one_step() -> None:
    issued = make()
    for step in (0, 1, 5, 60, 118):
        start = ISSUED_AT + step * 30
        screenshot = issued.shown_at(start + 29)
        assert isinstance(check(screenshot, start + 59.999), Pass)
        assert check(screenshot, start + 60) == Refusal("stale-code")
        assert check(screenshot, start - 31) == Refusal("not-yet-valid" if step == 0 else "stale-code")


def test_a_text_seen_once_gives_no_later_text() -> None:
    issued = make()
    _, signature, preimage = decode(issued.shown_at(ISSUED_AT + 300).encode())
    visit = issued.fields.visit
    for links in range(30):
        forged = passes.encode(issued.body, signature, passes.chain_forward(visit, preimage, links))
        assert check(forged, ISSUED_AT + 400) == Refusal("stale-code")


def test_step_of_counts_from_the_time_of_issue() -> None:
    fields = make().fields
    assert [passes.step_of(fields, ISSUED_AT + s) for s in (-0.1, 0, 29.9, 30, 61)] == [-1, 0, 0, 1, 2]


@pytest.mark.parametrize("now_s", [math.nan, math.inf, -math.inf])
def test_a_clock_that_gives_no_number_refuses(now_s: float) -> None:
    assert check(make().shown_at(ISSUED_AT), now_s) == Refusal("clock-unsure")


@pytest.mark.parametrize("now_s", [-1e300, -1.0, 0.0, 1e300])
def test_an_absurd_clock_refuses(now_s: float) -> None:
    assert isinstance(check(make().shown_at(ISSUED_AT), now_s), Refusal)


# -- keys ----------------------------------------------------------------------------------------


def test_old_and_new_key_are_good_side_by_side() -> None:
    keys = {1: PUBLIC, 2: OTHER_KEY.public_key().public_bytes_raw()}
    old = make().shown_at(ISSUED_AT)
    new = make(key=OTHER_KEY, key_id=2).shown_at(ISSUED_AT)
    assert isinstance(check(old, keys=keys), Pass)
    assert isinstance(check(new, keys=keys), Pass)
    del keys[1]
    assert check(old, keys=keys) == Refusal("unknown-key")
    assert isinstance(check(new, keys=keys), Pass)
    assert check(make(key=OTHER_KEY).shown_at(ISSUED_AT), keys=KEYS) == Refusal("bad-signature")


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), b"\xff" * 32])
def test_a_board_key_that_is_none_refuses_instead_of_raising(key: bytes) -> None:
    assert check(make().shown_at(ISSUED_AT), keys={1: key}) == Refusal("bad-signature")


# RFC 8032, section 7.1: secret key, public key, message, signature
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_published_ed25519_vectors(secret: str, public: str, message: str, signature: str) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert key.public_key().public_bytes_raw().hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    parts = (bytes.fromhex(public), bytes.fromhex(signature), bytes.fromhex(message))
    assert passes.signature_holds(*parts)
    assert not passes.signature_holds(parts[0], parts[1], parts[2] + b"\x00")
    # S + L is the same scalar: a verifier that takes it accepts two signatures for one message
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(parts[1][32:], "little") + order
    assert not passes.signature_holds(parts[0], parts[1][:32] + scalar.to_bytes(32, "little"), parts[2])


# -- garbage -------------------------------------------------------------------------------------


def test_ten_thousand_random_inputs_never_raise() -> None:
    chance = random.Random(20261122)
    good = make().shown_at(ISSUED_AT).encode()
    for _ in range(10_000):
        kind = chance.randrange(4)
        if kind == 0:
            data = chance.randbytes(chance.randrange(600))
        elif kind == 1:
            data = b"TG1:" + bytes(
                chance.choices(BASE45.encode(), k=chance.choice((186, chance.randrange(400))))
            )
        elif kind == 2:
            data = b"TG1:" + b45encode(b"\x01" + chance.randbytes(123))
        else:
            place = chance.randrange(len(good))
            data = good[:place] + chance.randbytes(chance.randrange(1, 5)) + good[place:]
        assert isinstance(check(data, chance.uniform(0, 2**33)), Refusal)


@given(st.binary(max_size=600), st.floats())
@settings(max_examples=200, deadline=None)
def test_any_bytes_at_any_time_are_refused_not_raised(data: bytes, now_s: float) -> None:
    assert isinstance(check(data, now_s), Refusal)
    assert isinstance(check(b"TG1:" + data, now_s), Refusal)


# -- issuing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key_id", 256), ("key_id", -1), ("visit", bytes(7)), ("visit", bytes(9)), ("kind", "guest"),
        ("party", 0), ("party", 16), ("campaign", 2**32), ("placement", 2**16), ("issued_at", -1),
        ("issued_at", 2**32), ("valid_for", 0), ("valid_for", 7201), ("valid_for", -5), ("valid_for", 10**12),
        ("seed", bytes(11)),
    ],
)  # fmt: skip
def test_issue_names_the_field_that_is_out_of_range(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"pass field {field} "):
        make(**{field: value})


@pytest.mark.parametrize("now_s", [ISSUED_AT - 0.001, ISSUED_AT + 3600, ISSUED_AT + 4000, math.nan])
def test_a_phone_shows_nothing_outside_the_validity(now_s: float) -> None:
    with pytest.raises(ValueError, match="valid from 1800000000 to 1800003600"):
        make().shown_at(now_s)


def test_each_step_shows_another_text() -> None:
    issued = make(valid_for=300)
    texts = {issued.shown_at(now) for now in issued.steps()}
    assert len(texts) == 10
    assert issued.shown_at(ISSUED_AT) == issued.shown_at(ISSUED_AT + 29.9)


def test_the_seed_stays_out_of_logs() -> None:
    assert make().seed.hex() not in repr(make())


def test_new_ids_take_their_randomness_from_the_caller() -> None:
    assert new_visit_id(lambda n: b"v" * n) == b"v" * 8
    assert new_seed(lambda n: b"s" * n) == b"s" * 12
