"""Wrong answers to the exercises of notebook 09, each with a piece of the feedback it must get."""

from __future__ import annotations

from statistics import fmean, pstdev

KEYS = ("kept", "repeated", "empty", "long source", "long target")


def counted(rows, size, room, spare=1, known=tuple, refused=False):
    """The filter, with places to make it wrong."""
    counts, seen = dict.fromkeys(KEYS, 0), set()
    for row in rows:
        long = [size(text) + spare > room for text in row]
        if known(row) in seen:
            what = "repeated"
        elif not all(map(size, row)):
            what = "empty"
        else:
            what = "long source" if long[0] else "long target" if long[1] else "kept"
        counts[what] += 1
        if refused or what == "kept":
            seen.add(known(row))
    return counts


def each_side(rows, size, room):
    """A row that is too long on both sides counts twice."""
    counts = counted(rows, size, room)
    counts["long target"] += sum(size(a) >= room and size(b) >= room for a, b in rows)
    return counts


def silent(rows, size, room):
    """Drops what was there before without a word."""
    return counted(rows, size, room) | {"repeated": 0}


def target_first(rows, size, room):
    return counted([(b, a) for a, b in rows], size, room)


def share(same):
    return lambda outputs, sources, spell: fmean(
        same(text, source, spell) for own, source in zip(outputs, sources) for text in own
    )


def drawn(ratio):
    """The middle 95 percent of `ratio(student's, teacher's BLEUs of drawn sources)`."""

    def interval(student, teacher, draws):
        found = sorted(ratio([student[i] for i in d], [teacher[i] for i in d]) for d in draws)
        return found[5], found[-6]

    return interval


def one_deviation(student, teacher, draws):
    found = [sum(student[i] for i in d) / sum(teacher[i] for i in d) for d in draws]
    spread = pstdev(found)
    return fmean(found) - spread, fmean(found) + spread


def cut(out):
    def interval(student, teacher, draws):
        found = sorted(sum(student[i] for i in d) / sum(teacher[i] for i in d) for d in draws)
        return found[out], found[-1 - out]

    return interval


WRONG = {
    "09.1": [
        (each_side, "counts once"),
        (silent, "count those you drop"),
        (lambda rows, size, room: counted(rows, size, room, spare=0), "[SEP] stands after it"),
        (lambda rows, size, room: counted(rows, size, room, known=lambda row: row[0]), "several targets"),
        (lambda rows, size, room: counted(rows, size, room, refused=True), "kept before"),
        (target_first, "should be 'long source'"),
        (lambda rows, size, room: len(rows), "a dictionary"),
    ],
    "09.a": [("b", "different 4-grams"), ("c", "their self-BLEU"), ("d", "not one of the choices")],
    "09.2": [
        (share(lambda text, source, spell: text == source), "Spell the source"),
        (share(lambda text, source, spell: text.lower() == source.lower()), "Spell the source"),
        (
            lambda outputs, sources, spell: fmean(spell(s) in own for own, s in zip(outputs, sources)),
            "the share of all outputs",
        ),
        (share(lambda text, source, spell: text.startswith(spell(source))), "says more"),
        (share(lambda text, source, spell: spell(source) in text), "says more"),
        (
            lambda outputs, sources, spell: fmean(
                [*{*own}].count(spell(s)) / len({*own}) for own, s in zip(outputs, sources)
            ),
            "count each of them",
        ),
        (
            lambda outputs, sources, spell: sum(t == spell(s) for o, s in zip(outputs, sources) for t in o),
            "number of copies",
        ),
        (share(lambda text, source, spell: text != spell(source)), "are no copies"),
        (lambda outputs, sources, spell: 0.77, "it should be"),
        (lambda outputs, sources, spell: [0.5], "one number"),
    ],
    "09.3": [
        (drawn(lambda a, b: fmean(x / y for x, y in zip(a, b))), "hopeless source"),
        (
            lambda student, teacher, draws: drawn(lambda a, b: fmean(a) / fmean(teacher))(
                student, teacher, draws
            ),
            "for the teacher, too",
        ),
        (drawn(lambda a, b: sum(b) / sum(a)), "teacher over student"),
        (cut(0), "smallest and the largest"),
        (cut(10), "not five percent"),
        (lambda *given: cut(5)(*given)[::-1], "order is"),
        (one_deviation, "one standard deviation"),
        (lambda student, teacher, draws: (0.5, 0.6), "it should be"),
        (lambda student, teacher, draws: 0.8, "two numbers"),
    ],
    "09.b": [("a", "Neither network"), ("c", "a strong one"), ("d", "not one of the choices")],
}
