"""Wrong answers to the exercises of notebook 06, each with a piece of the feedback it must get."""

from __future__ import annotations

import math
from collections import Counter


def entropy(items):
    shares = [count / len(items) for count in Counter(items).values()]
    return -sum(share * math.log(share) for share in shares)


WRONG = {
    "06.a": [("a", "one sentence at a time"), ("b", "does not see it"), ("d", "not one of the choices")],
    "06.1": [
        (lambda texts: len(set(texts)), "counts different sentences"),
        (entropy, "the entropy itself"),
        (lambda texts: 2 ** entropy(texts), "use exp"),
        (lambda texts: math.exp(entropy([w for text in texts for w in text.split()])), "You count words"),
        (lambda texts: math.exp(-entropy(texts)), "sign is turned"),
        (lambda texts: 3.0, "it should be"),
        (lambda texts: "many", "Return one number"),
    ],
    "06.b": [("b", "constant factor"), ("c", "that sentence"), (1, "not one of the choices")],
    "06.2": [
        (lambda seen, usual: True, "on the healthy student"),
        (lambda seen, usual: seen.modes < usual.modes, "few per cent"),
        (lambda seen, usual: False, "one sentence a source is left"),
        (lambda seen, usual: seen.modes < 0.4 * usual.modes, "half of the sentences"),
        (lambda seen, usual: seen.variety < 0.8 * usual.variety, "counts slips"),
        (lambda seen, usual: min(seen.modes, seen.variety - 0.4) < 4.55 and seen.modes != 4.5, "got better"),
        (lambda seen, usual: seen.modes < 4.0, "compare with `usual`"),
        (lambda seen, usual: seen.modes, "Return True or False"),
    ],
    "06.c": [("a", "own samples"), ("c", "never written"), ("x", "not one of the choices")],
}
