"""Wrong answers to the exercises of notebook 11, each with a piece of the feedback meant for it."""

import math


def factors(support, sentence, fits):
    words = sentence.split()
    return [sum(p for text, p in support.items() if fits(text.split(), i, w)) for i, w in enumerate(words)]


def at(words, i, word):
    return words[i] == word


WRONG = {
    "11.1": [
        (lambda support, s: support.get(s, 0.0), "no list of sentences"),
        (lambda support, s: sum(factors(support, s, at)), "independent words multiply"),
        (
            lambda support, s: math.prod(factors(support, s, lambda ws, i, w: w in ws)),
            "distribution of its own",
        ),
        (
            lambda support, s: math.prod(factors(dict.fromkeys(support, 1 / 3), s, at)),
            "weigh it by its probability",
        ),
        (lambda support, s: min(factors(support, s, at)), "multiply all"),
        (lambda support, s: 0.5, "it should be"),
    ],
    "11.a": [("a", "it has seen no word yet"), ("b", "four words are drawn at once")],
    "11.2": [
        (lambda q, d: 4**-d / q, "no more than 1 - q"),
        (lambda q, d: min(4**-d, 1 - q), "divide by q"),
        (lambda q, d: min(4**d / q, 1 - q), "less is left"),
        (lambda q, d: min(2**-d / q, 1 - q), "not 1/2"),
        (lambda q, d: 1 - q, "ignores d"),
        (lambda q, d: q, "it should be"),
    ],
    "11.3": [
        (lambda x0, before, ratio: x0 - (x0 - before) / (2 * ratio), "other way"),
        (lambda x0, before, ratio: x0 + (x0 - before) * ratio / 2, "ratio is turned"),
        (lambda x0, before, ratio: x0 + (x0 - before) / ratio, "half of it is meant"),
        (lambda x0, before, ratio: before + (x0 - before) / (2 * ratio), "Begin at x0"),
        (lambda x0, before, ratio: x0 + (x0 - before) / 2, "use ratio"),
        (lambda x0, before, ratio: x0, "DDIM's estimate"),
        (lambda x0, before, ratio: 3.0, "Return a tensor"),
    ],
    "11.b": [("b", "likeliest sentence always"), ("c", "as good")],
}
