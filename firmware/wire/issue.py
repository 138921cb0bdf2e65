"""Issue a pass: sign its fields and make its hash chain. For the store and provisioning only.

A board never imports this module: it holds no private key. Randomness is an argument, so that the
module stays pure; pass ``os.urandom``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware.wire.passes import (
    HASH_BYTES,
    STEP_S,
    VISIT_BYTES,
    Pass,
    chain_forward,
    chain_length,
    decode_body,
    encode,
    signed_message,
    step_of,
    store_tag,
)


def new_visit_id(random_bytes: Callable[[int], bytes]) -> bytes:
    """8 unguessable bytes, ``new_visit_id(os.urandom)``. Only a store makes visits."""
    return random_bytes(VISIT_BYTES)


def new_seed(random_bytes: Callable[[int], bytes]) -> bytes:
    """12 unguessable bytes, the secret that the phone holds."""
    return random_bytes(HASH_BYTES)


@dataclass(frozen=True, slots=True, repr=False)
class Issued:
    """What goes to the phone: the signed part and the secret ``seed`` of its chain."""

    body: bytes
    signature: bytes
    seed: bytes

    def __repr__(self) -> str:
        return f"Issued(visit={self.fields.visit.hex()}, seed=hidden)"

    @property
    def fields(self) -> Pass:
        return decode_body(self.body)

    def shown_at(self, now_s: float) -> str:
        """The text to show at ``now_s`` (unix seconds). Raises ValueError outside its validity."""
        fields = self.fields
        if not math.isfinite(now_s) or not fields.issued_at <= now_s < fields.expires_at:
            raise ValueError(
                f"the pass is valid from {fields.issued_at} to {fields.expires_at} (unix seconds) and cannot "
                f"be shown at {now_s}: check this machine's clock or issue a new pass"
            )
        links = chain_length(fields.valid_for) - step_of(fields, now_s)
        return encode(self.body, self.signature, chain_forward(fields.visit, self.seed, links))

    def steps(self) -> range:
        """The unix seconds at which a new text is due: one each 30 s of the validity."""
        return range(self.fields.issued_at, self.fields.expires_at, STEP_S)


def issue(
    private_key: Ed25519PrivateKey,
    *,
    key_id: int,
    store_id: str,
    visit: bytes,
    issued_at: int,
    valid_for: int,
    seed: bytes,
    kind: str = "entry",
    party: int = 1,
    campaign: int = 0,
    placement: int = 0,
    settled: bool = False,
) -> Issued:
    """Sign a pass. Units and ranges as in ``passes.Pass``; raises ValueError naming the field."""
    if len(seed) != HASH_BYTES:
        raise ValueError(f"pass field seed has {len(seed)} bytes: must have {HASH_BYTES}")
    if len(visit) != VISIT_BYTES:
        raise ValueError(f"pass field visit has {len(visit)} bytes: must have {VISIT_BYTES}")
    anchor = (
        chain_forward(visit, seed, chain_length(valid_for)) if 0 < valid_for <= 0xFFFF else bytes(HASH_BYTES)
    )
    fields = Pass(
        key_id=key_id,
        store_tag=store_tag(store_id),
        visit=visit,
        kind=kind,
        party=party,
        campaign=campaign,
        placement=placement,
        issued_at=issued_at,
        valid_for=valid_for,
        anchor=anchor,
        settled=settled,
    )
    body = fields.body()
    return Issued(body, private_key.sign(signed_message(body)), seed)
