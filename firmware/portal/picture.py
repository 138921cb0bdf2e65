"""What fills the portal's screens: the fields that ``words`` turns into lines. Pure."""

from __future__ import annotations

from firmware.portal.stay import Basket, Stay


def fields_of(screen: str, stay: Stay, basket: Basket) -> dict[str, object]:
    """The screen changes only when one of these does."""
    match screen:
        case "reading":
            return {"count": len(stay.found.items)}
        case "advice" | "ask-staff":
            fields: dict[str, object] = {"count": len(stay.found.items)}
            if stay.verdict is not None:
                missing = stay.verdict.missing
                fields |= {"reason": reason_of(stay), "missing": missing, "weak": stay.verdict.weak}
            return fields
        case "counted" | "one-moment" | "paying":
            return {"items": basket.items}
        case "no-offer":
            return {"items": basket.items, "why": basket.refused}
        case "pay" if basket.offer is not None:
            return {"items": basket.items, "total_fen": basket.offer.total_fen}
        case "paid":
            return {"count": len(basket.items)}
        case "declined":
            return {"why": basket.declined}
    return {}


def reason_of(stay: Stay) -> str:
    """Why the basket is not taken as complete; two tags with one EPC are a reason of their own."""
    verdict = stay.verdict
    if verdict is None:
        return "reading"
    return "duplicates" if verdict.kind == "complete" and verdict.duplicates else verdict.reason
