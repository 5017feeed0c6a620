"""Wrong answers to the exercises of notebook 03, each with a piece of the feedback it must get."""

from __future__ import annotations

import torch

from dlmone_lite.exercises import get


def target_of(combine):
    """A stable target (as in 03.2) whose weights are combined in a wrong way."""

    def wrong(x_t, references, counts, alpha, sigma):
        def distance(scale):
            return (x_t[:, None] - scale * references).square().sum(-1)

        return combine(counts, distance, alpha, sigma).softmax(-1) @ references

    return wrong


def logits(x_t, references, counts, alpha, sigma):
    distance = (x_t[:, None] - alpha * references).square().sum(-1)
    return counts.log() - distance / (2 * sigma**2)


def weights_only(*given):
    return logits(*given).softmax(-1)


def changed(name, old, new):
    """The solution of an exercise with one change."""
    source, names = get(name).solution, {}
    assert old in source
    exec("import torch\nimport torch.nn.functional as F\n" + source.replace(old, new), names)
    return names[get(name).variable]


WRONG = {
    "03.1": [
        (lambda x0, f, m: (x0 - f).square().mean((1, 2)), "DiffuSeq's own"),
        (lambda x0, f, m: ((x0 - f).square().mean(-1) * m).mean(1), "divide by the target's number"),
        (lambda x0, f, m: ((x0 - f).square().sum(-1) * m).sum(1) / m.sum(1), "grow with D"),
        (lambda x0, f, m: ((x0 - f).square().mean(-1) * m).sum(1), "how many there are"),
        (lambda x0, f, m: ((x0 - f).abs().mean(-1) * m).sum(1) / m.sum(1), "absolute"),
        (lambda x0, f, m: (x0 - f)[m].square().mean(), "one loss per row"),
        (lambda x0, f, m: torch.zeros(3), "Square the difference"),
        (lambda x0, f, m: x0 @ f, "raised RuntimeError"),
    ],
    "03.2": [
        (target_of(lambda c, d, a, s: -d(a) / (2 * s**2)), "counts play no part"),
        (target_of(lambda c, d, a, s: c - d(a) / (2 * s**2)), "wants the logarithm"),
        (target_of(lambda c, d, a, s: c.log() - d(1.0) / (2 * s**2)), "alpha is missing"),
        (target_of(lambda c, d, a, s: c.log() - d(a) / s**2), "factor 1/2"),
        (target_of(lambda c, d, a, s: c.log() - d(a) / (2 * s)), "the variance"),
        (target_of(lambda c, d, a, s: c.log() - d(a)), "noise level is missing"),
        (target_of(lambda c, d, a, s: c.log() + d(a) / (2 * s**2)), "sign is turned"),
        (target_of(lambda c, d, a, s: c.log() - d(a).sqrt() / (2 * s**2)), "must be squared"),
        (lambda *given: weights_only(*given).T.softmax(1).T @ given[1], "softmax over references"),
        (lambda *given: logits(*given).softmax(0) @ given[1], "The weights of one x_t"),
        (lambda *given: logits(*given).exp() @ given[1], "Normalise"),
        (lambda *given: given[3] * (weights_only(*given) @ given[1]), "alpha times the target"),
        (weights_only, "weighted mean"),
        (lambda *a: a[1][weights_only(*a).argmax(-1)], "likeliest"),
        (lambda x, r, c, a, s: (c / c.sum() @ r).expand(5, 6), "before x_t was seen"),
        (lambda x, r, c, a, s: x / a, "softmax over references"),
    ],
    "03.3": [
        ((1300, 2000), "700 wide"),
        ((1500, 1700), "falls above it"),
        ((1960, 2000), "falls below it"),
        ((2000, 1800), "no range of t"),
        (1900, "two whole numbers"),
    ],
    "03.4": [
        (
            changed(
                "03.4",
                "torch.where(where, model.schedule.diffuse(goal, t, noise), goal)",
                "model.schedule.diffuse(goal, t, noise)",
            ),
            "source is noised",
        ),
        (
            changed(
                "03.4",
                " * batch.target\n    loss = (miss.sum(1) / batch.target.sum(1)).mean()",
                "\n    loss = miss.mean()",
            ),
            "source positions as well",
        ),
        (
            changed("03.4", "(miss.sum(1) / batch.target.sum(1)).mean()", "(miss.sum(1) / 6).mean()"),
            "divide by the number of target positions",
        ),
        (
            changed("03.4", "(miss.sum(1) / batch.target.sum(1)).mean()", "miss.sum() / batch.target.sum()"),
            "Long rows count more",
        ),
        (changed("03.4", "loss.backward()", "(-loss).backward()"), "climbs"),
        (
            changed("03.4", "t, batch) - goal)", "t, batch) - model.schedule.diffuse(goal, t, noise))"),
            "x_t is what",
        ),
        (changed("03.4", "diffuse(goal, t, noise)", "diffuse(goal, t // 2, noise)"), "not as it"),
        (changed("03.4", "    adam.zero_grad()\n", ""), "earlier updates"),
        (changed("03.4", "    adam.step()\n", ""), "has not moved"),
        (changed("03.4", "t, batch) - goal)", "t, batch) - noise)"), "not the noise"),
        (changed("03.4", ".detach()", ""), "run to one point"),
        (lambda *given: _free_and_stale(*given), "run to one point. And then: Gradients of earlier"),
    ],
}


def _free_and_stale(model, adam, batch, t, noise):  # two mistakes at once
    x0 = model.embed(batch.ids)
    where = batch.target[..., None]
    x0_hat = model(torch.where(where, model.schedule.diffuse(x0, t, noise), x0), t, batch)
    miss = (x0_hat - x0).square().mean(-1) * batch.target
    loss = (miss.sum(1) / batch.target.sum(1)).mean()
    loss.backward()
    adam.step()
    return loss.item()
