"""Wrong answers to the exercises of notebook 08, each with a piece of the feedback it must get."""

from __future__ import annotations


def best(sentences, key):
    return sentences[max(range(len(sentences)), key=key)]


def others(i, sentences):
    return [other for j, other in enumerate(sentences) if j != i]


WRONG = {
    "08.a": [("b", "same network"), ("c", "decided before"), ("d", "not one of the choices")],
    "08.1": [
        (lambda s, f: best(s, lambda i: -sum(f(s[i], o) for o in others(i, s))), "least"),
        (lambda s, f: best(s, lambda i: s.count(s[i])), "most frequent"),
        (lambda s, f: s[0], "nothing was compared"),
        (lambda s, f: best(s, lambda i: max([f(s[i], o) for o in others(i, s)] or [0])), "to any one"),
        (lambda s, f: best(s, lambda i: sum(f(s[i], o) for o in s if o != s[i])), "different sentences only"),
        (lambda s, f: s[-1], "it should be"),
        (lambda s, f: 0, "sentence itself"),
    ],
    "08.2": [
        (lambda support, n: sum((1 - p) ** n for p in support.values()), "never seen"),
        (lambda support, n: sum(1 - p**n for p in support.values()), "seeing nothing else"),
        (lambda support, n: sum(n * p for p in support.values()), "no new sentence"),
        (lambda support, n: min(n, len(support)), "one after another"),
        (lambda support, n: 2.0, "it should be"),
        (lambda support, n: "two", "one number"),
    ],
    "08.b": [("a", "returned one"), ("b", "resembles none"), ("q", "not one of the choices")],
}
