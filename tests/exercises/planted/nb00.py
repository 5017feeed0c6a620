"""Wrong answers to the exercises of notebook 00, each with a piece of the feedback it must get."""

from __future__ import annotations

from collections import Counter


def count_right(samples, support):
    return len([s for s in samples if s in support])


def seen_share(samples, support):
    return sum(answer in samples for answer in support) / len(support)


def distinct_share(samples, support):
    different = set(samples)
    return sum(s in support for s in different) / len(different)


def weighted(samples, support):
    return sum(support.get(s, 0) for s in samples) / len(samples)


def wrong_share(samples, support):
    return sum(s not in support for s in samples) / len(samples)


def always_one(samples, support):
    return 1.0


def misspelt(samples, support):
    return samples.total / 2


def whole_list(samples, support):
    return [s in support for s in samples]


def tv(where="both", power=1, half=0.5, largest=False, signed=False):
    def wrong(samples, support):
        said, n = Counter(samples), len(samples)
        sentences = {"both": {*samples, *support}, "right": set(support), "said": set(samples)}[where]
        gaps = [said[s] / n - support.get(s, 0.0) for s in sentences]
        if signed:
            return half * sum(gaps)
        sizes = [abs(gap) ** power for gap in gaps]
        return max(sizes) if largest else half * sum(sizes)

    return wrong


WRONG = {
    "00.1": [
        (count_right, "how many are right"),
        (seen_share, "coverage"),
        (distinct_share, "counts twice"),
        (weighted, "however likely"),
        (wrong_share, "share of the wrong"),
        (always_one, "it gives 1, not 0.75"),
        (misspelt, "raised AttributeError"),
        (whole_list, "one number, not a list"),
        (0.9, "the function itself"),
    ],
    "00.2": [
        (tv(half=1.0), "Twice too large"),
        (tv(where="right"), "leave out the wrong sentences"),
        (tv(where="said"), "never said"),
        (tv(power=2), "square"),
        (tv(largest=True), "largest single"),
        (tv(signed=True), "cancel"),
        (always_one, "it gives 1, not 0"),
    ],
}
