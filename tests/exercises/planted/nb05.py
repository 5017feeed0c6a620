"""Wrong answers to the exercises of notebook 05, each with a piece of the feedback it must get."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dlmone_lite.exercises import get
from dlmone_lite.sample import anchor


def sid(combine):
    """Per-element values of a wrong loss, averaged as it should be."""

    def wrong(x_g, f_phi, f_psi, target, mu):
        values = combine(f_phi - f_psi, f_phi, f_psi, x_g, mu).mean(-1)
        return (values * target).sum(-1) / target.sum(-1)

    return wrong


def right_values(d, f_phi, f_psi, x_g, mu):
    return d * ((f_phi - x_g) - mu * d)


def judged(combine):
    """Per-position values of a wrong discriminator loss, averaged as they should be."""
    return lambda real, fake, target: (combine(real, fake) * target).sum(-1) / target.sum(-1)


def student(scale=True, noise=True, shrink=True, sources=True, end=True, start=None, times=None, runs=None):
    """The student's sampler with one mistake."""

    def wrong(network, schedule, batch, clean, t_init, noises):
        count, x0_hat = runs or len(noises), 0.0
        for i in range(count):
            t = round((start or t_init) * (1 - i / len(noises))) if times is None else times[i]
            alpha, sigma = schedule.like(t, clean)
            level = sigma if scale else 1.0
            x = (alpha if shrink else 1.0) * x0_hat + level * noises[i]
            if i and not noise:
                x = x0_hat
            x = anchor(x, clean, batch) if sources else x
            x0_hat = network(x, torch.full((len(x),), t), batch)
        return anchor(x0_hat, clean, batch) if end else x0_hat

    return wrong


def changed(name, old, new):
    """The solution of an exercise with one change."""
    source, names = get(name).solution, {}
    assert old in source
    exec("import torch\nimport torch.nn.functional as F\n" + source.replace(old, new), names)
    return names[get(name).variable]


