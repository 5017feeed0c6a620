"""Predictions, their revelations, and quick questions, as a learner clicks them; nothing saved tells an answer."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dlmone_lite import check, predict, question
from dlmone_lite.errors import InputError
from dlmone_lite.exercises import progress
from dlmone_lite.exercises.ask import Prediction, Revelation, seal
from dlmone_lite.exercises.kinds import numbers, of_notebook

QUESTIONS = [name for number in numbers() for name in of_notebook(number) if name[-1].isalpha()]


def buttons(box: Any) -> dict[str, Any]:
    """All buttons under a widget, by their label."""
    found = {box.description: box} if type(box).__name__ == "Button" else {}
    for child in getattr(box, "children", ()):
        found |= buttons(child)
    return found


def saved(shown: Any) -> str:
    """What is stored in a notebook of something that was displayed."""
    return str({k: v for k, v in shown._repr_mimebundle_().items() if k.startswith("text/")})


@pytest.mark.parametrize(
    ("guess", "truth", "within", "said"),
    [
        ("middle", "Middle", 0.0, "well judged"),
        ("left", "middle", 0.0, "not what most of us expect"),
        (90.0, 91, 10, "well judged"),
        (50.0, 91, 10, "not what most of us expect"),
        (0.5, 0.5, 0.0, "well judged"),
    ],
)
def test_the_truth_comes_after_the_guess(guess: Any, truth: Any, within: float, said: str) -> None:
    asked = predict("How many?", *(() if isinstance(guess, float) else ("left", "middle")))
    shown = Revelation(asked, truth, within)
    assert "it is" not in shown.answer.value.lower() and asked.guess is None
    asked.set(guess)
    assert said in shown.answer.value and len(shown.box.children) == 1
    later = Revelation(asked, truth, within)
    assert said in later.answer.value, "a guess made before the cell is run counts, too"


def test_it_can_be_clicked_and_asked_for_without_a_guess() -> None:
    asked = predict("Which?", "left", "right")
    assert set(buttons(asked.box)) == {"left", "right"}
    buttons(asked.box)["right"].click()
    assert asked.guess == "right" and "right" in asked._said.value
    unasked = Revelation(predict("How many?"), 0.234567, 0.1)
    buttons(unasked.box)["Show me without a guess"].click()
    assert "0.23" in unasked.answer.value and "guessed" not in unasked.answer.value
    number = predict("How many?")
    field = next(w for w in number.box.children[1].children if type(w).__name__ == "FloatText")
    field.value = 3.5
    buttons(number.box)["Guess"].click()
    assert number.guess == 3.5


def test_what_is_saved_names_the_question_and_seals_the_answer() -> None:
    asked = predict("Which of them?", "left", "right")
    shown = Revelation(asked, "right", 0.0)
    assert "Which of them?" in saved(asked) and "left" in saved(asked)
    asked.set("right")
    assert "right" not in saved(shown) and seal("Which of them?", "right") in repr(shown)
    assert (
        seal("Which of them?", "left") not in repr(shown) and repr(Prediction("a", ())) == "Prediction('a')"
    )
    assert seal("How many?", 0.2345) == seal("How many?", 0.2312), "as it is shown"


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_has_buttons_that_answer(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = question(name)
    assert 3 <= len(asked.options) <= 4 and all(asked.options.values())
    right = []
    for label, button in buttons(asked.box).items():
        button.click()
        right += [label[1]] if "Right:" in asked.feedback.value else []
        assert "not one of the choices" not in asked.feedback.value
    assert len(right) == 1 and name in progress.solved()
    check(name, right[0])
    assert "Right:" in capsys.readouterr().out, "typing the letter still works"
    assert "Right:" not in saved(asked) and not re.search(r"\([a-d]\)", asked.exercise.task.split("(a)")[0])


def test_the_right_letters_are_spread() -> None:
    letters = [of_notebook(name[:2])[name].solution[-2] for name in QUESTIONS]
    assert max(map(letters.count, "abc")) <= 0.45 * len(letters)


def test_an_unknown_question_is_refused() -> None:
    with pytest.raises(InputError, match=r"00\.a"):
        question("00.z")
