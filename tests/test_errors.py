"""The one exception for a person's mistakes, and its suggestion of the nearest known word."""

from __future__ import annotations

from dlmone_lite.errors import InputError, nearest


def test_it_is_a_value_error_with_its_line():
    assert (
        issubclass(InputError, ValueError)
        and str(InputError("no such word; use another")) == "no such word; use another"
    )


def test_the_nearest_known_word_is_named():
    assert nearest("schol", ["park", "school", "castle"]) == " (did you mean 'school'?)"


def test_nothing_is_said_when_nothing_is_near():
    assert nearest("zebra", ["park", "school"]) == "" and nearest("park", []) == ""
