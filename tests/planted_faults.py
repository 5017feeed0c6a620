"""Plausible faults of the method, each of which the tests must notice.

`python tests/planted_faults.py` plants one after the other in copies of the package, runs the tests that should
notice it, and prints which faults survive; words on the command line choose the faults whose names hold them. It
takes about forty minutes on two cores. `test_planted_faults.py` asks that every fault still fits the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
COPIES = 2  # faults tried at a time, each in a copy of its own
DISTILL = [
    f"tests/test_{name}.py"
    for name in ("sid", "adversarial", "distill", "distill_replayed", "distill_groups", "shared_noise")
]
DISTILL += ["tests/evaluation/test_psi_lag.py"]
DISTILL += [f"tests/lab/test_{name}.py" for name in ("exact_psi", "plane", "plane_measure")]
TEACHER = ["tests/test_teacher.py", "tests/test_teacher_replayed.py", "tests/variants/test_diffuseq_codec.py"]
TEACHER += ["tests/variants/test_bert.py", "tests/evaluation/test_bayes_floor.py"]

# {file in dlmone_lite: (tests that should notice, [(what is wrong, right text, wrong text)])}
FAULTS: dict[str, tuple[list[str], list[tuple[str, str, str]]]] = {
    "sid.py": (
        DISTILL,
        [
            ("+ mu", "- mu * difference)", "+ mu * difference)"),
            ("reverse KL uphill", "(f_psi - f_phi).detach() * x_g", "(f_phi - f_psi).detach() * x_g"),
            ("f_psi - x_g in L2", "((f_phi - x_g) - mu", "((f_psi - x_g) - mu"),
            ("w keeps its gradient", "(x_g - f_phi).detach().abs()", "(x_g - f_phi).abs()"),
            ("w a mean square", "(x_g - f_phi).detach().abs()", "(x_g - f_phi).detach().square()"),
            ("DSM sample not detached", "(f_psi - x_g.detach()).square()", "(f_psi - x_g).square()"),
            (
                "mean over all positions",
                "(values * target).sum(-1) / target.sum(-1)",
                "(values * target).mean(-1)",
            ),
            (
                "labels swapped",
                "F.softplus(-real) + F.softplus(fake)",
                "F.softplus(real) + F.softplus(-fake)",
            ),
            ("factor 1/2 lost", "return 0.5 * over_target(", "return over_target("),
            (
                "generator sign (saturating other way)",
                "over_target(F.softplus(-fake), target)",
                "over_target(-F.softplus(-fake), target)",
            ),
        ],
    ),
    "training/targets.py": (
        ["tests/test_distill_groups.py", "tests/test_teacher.py"],
        [
            ("groups mixed", ".repeat_interleave(group, 0)", ".repeat(group, 1, 1, 1)"),
            (
                "the source tells samples apart",
                "stable_weights(known * x_t, known[:, None] * samples",
                "stable_weights(x_t, samples",
            ),
            ("the noise's own mean lost", " if sigma_0 else mean", " if sigma_0 is None else mean"),
        ],
    ),
    "training/times.py": (
        ["tests/training/test_times.py", "tests/test_teacher.py", "tests/test_distill_groups.py"],
        [
            (
                "even in sigma/alpha, not its log",
                "torch.arange(first, last + 1)).log()",
                "torch.arange(first, last + 1))",
            ),
            ("the share of late t turned round", "< share, late, t)", "< share, t, late)"),
            ("every row keeps", "< config.keep)", "< 1)"),
            ("t_max exclusive", "config.t_max + 1, (n,)", "config.t_max, (n,)"),
            ("importance upside down", "(1 / (p[index] * self.T)).float()", "(p[index] * self.T).float()"),
            ("losses drive t too early", "self.counts.min() >= self.history", "self.counts.max() > 0"),
            ("a loss overwrites the newest", "(self.counts[index] + place) % self.history", "0 * place"),
        ],
    ),
    "corpora/pairs.py": (
        ["tests/corpora/test_pairs.py", "tests/test_distill_groups.py"],
        [
            (
                "a group repeats one pair",
                "(torch.rand(n, generator=generator) * self.count[source]).long()",
                "torch.zeros(n, dtype=torch.long)",
            ),
            ("groups by pair, not by source", "self.first[source] + place", "self.first[source] * 0 + place"),
        ],
    ),
    "distill.py": (
        DISTILL,
        [
            (
                "w against f_psi at call",
                "w = error_weight(x_g, f_phi, batch.target)",
                "w = error_weight(x_g, f_psi, batch.target)",
            ),
            (
                "x_t detached for theta",
                "anchor(phi.schedule.diffuse(x_g, t, draw.noise)",
                "anchor(phi.schedule.diffuse(x_g.detach(), t, draw.noise)",
            ),
            (
                "f_psi detached",
                "    w = error_weight(x_g, f_phi, batch.target)",
                ("    f_psi = f_psi.detach()\n    w = error_weight(x_g, f_phi, batch.target)"),
            ),
            ("b_d <- b_g in psi", '"discriminator": self.b_d}', '"discriminator": self.b_g}'),
            ("b_g <- b_d in theta", '"generator": self.b_g,', '"generator": self.b_d,'),
            (
                "real has its own noise",
                "psi.schedule.diffuse(real, t, draw.noise)",
                "psi.schedule.diffuse(real, t, draw.noise.flip(0))",
            ),
            ("real has its own t", "psi.discriminate(real_t, t)", "psi.discriminate(real_t, t.flip(0))"),
            (
                "alpha for sigma at t_init",
                "self.phi.schedule.like(self.config.t_init, draw.z)[1]",
                "self.phi.schedule.like(self.config.t_init, draw.z)[0]",
            ),
            ("student input unscaled z", "anchor(sigma * draw.z, draw.clean", "anchor(draw.z, draw.clean"),
            ("training's noise not shared", "share_noise(z, c.rho), t, noise", "z, t, noise"),
            ("warm-up off by one", "if step > c.psi_warmup:", "if step >= c.psi_warmup:"),
            (
                "EMA one step early",
                "self.ema.update(self.theta, step)",
                "self.ema.update(self.theta, step - 1)",
            ),
            ("EMA of psi", "self.ema.update(self.theta, step)", "self.ema.update(self.psi, step)"),
            (
                "stage two from the average",
                "return DistillRun(self.teacher, self.data, config, self.theta, self.phi)",
                "return DistillRun(self.teacher, self.data, config, self.result, self.phi)",
            ),
            ("restart keeps Adam", "self.optimisers[name].state.clear()", "pass"),
            (
                "GAN term not over w",
                "generator_loss(fake, batch.target) / w",
                "generator_loss(fake, batch.target)",
            ),
            ("SiD term not over w", "f_psi, batch.target) / w}", "f_psi, batch.target)}"),
            (
                "source noised for theta",
                "x_t = anchor(phi.schedule.diffuse(x_g, t, draw.noise), draw.clean, batch)",
                "x_t = phi.schedule.diffuse(x_g, t, draw.noise)",
            ),
            (
                "source noised for psi",
                "fake_t = anchor(psi.schedule.diffuse(x_g.detach(), t, draw.noise), real, batch)",
                "fake_t = psi.schedule.diffuse(x_g.detach(), t, draw.noise)",
            ),
            (
                "source noised for D(real)",
                "real_t = anchor(psi.schedule.diffuse(real, t, draw.noise), real, batch)",
                "real_t = psi.schedule.diffuse(real, t, draw.noise)",
            ),
            (
                "same draw for both",
                (
                    "            indices.append(self.data.draw(c.batch_size, generator, c.group))\n"
                    "            draw = self.noised(indices[-1], generator)\n"
                ),
                (
                    "            indices.append(\n"
                    '                self.data.draw(c.batch_size, generator, c.group) if name == "psi" else indices[-1]\n'
                    "            )\n"
                    '            draw = self.noised(indices[-1], generator) if name == "psi" else self.last\n'
                    "            self.last = draw\n"
                ),
            ),
            (
                "teacher's clamp share turned round",
                "phi.clamp(f_phi.detach()), c.clamp)",
                "phi.clamp(f_phi.detach()), 1 - c.clamp)",
            ),
            (
                "theta in training mode (dropout)",
                "copy.deepcopy(student or teacher).eval()",
                "copy.deepcopy(student or teacher).train()",
            ),
            ("late rows weigh less", "w / c.late_weight)", "w * c.late_weight)"),
            (
                "psi keeps, not the teacher",
                "f_phi = self.phi(x_t, t, draw.batch)\n        loss",
                "f_phi = self.psi(x_t, t, draw.batch)\n        loss",
            ),
            ("psi's goal is its sample", " if c.group > 1 else x_g", " if c.group > 99 else x_g"),
            ("psi has theta's rate", '{"theta": c.lr, "psi": c.lr_psi}', '{"theta": c.lr, "psi": c.lr}'),
            ("betas .9", '"betas": (config.beta1,', '"betas": (0.9,'),
            (
                "psi's embeddings learn",
                ("for network in (self.theta, self.psi):\n            network.words"),
                ("for network in (self.theta,):\n            network.words"),
            ),
            (
                "psi starts from the student",
                "self.psi = copy.deepcopy(teacher).eval()",
                "self.psi = copy.deepcopy(student or teacher).eval()",
            ),
        ],
    ),
    "schedule.py": (
        ["tests/test_schedule.py"],
        [
            (
                "closed form shifted",
                ("closed = 1 - (s + 1e-4).sqrt()\n"),
                ("closed = 1 - (s + 1e-3).sqrt()\n"),
            ),
            (
                "no clean step 0",
                "abar = torch.cat([torch.ones(1, dtype=torch.float64), SCHEDULES[name](T)])",
                "abar = torch.cat([SCHEDULES[name](T), SCHEDULES[name](T)[-1:]])",
            ),
            (
                "alpha/sigma swapped in diffuse",
                "return alpha * x0 + sigma * noise",
                "return sigma * x0 + alpha * noise",
            ),
        ],
    ),
    "tweedie.py": (
        ["tests/test_tweedie.py", "tests/test_sample.py"],
        [("posterior's alpha_s", "alpha_s * beta * x0) / sigma_t**2", "alpha_t * beta * x0) / sigma_t**2")],
    ),
    "sample.py": (
        ["tests/test_sample.py", "tests/test_shared_noise.py"],
        [
            ("shared noise not of variance 1", "(1 - rho + z.shape[1] * rho)", "(1 - rho + rho)"),
            (
                "beta variance",
                "std = (sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2).sqrt()",
                "std = (sigma_t**2 - (alpha_s / alpha_t * sigma_s) ** 2).abs().sqrt()",
            ),
            (
                "student's re-noise level",
                "return schedule.diffuse(x0_hat, s, share_noise(noise_like(clean, generator), rho))",
                "return schedule.diffuse(x0_hat, t, share_noise(noise_like(clean, generator), rho))",
            ),
            (
                "student not anchored when re-noised",
                "x = anchor(x0_hat if s == 0 else step(x, x0_hat, t, s), clean, batch)",
                "x = x0_hat if s == 0 else step(x, x0_hat, t, s)",
            ),
        ],
    ),
    "teacher.py": (
        TEACHER,
        [
            (
                "source without sigma_0 noise",
                "diffuse(x0, t, noise), x0, batch)",
                "diffuse(x0, t, noise), table[ids], batch)",
            ),
            (
                "stable weights without sigma_0",
                "spread = (sigma**2 + (alpha * config.sigma_0) ** 2).sqrt()",
                "spread = sigma",
            ),
            (
                "prior without alpha_T",
                "prior = (model.schedule(model.schedule.T)[0] * x0)",
                "prior = (model.schedule(1)[0] * x0)",
            ),
            (
                "importance weight lost",
                "terms = {name: weight * term for name, term in terms.items()}",
                "terms = dict(terms)",
            ),
            (
                "weighted losses recorded",
                "sum(weights[name] * term.detach() for",
                "sum(weight * weights[name] * term.detach() for",
            ),
            (
                "rounding of the prediction, through the transformer",
                "rounding = rounding_loss(x0, table, bias, ids[:, cut:])",
                "rounding = rounding_loss(model.read(x_t, t, h)[:, cut:], table, bias, ids[:, cut:])",
            ),
        ],
    ),
    "training/run.py": (
        ["tests/training/test_run.py", "tests/test_distill.py", "tests/test_distill_replayed.py"],
        [
            (
                "EMA weight",
                "torch._foreach_lerp_(averages, weights, 1 - decay)",
                "torch._foreach_lerp_(averages, weights, decay)",
            ),
            (
                "EMA ramp off by one",
                "min(self.decay, step / (step + 9))",
                "min(self.decay, (step + 1) / (step + 10))",
            ),
            (
                "lr warm-up off by one",
                "return lr * step / max(1, warmup)",
                "return lr * (step - 1) / max(1, warmup)",
            ),
        ],
    ),
    "training/update.py": (
        ["tests/training/test_update.py", "tests/test_distill.py"],
        [
            (
                "parts not weighted",
                "part = gradient if share == factor else share / factor * gradient",
                "part = gradient / factor",
            ),
            ("clip upside down", "if clip and size > clip:", "if clip and size < clip:"),
        ],
    ),
    "text.py": (
        ["tests/test_text.py", "tests/test_teacher.py", "tests/test_distill.py"],
        [
            (
                "PAD is no target",
                ("target[:, self.source_length :] = True\n        return Batch(ids, target)"),
                (
                    "target[:, self.source_length :] = True\n"
                    "        return Batch(ids, target & (ids != PAD) if targets is not None else target)"
                ),
            )
        ],
    ),
    "variants/diffuseq_codec.py": (
        ["tests/variants/test_diffuseq_codec.py"],
        [
            (
                "PAD is no target",
                "ids[i, : len(row)] = torch.tensor(row)",
                ("ids[i, : len(row)] = torch.tensor(row)\n            mask[i, len(row) :] = targets is None"),
            ),
            ("target's CLS is source", "mask[i, len(row) :] = True", "mask[i, len(row) + 1 :] = True"),
        ],
    ),
    "exact.py": (
        ["tests/test_exact.py"],
        [
            (
                "equal shares",
                "return self.log_p - squared / (2 * variance), variance",
                "return -squared / (2 * variance), variance",
            )
        ],
    ),
    "variants/bert.py": (
        ["tests/variants/test_bert.py"],
        [
            (
                "t unscaled",
                "sinusoids(t * (1000.0 / self.config.T), self.config.embed_dim)",
                "sinusoids(t * 1.0, self.config.embed_dim)",
            ),
            ("verdict after the norm", "return self.blocks[-1].last_sum(h)", "return self.blocks[-1](h)"),
        ],
    ),
    "model.py": (
        ["tests/test_model.py"],
        [
            (
                "time features of t_init",
                (
                    "level = self.schedule.ratio(t).clamp(min=1e-3).log().to(x_t.dtype)\n"
                    "        h = self.up(x_t) + self.position"
                ),
                (
                    "level = self.schedule.ratio(t).clamp(min=1e-3).to(x_t.dtype)\n"
                    "        h = self.up(x_t) + self.position"
                ),
            ),
            (
                "rope does not restart at the target",
                "place = torch.where(place < config.source_length, place, place - config.source_length)",
                "place = place",
            ),
        ],
    ),
    "evaluation/metrics.py": (
        ["tests/evaluation/test_metrics.py"],
        [
            (
                "floor of all samples for the right ones",
                "(support, len(_right(samples, support)))",
                "(support, len(samples))",
            ),
            ("TV without half", "return 0.5 * (inside + outside)", "return inside + outside"),
            ("floor's m", "m = math.floor(n * p) + 1", "m = math.floor(n * p)"),
            ("smoothing 1", ".method4", ".method1"),
            ("self-BLEU with itself", "counts[a] * (counts[b] - (a == b))", "counts[a] * counts[b]"),
            (
                "mbr with itself",
                "for j, other in enumerate(hypotheses) if j != i]",
                "for j, other in enumerate(hypotheses)]",
            ),
            ("mbr smallest", "agreement.index(max(agreement))", "agreement.index(min(agreement))"),
        ],
    ),
    "variants/warm_start.py": (
        ["tests/variants/test_warm_start.py"],
        [
            ("kept rows start from noise", "target * kept[:, None, None]", "target * 0"),
            (
                "score of another coordinate",
                "score = torch.where(kept, score, z[:, cut] @ pool.direction)",
                "score = torch.where(kept, score, z[:, cut - 1] @ pool.direction)",
            ),
        ],
    ),
    "variants/sentence_pool.py": (
        ["tests/variants/test_sentence_pool.py", "tests/variants/test_warm_start.py"],
        [("shares not sorted along", "self.share.copy_(self.share.gather(1, order))", "pass")],
    ),
    "evaluation/psi_lag.py": (
        ["tests/evaluation/test_psi_lag.py"],
        [
            (
                "lag upside down",
                "over_target((f_phi - f_psi) * (f_psi - x_g), batch.target)",
                "over_target((f_phi - f_psi) * (x_g - f_psi), batch.target)",
            )
        ],
    ),
    "variants/sharpen.py": (
        ["tests/variants/test_sharpen.py"],
        [("unclamped sentences", "clamp=phi.clamp)", "clamp=None)")],
    ),
    "corpora/corpus.py": (
        ["tests/corpora/test_corpus.py"],
        [("training rows in valid", "if key(row) not in known]", "]")],
    ),
    "corpora/word_pieces.py": (
        ["tests/corpora/test_scripts.py"],
        [("accents stripped", "strip_accents=False", "strip_accents=True")],
    ),
    "files.py": (
        ["tests/test_files.py", "tests/cli/test_files_kept.py"],
        [
            ("digest not compared", "if expected and hashlib", "if False and hashlib"),
            (
                "a link is replaced",
                "goal = Path(os.path.realpath(path))\n        goal.parent",
                "goal = Path(path)\n        goal.parent",
            ),
        ],
    ),
    "jobs/corpus_task.py": (
        ["tests/corpora/test_real_text.py", "tests/cli/test_cli.py", "tests/jobs/test_task.py"],
        [
            (
                "selection on the reported sources",
                "side[-sources:] for side in self.valid",
                "side[:sources] for side in self.valid",
            )
        ],
    ),
}


class Fault(NamedTuple):
    """One fault: the right text stands once in `file`, a path below dlmone_lite."""

    file: str
    what: str
    right: str
    wrong: str
    tests: list[str]

    @property
    def name(self) -> str:
        return f"{self.file}: {self.what}"


def faults() -> Iterator[Fault]:
    """All faults, file by file."""
    for file, (tests, entries) in FAULTS.items():
        for what, right, wrong in entries:
            yield Fault(file, what, right, wrong, tests)


def copy_of_the_kit(folder: Path) -> Path:
    """What the tests need; data, which no fault touches, as a link."""
    for name in ("dlmone_lite", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "requirements.txt"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("data", "notebooks"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def plant(fault: Fault) -> str:
    """Run the tests with one fault planted: "killed", "SURVIVED", or why it could not be told."""
    with tempfile.TemporaryDirectory() as scratch:
        kit = copy_of_the_kit(Path(scratch))
        path = kit / "dlmone_lite" / fault.file
        text = path.read_text(encoding="utf-8")
        if text.count(fault.right) != 1:
            return f"the right text stands {text.count(fault.right)} times in it"
        path.write_text(text.replace(fault.right, fault.wrong), encoding="utf-8")
        options = [
            "-B",
            "-m",
            "pytest",
            "-q",
            "-x",
            "-o",
            "addopts=--import-mode=importlib",
            "-p",
            "no:xdist",
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(kit)}
        command = [sys.executable, *options, "-p", "no:cacheprovider", *fault.tests]
        try:
            done = subprocess.run(
                command, cwd=kit, env=environment, capture_output=True, text=True, timeout=900
            )
        except subprocess.TimeoutExpired:
            return "killed (no end within 15 minutes)"
        return {0: "SURVIVED", 1: "killed"}.get(
            done.returncode, f"pytest ended with {done.returncode}: {done.stdout[-300:]}"
        )


def main(words: list[str]) -> int:
    """Try the faults whose names hold any of the words, or all; 1 if one survives or could not be tried."""
    chosen = [fault for fault in faults() if not words or any(word in fault.name for word in words)]
    with ThreadPoolExecutor(COPIES) as pool:
        outcomes = list(pool.map(report, chosen))
    survivors = [
        f.name for f, outcome in zip(chosen, outcomes, strict=True) if not outcome.startswith("killed")
    ]
    print(f"{len(chosen)} faults, {len(survivors)} not killed: {'; '.join(survivors) or 'none'}")
    return int(bool(survivors))


def report(fault: Fault) -> str:
    """`plant`, printed."""
    outcome = plant(fault)
    print(f"{outcome:10} {fault.name}", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