WRONG = {
    "05.1": [
        (sid(lambda d, phi, psi, x, mu: d * (phi - x) + mu * d * d), "sign of mu"),
        (sid(lambda d, phi, psi, x, mu: d * (phi - x) - d * d), "mu plays no part"),
        (sid(lambda d, phi, psi, x, mu: d * (phi - x)), "L2 alone"),
        (sid(lambda d, phi, psi, x, mu: d * d), "That is L1"),
        (sid(lambda d, phi, psi, x, mu: -d * (phi - x) - mu * d * d), "not f_psi - f_phi"),
        (sid(lambda d, phi, psi, x, mu: d * (psi - x) - mu * d * d), "second factor of L2"),
        (sid(lambda d, phi, psi, x, mu: (phi - x) ** 2), "seeks a mode"),
        (
            lambda x, phi, psi, target, mu: right_values(phi - psi, phi, psi, x, mu).mean((1, 2)),
            "all positions",
        ),
        (
            lambda x, phi, psi, target, mu: (
                right_values(phi - psi, phi, psi, x, mu) * target[..., None]
            ).sum((1, 2)),
            "summed",
        ),
        (sid(lambda d, phi, psi, x, mu: d.shape[-1] * right_values(d, phi, psi, x, mu)), "summed"),
        (lambda x, phi, psi, target, mu: sid(right_values)(x, phi, psi, target, mu).mean(), "every row"),
        (
            lambda x, phi, psi, target, mu: sid(right_values)(x, phi.detach(), psi, target, mu),
            "through f_phi is cut",
        ),
        (
            lambda x, phi, psi, target, mu: sid(right_values)(x.detach(), phi, psi, target, mu),
            "through x_g is cut",
        ),
        (lambda x, phi, psi, target, mu: sid(right_values)(x, phi, psi, target, mu).detach(), "is cut"),
        (lambda x, phi, psi, target, mu: 0.0, "Return a tensor"),
        (sid(lambda d, phi, psi, x, mu: d * x), "Not L2 - mu L1"),
    ],
    "05.2": [
        (judged(lambda real, fake: 0.5 * (F.softplus(real) + F.softplus(-fake))), "exchanged"),
        (judged(lambda real, fake: F.softplus(-real) + F.softplus(fake)), "half"),
        (judged(lambda real, fake: 0.5 * (F.softplus(-real) + F.softplus(real))), "real logits for both"),
        (judged(lambda real, fake: 0.5 * ((1 - real.sigmoid()) ** 2 + fake.sigmoid() ** 2)), "squared error"),
        (judged(lambda real, fake: F.softplus(-real)), "Only the real half"),
        (judged(lambda real, fake: F.softplus(fake)), "Only the fake half"),
        (judged(lambda real, fake: -0.5 * (F.softplus(-real) + F.softplus(fake))), "sign is turned"),
        (lambda real, fake, target: 0.5 * (F.softplus(-real) + F.softplus(fake)).mean(-1), "all positions"),
        (
            lambda real, fake, target: judged(lambda r, f: 0.5 * (F.softplus(-r) + F.softplus(f)))(
                real, fake, target
            ).mean(),
            "every row",
        ),
        (
            judged(lambda real, fake: -0.5 * (real.sigmoid().log() + (1 - fake.sigmoid()).log())),
            "infinite for large",
        ),
        (lambda real, fake, target: 1.0, "Return a tensor"),
        (judged(lambda real, fake: fake - real), "Not the mean"),
        (
            lambda real, fake, target: (F.softplus(-real) + F.softplus(fake)).mean() / 2,
            "The shape should be (3,)",
        ),
    ],
    "05.3": [
        (student(scale=False), "multiply the noise by sigma"),
        (student(noise=False), "no noise was added"),
        (student(shrink=False), "must shrink by alpha"),
        (student(sources=False), "source is noisy"),
        (student(end=False), "Return the last x0_hat"),
        (student(start=2000), "starts at t_init"),
        (student(times=[1490, 1490, 1490]), "not round"),
        (student(runs=1), "yours made 1"),
        (
            lambda network, schedule, batch, clean, t_init, noises: network(clean, t_init, batch),
            "as a tensor (B,)",
        ),
    ],
    "05.4": [
        (changed("05.4", "(fake - real) * own", "(real - fake) * own"), "runs away"),
        (changed("05.4", "write(theta, one).detach()", "one.clean"), "psi learns the data"),
        (changed("05.4", ", two) / w).mean()", ", two)).mean()"), "Divide each row by w"),
        (changed("05.4", '        adams["psi"].zero_grad()\n', ""), "not as it should"),
        (changed("05.4", '        adams["theta"].step()\n', ""), "theta has not moved"),
        (changed("05.4", '        adams["psi"].step()\n', ""), "not as it should"),
        (changed("05.4", "yield loss.item()", "yield pull.item()"), "yields theta's loss"),
        (changed("05.4", "        loss.backward()", "        (-loss).backward()"), "psi climbs"),
        (changed("05.4", "one.batch) - own", "one.batch) - one.noise"), "not the noise"),
        (
            changed(
                "05.4", "return torch.where(draw.batch.target[..., None], mixed, draw.clean)", "return mixed"
            ),
            "Source",
        ),
        (changed("05.4", "phi.schedule.diffuse(x, draw.t, draw.noise)", "x"), "clean samples"),
        (changed("05.4", "(own - real).abs()", "(own - fake).abs()"), "not of |x_g - f_psi|"),
        (
            changed("05.4", "own = write(theta, two)\n", "two = one\n        own = write(theta, two)\n"),
            "a draw of its own",
        ),
        (changed("05.4", "        yield loss.item()\n", ""), "yield psi's loss"),
        (
            changed("05.4", "        yield loss.item()\n", "    yield loss.item()\n"),
            "one loss for each update",
        ),
        (changed("05.4", "with torch.no_grad():\n            seen", "if True:\n            seen"), "no_grad"),
        (
            changed(
                "05.4",
                "(values.mean(-1) * draw.batch.target).sum(1) / draw.batch.target.sum(1)",
                "values.mean((1, 2))",
            ),
            "Each of the two losses",
        ),
        (
            changed("05.4", "draw.batch.target[..., None], mixed", "draw.batch.targets[..., None], mixed"),
            "(line ",
        ),
    ],
}
