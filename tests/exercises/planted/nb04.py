"""Wrong answers to the exercises of notebook 04, each with a piece of the feedback it must get."""

from __future__ import annotations


def squared(x_t, points, alpha):
    """Squared distances (B, N) to the shrunk points."""
    return (x_t[:, None] - alpha * points).square().sum(-1)


def weighed(logits):
    """The mean of the points with wrong weights."""
    return lambda x, points, a, s: logits(x, points, a, s).softmax(1) @ points


def right_weights(x, points, a, s):
    return (-squared(x, points, a) / (2 * s**2)).softmax(1)


WRONG = {
    "04.1": [
        (lambda x, p, a, s: p[squared(x, p, a).argmin(1)], "nearest point"),
        (lambda x, p, a, s: p.mean(0).expand(len(x), 2), "the same weight"),
        (weighed(lambda x, p, a, s: -squared(x, p, 1.0) / (2 * s**2)), "Noising shrinks"),
        (weighed(lambda x, p, a, s: -squared(x, p, a) / (2 * s)), "sigma squared"),
        (weighed(lambda x, p, a, s: -squared(x, p, a) / s**2), "has a 2"),
        (weighed(lambda x, p, a, s: -squared(x, p, a)), "noise level is missing"),
        (weighed(lambda x, p, a, s: squared(x, p, a) / (2 * s**2)), "sign is turned"),
        (weighed(lambda x, p, a, s: -squared(x, p, a).sqrt() / (2 * s**2)), "must be squared"),
        (lambda x, p, a, s: (-squared(x, p, a) / (2 * s**2)).softmax(0) @ p, "sum to 1"),
        (lambda x, p, a, s: a * right_weights(x, p, a, s) @ p, "alpha times the posterior mean"),
        (lambda x, p, a, s: (a * right_weights(x, p, a, s) @ p - x) / s**2, "That is the score"),
        (right_weights, "Those are the weights"),
        (lambda x, p, a, s: right_weights(x, p.detach(), a, s) @ p.detach(), "the points are detached"),
        (lambda x, p, a, s: x, "Not the posterior mean"),
        (lambda x, p, a, s: 0.0, "Return a tensor"),
        (lambda x, p, a, s: p, "The shape should be"),
    ],
    "04.2": [
        (lambda g1, g2: g2 - g1, "That is M"),
        (lambda g1, g2: 2 * (g2 - g1), "places x_t held fixed"),
        (lambda g1, g2: g2 - g1 / 2, "length is half"),
        (lambda g1, g2: g1, "g1 holds psi constant"),
        (lambda g1, g2: g2, "Closer than g1"),
        (lambda g1, g2: 2 * g1 - g2, "exchanged"),
        (lambda g1, g2: g1 + g2, "does not bring it back"),
        (lambda g1, g2: (g1 + g2) / 2, "mean of the two"),
        (lambda g1, g2: g1 - 2 * g2, "sign is turned"),
        (lambda g1, g2: 3 * g2, "Get rid of M"),
        (lambda g1, g2: 1.0, "Return a tensor"),
    ],
    "04.3": [
        (lambda x, phi, psi: ((phi - psi).detach() * x).mean(-1), "Uphill"),
        (lambda x, phi, psi: ((psi - phi).detach() * x).sum(-1), "sum over channels"),
        (lambda x, phi, psi: ((psi - phi) * x).mean(-1), "Detach it"),
        (lambda x, phi, psi: (phi - psi).square().mean(-1), "That is L1"),
        (lambda x, phi, psi: ((phi - psi) * (phi - x)).mean(-1), "That is L2"),
        (lambda x, phi, psi: (x - phi.detach()).square().mean(-1), "regresses on the teacher"),
        (lambda x, phi, psi: ((psi - phi).detach() * x.detach()).mean(-1), "No gradient reaches x_g"),
        (lambda x, phi, psi: ((psi - phi).detach() * x).mean(), "One number for every row"),
        (lambda x, phi, psi: (psi.detach() * x).mean(-1), "The gradient by x_g should be"),
        (lambda x, phi, psi: 0.0, "Return a tensor"),
    ],
}
