"""Questions on the screen: predictions that are revealed after a guess or on demand, and quick questions.

Nothing that is saved with a notebook tells an answer: a revelation leaves only a seal, which the same answer
always has.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from dlmone_lite.exercises.compare import Wrong
from dlmone_lite.exercises.kinds import get
from dlmone_lite.exercises.progress import remember
from dlmone_lite.figures.style import GREY, escape

OPTION = re.compile(r"\s*\(([a-d])\) ")
WIDE = {"width": "max-content", "height": "auto"}


class Box:
    """Something to look at and to click on; `text` is what is left of it where no widgets run."""

    def __init__(self, name: str, text: str, parts: list[Any]):
        import ipywidgets

        self.name, self.text = name, text
        self.box = ipywidgets.VBox(parts, layout={"border": f"1px solid {GREY}", "padding": "6px"})
        self.box.add_class("dlmone-question")

    def __repr__(self) -> str:
        return self.name

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        widget = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        kinds = ("text/plain", "text/html", "application/vnd.jupyter.widget-view+json")
        return dict(zip(kinds, (repr(self), f"<div>{self.text}</div>", widget), strict=True))


def button(label: str, act: Callable[[], None], **settings: Any) -> Any:
    """A button as wide as its label."""
    import ipywidgets

    made = ipywidgets.Button(description=label, layout=WIDE, **settings)
    made.on_click(lambda _: act())
    return made


class Prediction(Box):
    """A question with buttons for its choices, or with a field for a number. `guess` is None at first."""

    def __init__(self, question: str, choices: tuple[str, ...]):
        import ipywidgets

        self.question, self.choices, self.guess = question, choices, None
        self._waiting: list[Callable[[], None]] = []
        self._said = ipywidgets.HTML()
        if choices:
            ways = [button(choice, lambda choice=choice: self.set(choice)) for choice in choices]
        else:
            field = ipywidgets.FloatText(layout={"width": "110px"})
            ways = [field, button("Guess", lambda: self.set(field.value))]
        row = ipywidgets.HBox([*ways, self._said], layout={"flex_flow": "row wrap", "align_items": "center"})
        asked = f"<b>Predict first.</b> {escape(question)}"
        shown = asked + (f" ({', '.join(map(escape, choices))})" if choices else " (a number)")
        super().__init__(f"Prediction({question!r})", shown, [ipywidgets.HTML(asked), row])

    def set(self, guess: float | str) -> None:
        """Make a guess, or another one."""
        self.guess = guess
        self._said.value = f"&nbsp;your guess: <b>{escape(plain(guess))}</b>"
        for act in self._waiting:
            act()

    def when_guessed(self, act: Callable[[], None]) -> None:
        """Call `act` at every guess from now on."""
        self._waiting.append(act)


def plain(value: float | str) -> str:
    """A truth or a guess as it is shown."""
    return value if isinstance(value, str) else f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def seal(question: str, truth: float | str) -> str:
    """Eight letters that belong to this answer to this question."""
    return hashlib.sha256(f"{question}|{plain(truth)}".encode()).hexdigest()[:8]


class Revelation(Box):
    """The truth beside a guess: hidden until there is a guess, or somebody asks for it."""

    def __init__(self, prediction: Prediction, truth: float | str, within: float):
        import ipywidgets

        self.prediction, self.truth, self.within = prediction, truth, within
        self.answer = ipywidgets.HTML("Make your guess above, and the answer appears here.")
        sealed = f"Answer(sealed {seal(prediction.question, truth)})"
        parts = [self.answer, button("Show me without a guess", self.show)]
        super().__init__(sealed, "The answer is hidden until you guess.", parts)
        prediction.when_guessed(self.show)
        if prediction.guess is not None:
            self.show()

    def show(self) -> None:
        """Tell the truth, and judge the guess if there is one."""
        guess, shown = self.prediction.guess, escape(plain(self.truth))
        if guess is None:
            self.answer.value = f"It is <b>{shown}</b>."
        elif isinstance(self.truth, str):
            self.answer.value = self._judged(str(guess).strip().lower() == self.truth.lower(), shown)
        else:
            self.answer.value = self._judged(abs(float(guess) - self.truth) <= self.within, shown)
        self.box.children = self.box.children[:1]

    def _judged(self, right: bool, shown: str) -> str:
        word = "well judged." if right else "not what most of us expect."
        return f"You guessed {escape(plain(self.prediction.guess))}; it is <b>{shown}</b>: {word}"


def predict(question: str, *choices: str) -> Prediction:
    """Ask for a guess among the choices, or for a number if there are none; the last line of a cell."""
    return Prediction(question, choices)


def reveal(prediction: Prediction, truth: float | str, within: float = 0.0) -> None:
    """Show the truth once there is a guess; `within` is how far off a number may be to count as right."""
    from IPython.display import display

    display(Revelation(prediction, truth, within))


class Question(Box):
    """A quick question with a button for each choice and a word to each answer."""

    def __init__(self, name: str):
        import ipywidgets

        self.exercise = get(name)
        stem, *rest = OPTION.split(self.exercise.task)
        self.options = dict(zip(rest[::2], (text.rstrip(" ,.") for text in rest[1::2]), strict=True))
        self.feedback = ipywidgets.HTML()
        ways = [
            button(f"({key}) {text}", lambda key=key: self.answer(key)) for key, text in self.options.items()
        ]
        listed = "".join(f"<br>({key}) {escape(text)}" for key, text in self.options.items())
        asked = f"<b>{name}</b> {escape(stem)}"
        super().__init__(f"Question {name}", asked + listed, [ipywidgets.HTML(asked), *ways, self.feedback])

    def answer(self, letter: str) -> None:
        """Give an answer by its letter and show what is said to it."""
        try:
            self.exercise.check(letter)
        except Wrong as wrong:
            self.feedback.value = f"({letter}) Not yet. {escape(str(wrong))}"
        else:
            self.feedback.value = f"({letter}) {escape(self.exercise.praise)}"
            remember(self.exercise.name)


def question(name: str) -> Question:
    """The quick question of that name, to be clicked; InputError if there is none."""
    return Question(name)
