"""Two beams across the lane → who went through, in which direction. A pure table.

Outer beam A (street side), inner beam B (shop side). A walk in is clear → A → AB → B → clear, a walk
out the mirror image.  The rows are written for "in" and mirrored, so both directions count alike.
Must never count a person twice for a bag that swings, and never lose one who follows closely.
"""

from __future__ import annotations

from collections.abc import Mapping

Step = tuple[str, tuple[str, ...]]
Steps = Mapping[tuple[str, str], Step]

# (place, level of the beams) → (new place, what is certain now). Level: "-", "A", "B", "AB".
_IN: dict[tuple[str, str], Step] = {
    ("in-near", "-"): ("clear", ("back",)),  # stepped back before the inner beam
    ("in-near", "AB"): ("in-mid", ()),
    ("in-near", "B"): ("in-far", ()),  # coarse sampling: AB was not seen
    ("in-mid", "A"): ("in-near", ()),
    ("in-mid", "B"): ("in-far", ()),
    ("in-mid", "-"): ("clear", ("in",)),  # coarse sampling: both ended at once, after the middle
    ("in-far", "-"): ("clear", ("in",)),
    ("in-far", "AB"): ("in-swing", ()),
    ("in-far", "A"): ("in-next", ()),
    ("in-swing", "B"): ("in-far", ()),  # a bag swung back: nobody more
    ("in-swing", "A"): ("in-next", ()),  # turned round, or a second person close behind
    ("in-swing", "-"): ("clear", ("in",)),
    ("in-next", "-"): ("clear", ("back",)),  # turned round and left
    ("in-next", "AB"): ("in-next-mid", ()),
    ("in-next", "B"): ("in-far", ("in",)),
    ("in-next-mid", "A"): ("in-next", ()),
    ("in-next-mid", "B"): ("in-far", ("in",)),  # the first one is through, the second follows
    ("in-next-mid", "-"): ("clear", ("in", "in")),
}
# Both beams at the same instant tell no direction; the side that clears last tells where it went.
_SHARED: dict[tuple[str, str], Step] = {
    ("unread", "-"): ("clear", ()),  # the first reading: whoever stood in the beams is not counted
    ("clear", "A"): ("in-near", ()),
    ("clear", "B"): ("out-near", ()),
    ("clear", "AB"): ("both", ()),
    ("both", "A"): ("out-far", ()),
    ("both", "B"): ("in-far", ()),
    ("both", "-"): ("clear", ("unclear",)),
}
_SWAP = {"-": "-", "A": "B", "B": "A", "AB": "AB"}


def _mirror(word: str) -> str:
    return "out" + word[2:] if word.startswith("in") else word


STEPS: Steps = {
    **_SHARED,
    **_IN,
    **{
        (_mirror(place), _SWAP[level]): (_mirror(to), tuple(_mirror(w) for w in words))
        for (place, level), (to, words) in _IN.items()
    },
}


def level_name(outer: bool, inner: bool) -> str:
    """Levels of the two beams (True = broken) as "-", "A", "B" or "AB"."""
    return ("A" if outer else "") + ("B" if inner else "") or "-"


class Passage:
    """Follows the two beams. ``feed`` returns facts: "in", "out", "back" or "unclear".

    "unclear": both beams broke and ended at the same instants; the caller decides by what it expects.
    """

    def __init__(self, steps: Steps = STEPS) -> None:
        self.place = "unread"
        self._steps = steps

    def feed(self, outer: bool, inner: bool) -> tuple[str, ...]:
        """Take the beams' new levels. Levels that change nothing return ()."""
        self.place, words = self._steps.get((self.place, level_name(outer, inner)), (self.place, ()))
        return words

    def restart(self) -> None:
        """The sensors were away: count nobody until both beams have been clear."""
        self.place = "unread"
