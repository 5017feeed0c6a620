"""Notebook 02: neighbours, [PAD], misread words, three readers of a noisy sentence, walks, collapse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.world import World
from dlmone_lite.figures import nb02 as figures
from dlmone_lite.figures import style
from dlmone_lite.generation import generate
from dlmone_lite.panels.panel import View
from dlmone_lite.schedule import Schedule
from dlmone_lite.text import PAD, SEP

QUANTILES = torch.tensor([0.1, 0.5, 0.9])


def rng(seed: int) -> torch.Generator:
    """Far from the seeds that networks start from, because weights and noise must not be the same numbers."""
    return torch.Generator().manual_seed(20_000 + seed)


def pair_error(d: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
    """The chance that a noisy word is taken for a word at distance d: Q(alpha d / (2 sigma))."""
    return torch.special.ndtr(-(alpha * d) / (2 * sigma))


def share_right(ids: Tensor, p: Tensor) -> float:
    """The probability that words drawn independently, each from its exact distribution, make one of the
    sentences ids (K, L) of probabilities p (K,)."""
    same = (ids[:, None] == ids[None]) * p[None, :, None]
    return same.sum(1).prod(1).sum().item()


class Space:
    """A world's sentences as points: the teacher's table, the right answers, and what noise does to them."""

    def __init__(self, world: World, teacher: Checkpoint, sources: Sequence[str], full: bool = False):
        self.world, self.teacher, self.sources, self.full = world, teacher, list(sources), full
        self.model, self.codec, self.words = teacher.model, teacher.codec, teacher.codec.vocabulary
        self.schedule, self.table = teacher.model.schedule, teacher.model.embedding().detach()
        self.cut, self.length = teacher.codec.source_length, teacher.codec.target_length
        self.D = teacher.model.config.embed_dim
        self.used = torch.tensor([PAD, SEP] + [self.words.ids(word)[0] for word in world.vocabulary()])
        exact = "donot_use_mm_for_euclid_dist"  # zeros on the diagonal
        self.distance = torch.cdist(self.table, self.table, compute_mode=exact)  # (V, V)
        self.noise_levels = torch.logspace(-0.45, 1.5, 60)

    # ---- words

    def neighbours(self) -> float:
        """Draw the cosines of words by slot -> share of words whose nearest neighbour is of their slot."""
        named = ((s, own) for s, own in self.world.slots.items() if s != "duration")
        slots = {s: [self.words.ids(w)[0] for w in own] for s, own in named}
        slots["grammar"] = self.words.ids("how what who which is can do the a in for")
        order = sum(slots.values(), [])
        home = torch.tensor([i for i, group in enumerate(slots.values()) for _ in group])
        alike, other = home[:, None] == home, ~torch.eye(len(order), dtype=torch.bool)
        content = home < len(slots) - 1  # words of a slot

        def cosines_of(points: Tensor) -> tuple[Tensor, float]:
            unit = F.normalize(points[order], dim=-1)
            cosine = unit @ unit.T
            nearest = (cosine - 2 * (~other)).argmax(1)
            return cosine, alike[range(len(order)), nearest][content].float().mean().item()

        cosine, share = cosines_of(self.table)
        random = [cosines_of(torch.randn(self.table.shape, generator=rng(seed))) for seed in range(3)]
        inside, outside = cosine[alike & other & content], cosine[~alike]
        samples = {"same slot": inside, "different groups": outside, "random points": random[0][0][other]}
        alt = "Left: cosines of words ordered by slot, bright blocks along the diagonal. Right: densities; "
        alt += "the pairs of one slot lie far to the right of the others, random points are centred on 0."
        numbers = f"mean cosine: same slot {inside.mean():.2f}, different groups {outside.mean():.2f}"
        sizes = [(slot, len(group)) for slot, group in slots.items()]
        style.show(figures.cosines(cosine, sizes, samples), alt, numbers)
        for word in ("paris", "doctor", "french"):
            if word in self.words.words:
                near = (self.table @ self.table[self.words.ids(word)[0]]).argsort(descending=True)[1:5]
                print(f"nearest to {word}: {', '.join(self.words.words[i] for i in near)}")
        at_random = max(found for _, found in random)
        print(f"nearest neighbour of the same slot: {share:.0%}; in random tables at most {at_random:.0%}")
        return share

    def margins(self, x: Tensor, i: Tensor) -> Tensor:
        """Distance (N,) of x (N, D) = x_t / alpha to the nearest border of the words i (N,); negative is
        misread."""
        gap = (x * self.table[i]).sum(-1, keepdim=True) - x @ self.table.T  # (N, V)
        return (gap / self.distance[i]).scatter(1, i[:, None], torch.inf).amin(1)

    def error_curves(self, error_of_a_pair: Callable[..., Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noise levels and, at each (levels,), the share of words misread, its lower and its upper bound."""
        ratios, i = torch.logspace(-0.35, 0.5, 18), self.used.repeat(400 if self.full else 100)
        eps = torch.randn(len(i), self.D, generator=rng(0))
        misread = [(self.margins(self.table[i] + r * eps, i) < 0).float().mean() for r in ratios]
        tail = error_of_a_pair(self.distance[self.used][None], 1.0, ratios[:, None, None])
        itself = self.used[None, :, None].expand(len(ratios), -1, -1)
        tail = tail.scatter(2, itself, 0.0)  # (levels, used, V)
        return ratios, torch.stack(misread), tail.amax(-1).mean(-1), tail.sum(-1).clamp(max=1).mean(-1)

    def misreading(self, error_of_a_pair: Callable[..., Tensor]) -> float:
        """Draw the share of misread words between its bounds -> sigma/alpha at which half are misread."""
        ratios, measured, lower, upper = self.error_curves(error_of_a_pair)
        k = (measured > 0.5).float().argmax().item()  # half are misread between this level and the one before
        step = (0.5 - measured[k - 1]) / (measured[k] - measured[k - 1])
        half = (ratios[k - 1] + step * (ratios[k] - ratios[k - 1])).item()
        nearest = self.distance[self.used].scatter(1, self.used[:, None], torch.inf).amin(1)
        alt = "Misread words rise steeply with noise, between the nearest word's curve and the union bound."
        numbers = f"median distance to the nearest word {nearest.median():.1f}; half misread at {half:.1f}, "
        numbers += f"which is t = {50 * round(self.schedule.at_ratio(half) / 50)}"
        style.show(figures.misreading(ratios, measured, upper, lower), alt, numbers)
        return half

    # ---- sentences

    def layouts(self) -> None:
        """Draw forty rows in our layout and in DiffuSeq's; print how much is [PAD], and what it tells."""
        ours, theirs = [], []  # kinds of token: numbers into figures.KINDS
        for source, target in self.world.pairs("train", 40):
            a, b = len(source.split()), len(target.split())
            first = [0] * a + [1] + [3] * (self.cut - a - 1)
            ours.append(first + [2] * b + [1] + [3] * (self.length - b - 1))
            running = [1] + [0] * a + [1, 1, 1] + [2] * b + [1]
            theirs.append(running + [3] * (128 - len(running)))
        starts = [row.index(2) for row in theirs]
        both = {"here (24 positions)": torch.tensor(ours), "DiffuSeq (128 positions)": torch.tensor(theirs)}
        alt = f"Forty rows of tokens in two layouts. Left: all targets start at position {self.cut}. Right: "
        alt += "they start at several places, and most of the 128 positions are [PAD]."
        numbers = f"DiffuSeq's layout: {len(set(starts))} different starts; target words are "
        numbers += f"{(both['DiffuSeq (128 positions)'] == 2).float().mean():.0%} of all positions"
        style.show(figures.layouts(both), alt, numbers)

        here = (both["here (24 positions)"][:, self.cut :] == 3).float().mean()
        there = sum(row.count(3) for row in theirs) / sum(129 - start for start in starts)
        print(f"[PAD] is right at {here:.0%} of our target positions and at {there:.0%} of DiffuSeq's")
        left = 0.0
        for name in self.sources:
            exact = self.world.support(name)
            sizes = [len(answer.split()) for answer in exact]
            left += sum(p * sizes.count(n) / len(sizes) for p, n in zip(exact.values(), sizes, strict=True))
        print(f"right answers still possible once the length is known: {left / len(self.sources):.0%}")

    def candidates(self, source: str) -> tuple[Tensor, Tensor]:
        """ids (K, length) and probabilities (K,) of all right answers."""
        exact = self.world.support(source)
        ids = self.codec.encode([source] * len(exact), list(exact)).ids[:, self.cut :]
        return ids, torch.tensor(list(exact.values()))

    def readers(self, x: Tensor, r: float, ids: Tensor, p: Tensor) -> dict[str, Tensor]:
        """Three readers' word probabilities (N, length, V) at x (N, length, D) = x_t / alpha with noise r."""
        alone = x @ self.table.T / r**2  # log N(x; e, r^2) up to a constant, for equal lengths
        prior = torch.zeros(self.length, len(self.words)).scatter_add_(1, ids.T, p.expand(self.length, -1))
        w = (x.flatten(1) @ self.table[ids].flatten(1).T / r**2 + p.log()).softmax(-1)  # (N, K) sentences
        places = ids.T.expand(len(x), -1, -1), w[:, None].expand(-1, self.length, -1)
        whole = torch.zeros(alone.shape).scatter_add_(2, *places)
        both = (alone + prior.log()).softmax(-1)
        return dict(zip(figures.READERS, (alone.softmax(-1), both, whole), strict=True))

    def decided(self, source: str, k: int, seed: int, draws: int = 0) -> dict[str, Tensor]:
        """For each reader the noise (length,) up to which each word of answer k is decided; inf: at any."""
        ids, p = self.candidates(source)
        eps = torch.randn(draws or (300 if self.full else 60), self.length, self.D, generator=rng(seed))
        sure: dict[str, list[Tensor]] = {name: [] for name in figures.READERS}
        for r in self.noise_levels.tolist():
            for name, probability in self.readers(self.table[ids[k]] + r * eps, r, ids, p).items():
                right = probability[:, range(self.length), ids[k]]  # (draws, length)
                sure[name].append((right > 0.9).float().mean(0))
        found = {}
        for name, rows in sure.items():
            fails = torch.stack(rows) < 0.5  # (levels, length)
            first = fails.float().argmax(0)  # the first level at which it is open
            at = self.noise_levels[(first - 1).clamp(min=0)]
            found[name] = torch.where(fails.any(0), at, torch.inf)
        return found

    def when_decided(self, source: str, target: str) -> None:
        """Draw the margins of a word and of the sentence, and up to which noise each word is decided."""
        ids, _ = self.candidates(source)
        level = self.decided(source, 0, 0, draws=400)
        points, eps = self.table[ids].flatten(1), torch.randn(400, self.length, self.D, generator=rng(0))
        end = len(self.words.ids(target)) + 2  # the words, [SEP] and one [PAD]
        to_word, to_sentence = [], []
        apart = points[0] - points[1:]  # (K - 1, length * D)
        for r in self.noise_levels:
            x = self.table[ids[0]] + r * eps
            to_word.append(self.margins(x[:, :end].flatten(0, 1), ids[0, :end].repeat(len(eps))))
            along = ((x.flatten(1) - (points[0] + points[1:])[:, None] / 2) * apart[:, None]).sum(-1)
            to_sentence.append(along.div(apart.norm(dim=1)[:, None]).amin(0))
        bands = {
            "one word among all words": torch.stack(to_word).quantile(QUANTILES, -1),
            "the sentence among right sentences": torch.stack(to_sentence).quantile(QUANTILES, -1),
        }
        clock = [(r, self.schedule.at_ratio(r)) for r in (0.5, 1, 2, 4, 8, 16)]
        shown = [self.words.words[i] for i in ids[0, :end]]
        alt = "Above: margins against noise; a word's is below zero long before the sentence's. Below: the "
        alt += "noise up to which each word is decided: least alone, more with the source, most with all."
        medians = ", ".join(f"{name} {values[:end].median():.1f}" for name, values in level.items())
        fig = figures.when_decided(self.noise_levels, bands, shown, level, clock)
        style.show(fig, alt, f"“{target}”: median level: {medians}")

    def three_readers(self) -> float:
        """Print up to which noise each reader decides, over all sources -> the last level over the first."""
        medians: dict[str, list[float]] = {name: [] for name in figures.READERS}
        for seed in range(3):
            rows: dict[str, list[Tensor]] = {name: [] for name in figures.READERS}
            for i, name in enumerate(self.sources):
                ids, p = self.candidates(name)
                k = torch.multinomial(p, 1, generator=rng(100 * seed + i)).item()
                contested = (ids != ids[k]).any(0)  # positions at which the right answers differ
                for reader, values in self.decided(name, k, seed).items():
                    rows[reader].append(values[contested])
            for reader, values in rows.items():
                medians[reader].append(torch.cat(values).median().item())
        print(f"over {len(self.sources)} questions, three draws each:")
        for name, values in medians.items():
            t = self.schedule.at_ratio(sum(values) / 3)
            print(f"median level, {name}: {sum(values) / 3:.1f}, which is t = {50 * round(t / 50)}")
        alone, _, whole = medians.values()
        return sum(b / a for a, b in zip(alone, whole, strict=True)) / 3

    def cases(self, questions: int = 4) -> dict[str, tuple[str, int]]:
        """Two right answers to each of the first questions, one of them with a near double: text -> (source,
        number of the answer)."""
        found: dict[str, tuple[str, int]] = {}
        for source in self.sources[:questions]:
            ids, _ = self.candidates(source)
            twin = ((ids[:, None] != ids[None]).sum(-1) == 1).any(1).int().argmax().item()
            found |= {list(self.world.support(source))[k]: (source, k) for k in (0, twin)}
        return found

    def reading(self, x: Tensor, r: float, source: str, k: int) -> View:
        """A table of what the three readers make of answer k at x (length, D) = x_t / alpha with noise r."""
        ids, p = self.candidates(source)
        found = self.readers(x[None], r, ids, p)
        seen = {reader: probability[0].max(-1) for reader, probability in found.items()}
        gap, truth, lines = self.margins(x, ids[k]), ids[k].tolist(), []
        for i in range(truth.index(SEP) + 2 if SEP in truth[:-1] else self.length):
            reads = [(self.words.words[best.indices[i]], best.values[i].item()) for best in seen.values()]
            lines.append(figures.Reading(self.words.words[truth[i]], gap[i].item(), tuple(reads)))
        right = [sum(line.reads[j][0] == line.word for line in lines) for j in range(3)]
        readout = f"sigma/alpha {r:.2f} at this scale | right of {len(lines)}: "
        readout += f"alone {right[0]}, with the source {right[1]}, with all {right[2]}"
        return View(figures.reading_table(lines, list(seen)), readout)

    # ---- independence

    def independent_words(self, share_of: Callable[[Tensor, Tensor], float]) -> float:
        """Print what becomes of words that are drawn independently -> the mean share of right sentences."""
        shares = [share_of(*self.candidates(name)) for name in self.sources]
        answers = map(self.candidates, self.sources)
        averages = [(p[:, None, None] * self.table[ids]).sum(0) for ids, p in answers]
        means = [self.words.text(self.model.round(average).tolist()) for average in averages]
        print(f"the mean of all right sentences, rounded: {means[0]}")
        hits = sum(mean in self.world.support(name) for mean, name in zip(means, self.sources, strict=True))
        print(f"right, of {len(self.sources)} such means: {hits}")
        said = generate(self.teacher, self.sources[:1], steps=1, seed=0)[0][0]  # one call, on pure noise
        print(f"the teacher's first reading in notebook 00:    {said}")
        return sum(shares) / len(shares)

    def walks(self) -> None:
        """Print how many straight walks from one right sentence to another pass a wrong one."""
        wrong, steps = [], torch.linspace(0, 1, 21)[:, None, None]
        for name in self.sources:
            ids, _ = self.candidates(name)
            right = set(map(tuple, ids.tolist()))
            for a, b in torch.combinations(torch.arange(len(ids))).tolist():
                path = self.model.round(torch.lerp(self.table[ids[a]], self.table[ids[b]], steps)).tolist()
                wrong.append(any(tuple(row) not in right for row in path))
        share = sum(wrong) / max(1, len(wrong))
        print(f"of {len(wrong)} walks from one right sentence to another, {share:.0%} pass a wrong one")

    def walked(self, path: Tensor, stops: Tensor, source: str, first: int, second: int) -> View:
        """A table of what path (stops, length, D) reads as, from one answer to another; its first stop is
        framed, and the readout speaks of it."""
        ids, _ = self.candidates(source)
        answers, right = list(self.world.support(source)), set(map(tuple, ids.tolist()))
        a, b = ([self.words.words[i] for i in ids[k]] for k in (first, second))
        rows, reads = [], self.model.round(path).tolist()
        for stop, read in zip(stops.tolist(), reads, strict=True):
            text = [self.words.words[i] for i in read]
            line = figures.walk_line(text, figures.origins(text, a, b))
            rows.append((f"{stop:.2f}", line, tuple(read) in right))
        wrong = sum(not ok for _, _, ok in rows[1:])
        nearest = (path[0] - self.table[ids]).square().sum((1, 2)).argmin().item()
        readout = f"at {rows[0][0]}: {'right' if rows[0][2] else 'wrong'}, “{self.words.text(reads[0])}” | "
        readout += f"wrong at {wrong} of {len(rows) - 1} stops | nearest right sentence: {answers[nearest]}"
        return View(figures.walk_table(rows, 0), readout)


