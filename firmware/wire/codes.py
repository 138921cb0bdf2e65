"""What kind of code was shown, from its bytes alone. Pure.

Must never log, keep or return the code: a payment code is money.
"""

from __future__ import annotations

import re

PASS_PREFIX = b"TG1:"
KINDS = ("pass", "paycode", "url", "other")

_PAYCODE = re.compile(rb"1[0-5][0-9]{16}")  # WeChat Pay: 18 digits beginning 10 to 15
_URL = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]{0,31}://[\x21-\x7e]+")


def classify(data: bytes) -> str:
    """One of ``KINDS``. "pass" means only that it begins like one; ``passes.verify`` decides."""
    if data.startswith(PASS_PREFIX):
        return "pass"
    if _PAYCODE.fullmatch(data):
        return "paycode"
    if _URL.fullmatch(data):
        return "url"
    return "other"
