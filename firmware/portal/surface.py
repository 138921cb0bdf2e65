"""What a shopper sees of a state: lamps and screen, each told once and again when it changes. Pure."""

from __future__ import annotations

from firmware.gate.orders import Drive, Tell
from firmware.portal import facts
from firmware.portal.facts import Asked
from firmware.portal.picture import fields_of
from firmware.portal.stay import Basket, Stay
from firmware.portal.table import State

LAMPS = ("lamp_green", "lamp_red")


class Surface:
    def __init__(self) -> None:
        self._lit: dict[str, bool] = {}
        self._shown: tuple[object, ...] = ()
        self._state = ""

    def follow(self, name: str, state: State, stay: Stay, basket: Basket) -> list[Asked]:
        """The orders that make lamps and screen those of ``state``."""
        orders: list[Asked] = []
        if name != self._state:
            orders.append(Tell("state", {"state": name}))
        for lamp in LAMPS:
            active = lamp in state.on
            if self._lit.get(lamp) != active:
                self._lit[lamp] = active
                orders.append(Drive(lamp, active))
        fields = fields_of(state.screen, stay, basket)
        shown = (name, *fields.values())
        if shown != self._shown:
            self._shown = shown
            orders.append(facts.Show(state.screen, fields))
        self._state = name
        return orders

    def resume(self, name: str, state: State) -> None:
        """As it was in the middle of a trace, at rest."""
        self._state, self._shown = name, (name,)
        self._lit = {lamp: lamp in state.on for lamp in LAMPS}
