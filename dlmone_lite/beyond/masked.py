"""`sweep masked`: why a factorised student cannot write in one call.

A masked diffusion model (LLaDA's kind, arXiv 2502.09992) hides words and predicts each hidden one given the
others that are seen. Words that are revealed in the same call are drawn independently. The first call sees
none, so its sentences come from a product of distributions, one for each position. How far any product is
from the truth can be bounded exactly, whatever is trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dlmone_lite.beyond import trial
from dlmone_lite.corpora.pocket import POCKET, lab_data, lab_world
from dlmone_lite.lab.experiment import SHAPE, Spec
from dlmone_lite.model import Denoiser, sized
from dlmone_lite.teacher import TeacherRun
from dlmone_lite.text import Batch, Codec
from dlmone_lite.training.seeds import seed_weights

CALLS = (1, 2, 4, 8)
TEACHER = replace(trial.TEACHER, t_sampling="uniform", rounding=0.0, prior=0.0)
Predict = Callable[[Batch, Tensor], Tensor]  # (batch, hidden (B, L)) -> p of each target position's word
Support = Mapping[str, float]


def masked_logits(model: Denoiser, ids: Tensor, hidden: Tensor) -> Tensor:
    """Word logits (B, L, V) where `hidden` (B, L) positions of ids (B, L) show no word; no time is told."""
    x = model.embed(ids).masked_fill(hidden[..., None], 0.0)
    t = torch.ones(len(ids), dtype=torch.long, device=ids.device)
    return model.logits(x, t, model.hidden(x, t))


def fitting(references: Tensor, log_share: Tensor, ids: Tensor, hidden: Tensor) -> Tensor:
    """Posterior (B, R) of references (B, R, L) with log shares (B, R), given the words of ids (B, L) that are
    not hidden; the prior where none fits."""
    fits = ((references == ids[:, None]) | hidden[:, None]).all(-1)
    fits = fits | ~fits.any(-1, keepdim=True)
    return log_share.masked_fill(~fits, -math.inf).softmax(-1)


class MaskedRun(TeacherRun):
    """Train a masked diffusion model: a share t/T of the target is hidden, and each hidden word is predicted.

    As in the kit's teacher the goal is the posterior of the source's references, not the one that was drawn.
    """

    kind = "masked"

    def terms(self, batch: Batch, *drawn: Tensor) -> dict[str, Tensor]:
        references, log_share, t, noise = drawn
        cut, share = batch.ids.shape[1] - references.shape[-1], t / self.model.schedule.T
        hidden = batch.target & (torch.special.ndtr(noise[..., 0]) < share[:, None])
        log_p = masked_logits(self.model, batch.ids, hidden)[:, cut:].log_softmax(-1)
        log_p = log_p.gather(-1, references.transpose(1, 2)).transpose(1, 2)  # (B, R, L_t)
        weights = fitting(references, log_share, batch.ids[:, cut:], hidden[:, cut:])
        surprise = -(weights[..., None] * log_p).sum(1) * hidden[:, cut:]
        return {"denoising": surprise.sum(-1) / (share * references.shape[-1])}  # LLaDA, eq. 3


def network_predicts(model: Denoiser) -> Predict:
    """A masked network's distributions."""

    def predict(batch: Batch, hidden: Tensor) -> Tensor:
        cut = model.config.source_length
        return masked_logits(model, batch.ids, hidden)[:, cut:].softmax(-1)

    return predict


def truth_predicts(codec: Codec, support: Callable[[str], Support]) -> Predict:
    """The exact distributions: a perfect masked model."""

    def predict(batch: Batch, hidden: Tensor) -> Tensor:
        cut, words = codec.source_length, len(codec.vocabulary)
        result, rows = torch.zeros(len(batch), codec.target_length, words), {}
        for row, source in enumerate(codec.sources(batch)):
            rows.setdefault(source, []).append(row)
        for source, index in rows.items():
            exact = support(source)
            ids = codec.encode([source] * len(exact), list(exact)).ids[:, cut:]
            log_p = torch.tensor(list(exact.values())).log().expand(len(index), -1)
            references = ids.expand(len(index), -1, -1)
            weights = fitting(references, log_p, batch.ids[index, cut:], hidden[index, cut:])
            places = references.transpose(1, 2)  # (B, L_t, R)
            weights = weights[:, None].expand(places.shape)
            result[index] = result[index].scatter_add(-1, places, weights)
        return result

    return predict


@torch.no_grad()
def reveal(predict: Predict, batch: Batch, calls: int, generator: torch.Generator) -> Tensor:
    """ids (B, L): the target of `batch`, hidden at first and revealed in `calls` calls, at random positions,
    as many in each call; words of the same call are drawn independently."""
    ids, hidden = batch.ids.clone(), batch.target.clone()
    target = batch.target.sum(-1)[0]
    order = torch.rand(len(ids), int(target), generator=generator).argsort(-1).argsort(-1)
    due = order * calls // target
    for call in range(calls):
        p = predict(Batch(ids, batch.target), hidden)
        words = torch.multinomial(p.flatten(0, 1), 1, generator=generator).view(p.shape[:2])
        now = torch.zeros_like(hidden).masked_scatter(batch.target, due == call)
        ids[now] = words[due == call]
        hidden = hidden & ~now
    return ids


