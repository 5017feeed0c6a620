"""Wrong answers to the exercises of notebook 04, each with a piece of the feedback it must get."""

from __future__ import annotations

import torch.nn.functional as F

from dlmone_lite.exercises import get


def squared(x_t, points, alpha):
    """Squared distances (B, N) to the shrunk points."""
    return (x_t[:, None] - alpha * points).square().sum(-1)


def weighed(logits):
    """The mean of the points with wrong weights."""
    return lambda x, points, a, s: logits(x, points, a, s).softmax(1) @ points


def right_weights(x, points, a, s):
    return (-squared(x, points, a) / (2 * s**2)).softmax(1)


def changed(name, old, new):
    """The solution of an exercise with one change."""
    source, names = get(name).solution, {}
    assert old in source
    exec("import torch\nimport torch.nn.functional as F\n" + source.replace(old, new), names)
    return names[get(name).variable]


adversarial = changed("04.6", "judge", "judge")

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
        (lambda x, p, a, s: x, "Not the mean"),
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
        (lambda x, phi, psi: ((psi - phi).detach() * x).mean(), "One number a row"),
        (lambda x, phi, psi: (psi.detach() * x).mean(-1), "The gradient by x_g should be"),
        (lambda x, phi, psi: 0.0, "Return a tensor"),
    ],
    "04.4": [
        (changed("04.4", "x_g.detach()", "x_g"), "theta got a gradient"),
        (changed("04.4", "psi.schedule.diffuse(fixed, t, eps)", "fixed"), "clean samples"),
        (changed("04.4", "guess - fixed", "guess - eps"), "not the noise"),
        (changed("04.4", "    adam.zero_grad()\n", ""), "earlier updates"),
        (changed("04.4", "    adam.step()\n", ""), "has not moved"),
        (changed("04.4", "loss = (", "loss = -("), "psi climbs"),
        (changed("04.4", "guess - fixed", "guess - psi.schedule.diffuse(fixed, t, eps)"), "what psi sees"),
        (changed("04.4", "- fixed) ** 2", "- fixed).abs()"), "not as it should"),
        (changed("04.4", "psi.schedule", "psi.schedle"), "line "),
    ],
    "04.5": [
        (changed("04.5", "loss.backward()", "(-loss).backward()"), "climbs"),
        (changed("04.5", "- mu * gap", "+ mu * gap"), "sign of mu"),
        (changed("04.5", "- mu * gap", ""), "that is L2 alone"),
        (changed("04.5", "- mu * gap", "- gap"), "that is L2 - L1"),
        (changed("04.5", "(real - out) - mu * gap", "mu * (real - out) - gap"), "mu stands before L1"),
        (changed("04.5", "(real - out) - mu * gap", "-mu * gap"), "L2 is missing"),
        (changed("04.5", "(real - out) - mu", "(out - real) - mu"), "L2's sign is turned"),
        (changed("04.5", "(real - out) - mu", "(fake - out) - mu"), "not f_psi - x_g"),
        (changed("04.5", "(real - out) - mu", "(real - out.detach()) - mu"), "x_g is detached in L2"),
        (changed("04.5", "/ (out - real)", "/ (out - fake)"), "not of |x_g - f_psi|"),
        (changed("04.5", "psi.schedule.diffuse(out, t, eps)", "out"), "see clean samples"),
        (
            changed("04.5", "psi.schedule.diffuse(out, t, eps)", "psi.schedule.diffuse(out, t, z[:, None])"),
            "not as it",
        ),
        (changed("04.5", " / (out - real).abs().mean(-1).detach()", ""), "Divide each point"),
        (changed("04.5", ".mean(-1).detach()", ".mean(-1)"), "detach it"),
        (changed("04.5", ".abs().mean(-1).detach()", ".abs().mean().detach()"), "One w for all points"),
        (changed("04.5", "gap * ((real - out) - mu * gap)", "gap * (gap - mu * (real - out))"), "exchanged"),
        (
            changed(
                "04.5", "gap = real - fake", "real, fake = real.detach(), fake.detach(); gap = real - fake"
            ),
            "both networks",
        ),
        (changed("04.5", "    adam.zero_grad()\n", ""), "earlier updates"),
        (
            changed(
                "04.5",
                "    adam.step()\n",
                "    torch.optim.SGD(psi.parameters(), 0.1).step()\n    adam.step()\n",
            ),
            "psi has moved",
        ),
    ],
    "04.6": [
        (
            changed(
                "04.6", "return judge, F.softplus(-fake).mean()", "return F.softplus(-fake).mean(), judge"
            ),
            "swapped",
        ),
        (changed("04.6", ") / 2", ")"), "half of the sum"),
        (changed("04.6", "judge, F.softplus(-fake)", "judge, F.softplus(fake)"), "called real"),
        (
            changed(
                "04.6",
                "(F.softplus(-real).mean() + F.softplus(fake).mean())",
                "(F.softplus(real).mean() + F.softplus(-fake).mean())",
            ),
            "labels are turned",
        ),
        (
            changed("04.6", "judge, F.softplus(-fake).mean()", "judge, -F.softplus(fake).mean()"),
            "gradient fades",
        ),
        (changed("04.6", "return judge, F.softplus(-fake).mean()", "return judge"), "two numbers"),
        (changed("04.6", "judge, F.softplus(-fake)", "judge, F.softplus(-real)"), "of the generated points"),
        (changed("04.6", " + F.softplus(fake).mean()", ""), "lacks BCE(fake, 0)"),
        (lambda real, fake: adversarial(-real, -fake), "turned in both"),
        (lambda real, fake: (2 * adversarial(-real, -fake)[0], F.softplus(fake).mean()), "And psi's is half"),
        (lambda real, fake: (0.0, 0.0), "It should be"),
    ],
}