# ---- the table


def train_table(sphere: bool, rounding: float, seed: int, steps: int = 200) -> tuple[list[float], Tensor]:
    """Train 24 words in three slots under a perfect denoiser -> (distance to the nearest word, table).

    The source tells the slot, not the word. `sphere` fixes the length, `rounding` weighs the rounding term.
    """
    V, D, schedule = 24, 16, Schedule()
    generator, group = rng(seed), torch.arange(V) // 8
    free = torch.randn(V, D, generator=generator).requires_grad_()
    optimiser, apart = torch.optim.Adam([free], lr=0.03), []
    for _ in range(steps):
        E = F.normalize(free, dim=-1) * D**0.5 if sphere else free
        i = torch.randint(V, (256,), generator=generator)
        t = torch.randint(1, schedule.T + 1, (256,), generator=generator)
        alpha, sigma = schedule.like(t, E[i])
        x_t = alpha * E[i] + sigma * torch.randn(256, D, generator=generator)
        logits = (alpha * x_t @ E.T - alpha**2 * E.square().sum(-1) / 2) / sigma.clamp(min=0.05) ** 2
        logits = logits.masked_fill(group[i][:, None] != group, -torch.inf)  # the source tells the slot
        loss = (E[i] - logits.softmax(-1) @ E).square().mean()  # to the exact posterior mean
        loss = loss + rounding * F.cross_entropy(E[i] @ E.T, i)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        apart.append(torch.cdist(E.detach(), E.detach()).fill_diagonal_(torch.inf).amin(1).mean().item())
    return apart, E.detach()


def collapse(settings: Mapping[str, tuple[bool, float]]) -> list[str]:
    """Draw how near words come in training under each setting (sphere, rounding) -> those that collapse."""
    trained = {name: [train_table(*setting, seed) for seed in range(3)] for name, setting in settings.items()}
    runs = {name: [apart for apart, _ in seeds] for name, seeds in trained.items()}
    final = {name: [run[-1] for run in seeds] for name, seeds in runs.items()}
    start = next(iter(runs.values()))[0][0]
    alt = "Distance to the nearest word over training. Without the rounding term it falls to zero, for free "
    alt += "embeddings and on the sphere; with it, it settles at a positive value."
    numbers = ", ".join(f"{name} {sum(v) / 3:.1f}" for name, v in final.items())
    style.show(figures.collapse(runs, "distance to the nearest word"), alt, f"at the end: {numbers}")
    return [name for name, values in final.items() if max(values) < 0.1 * start]
