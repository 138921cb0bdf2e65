"""Questions about money on the network thread: looked over, bounded for each board, and handed on unseen."""

from __future__ import annotations

from store.answers import MOST, Answers, Asked, Question

CODE = "130000000000000042"


class Now:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def question(name: str = "pay", board: str = "portal-1", *, to: str = "", retained: bool = False) -> Question:
    own = f"tallygate/1/demo/{board}"
    payload = f'{{"code":"{CODE}"}}'.encode()
    return Question(f"{own}/ask/{name}", payload, retained, to or f"{own}/ans/{name}", b"c")


def test_they_are_handed_on_and_not_answered_here() -> None:
    taken: list[Asked] = []
    answers = Answers("demo", money=lambda asked: not taken.append(asked))
    for name in ("offer", "pay"):
        assert answers.answer(question(name)) is None
    assert [(asked.board, asked.name, asked.correlation) for asked in taken] == [
        ("portal-1", "offer", b"c"),
        ("portal-1", "pay", b"c"),
    ]
    assert CODE not in repr(taken) + repr(question())


def test_what_must_not_be_answered_is_not_handed_on() -> None:
    taken: list[Asked] = []
    answers = Answers("demo", money=lambda asked: not taken.append(asked))
    answers.answer(question(retained=True))
    answers.answer(question(to="tallygate/1/demo/portal-2/ans/pay"))
    answers.answer(question(to="tallygate/1/demo/portal-1/cmd/open"))
    assert taken == []
    assert answers.counts["refused"] == 3


def test_a_flood_of_one_board_is_dropped_and_harms_no_other() -> None:
    taken: list[Asked] = []
    now = Now()
    answers = Answers("demo", monotonic=now, money=lambda asked: not taken.append(asked))
    for _ in range(3 * MOST):
        answers.answer(question())
    assert len(taken) == MOST
    answers.answer(question(board="portal-2"))
    assert taken[-1].board == "portal-2"
    assert answers.answer(question("time")) is not None
    now.at = 20.0
    answers.answer(question())
    assert len(taken) == MOST + 2


def test_a_worker_without_money_is_not_asked() -> None:
    answers = Answers("demo")
    assert answers.questions == ("time", "table")
    assert answers.answer(question()) is None
    assert answers.counts["refused"] == 1