def positions_of(support: Support, length: int) -> list[list[str]]:
    """The words of each right target at `length` positions, "" after its end."""
    return [trial.positions(text, length) for text in support]


def product_bound(support: Support, length: int) -> float:
    """A distance from `support` in total variation that no product over positions falls below.

    Two strings that differ in d positions have q(a) q(b) <= 4^-d under any product q, because the two words
    of a position have q_i(a_i) q_i(b_i) <= 1/4. So if q is largest at string j, with the value x, every other
    right one has at most min(x, 4^-d / x), and the overlap sum_k min(p_k, q_k) is at most what is maximised
    here. Between two of the points that are tried it is convex in x.
    """
    strings, p = positions_of(support, length), list(support.values())
    best = 0.0
    for j, own in enumerate(strings):
        caps = [4.0 ** -sum(a != b for a, b in zip(own, other)) for other in strings]
        points = [1.0, *p, *(c / q for c, q in zip(caps, p)), *(c**0.5 for c in caps)]
        for x in (point for point in points if 0 < point <= 1):
            others = sum(min(p[k], x, caps[k] / x) for k in range(len(p)) if k != j)
            best = max(best, min(p[j], x) + others)
    return 1 - best


def product_distances(support: Support, length: int, restarts: int = 24) -> dict[str, float]:
    """Total variation between `support` and two products: its own marginals, to which cross-entropy leads,
    and the nearest that gradient descent finds from `restarts` starts."""
    strings, p = positions_of(support, length), torch.tensor(list(support.values()))
    words = [sorted(set(column)) for column in zip(*strings)]
    index = torch.tensor([[words[i].index(w) for i, w in enumerate(string)] for string in strings])
    size = max(map(len, words))
    marginals = torch.zeros(length, size).scatter_add(1, index.T, p.expand(length, -1))
    unused = torch.tensor([[k >= len(own) for k in range(size)] for own in words])

    def distance(q: Tensor) -> Tensor:
        """Total variation (R,) of products q (R, L, size): 1 less the overlap."""
        chosen = q[:, torch.arange(length), index]  # (R, K, L)
        return 1 - torch.minimum(chosen.prod(-1), p).sum(-1)

    generator = torch.Generator().manual_seed(0)
    start = torch.randn(restarts, length, size, generator=generator)
    logits = (2 * start + (marginals + 1e-3).log()).requires_grad_(True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        loss = distance(logits.masked_fill(unused, -math.inf).softmax(-1))
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
    with torch.no_grad():
        best = distance(logits.masked_fill(unused, -math.inf).softmax(-1)).min()
        return {"marginals": float(distance(marginals[None])[0]), "best": float(best)}


ARMS = {"perfect": {"method": "perfect"}, "trained": {"method": "trained", "steps": TEACHER.steps}}


def specs(seeds: int = 3) -> Iterator[Spec]:
    """A perfect masked model and a trained one, in 1 to 8 calls."""
    return trial.specs("masked", ARMS, seeds)


def make(folder: Path, spec: Spec) -> trial.Record:
    """The record of a row; of the perfect model also the distances of products, means over sources."""
    teacher, (stage,), seconds = trial.shipped_teacher(POCKET, folder), spec.stages, 0.0
    codec, world, sources = teacher.codec, lab_world(), trial.sources_of(POCKET)
    found: dict[str, float] = {}
    if stage["method"] == "perfect":
        predict = truth_predicts(codec, world.support)
        supports = [world.support(source) for source in sources]
        rows = [product_distances(own, codec.target_length) for own in supports]
        found = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        found["bound"] = sum(product_bound(own, codec.target_length) for own in supports) / len(supports)
    else:
        with torch.random.fork_rng():
            seed_weights(spec.seed)
            model = Denoiser(replace(sized(SHAPE, codec), output="softmax", evidence=False))
        config = replace(TEACHER, steps=stage["steps"], seed=spec.seed)
        run = MaskedRun(model, lab_data(codec), config)
        seconds, predict = trial.train(run), network_predicts(run.result)

    batch, final = codec.encode(sources).repeat(trial.SAMPLES), []
    for calls in CALLS:
        rng = torch.Generator().manual_seed(1000 * spec.seed + calls)
        texts = codec.decode(reveal(predict, batch, calls, rng))
        scores = trial.score_texts(trial.in_groups(texts, trial.SAMPLES), POCKET)
        final.append({"nfe": calls, **scores})
    return trial.record(spec, final, seconds, **found)
