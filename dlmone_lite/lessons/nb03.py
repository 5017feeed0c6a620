"""Notebook 03: the first term of the loss, the noise of its gradient, a network to train by hand."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.figures import nb03 as figures
from dlmone_lite.figures import style
from dlmone_lite.model import Denoiser, preset, sized
from dlmone_lite.sid import over_target
from dlmone_lite.teacher import TeacherConfig, teacher_loss
from dlmone_lite.text import Codec
from dlmone_lite.training.seeds import seed_weights


def denoising(x0: Tensor, x0_hat: Tensor, target: Tensor) -> Tensor:
    """||x0 - x0_hat||^2 (B,), a mean over target positions and channels."""
    return over_target((x0 - x0_hat).square(), target)


def small_network(codec: Codec, seed: int = 0) -> Denoiser:
    """A network of two layers of width 64, untrained; words as large as the classroom's."""
    with torch.random.fork_rng():
        seed_weights(seed)
        return Denoiser(sized(preset("classroom", width=64, depth=2), codec))


def gradient_noise(model: Denoiser, data: PairedText, repeats: int, rows: int = 16) -> None:
    """Draw the variance of a teacher's gradient at three noise levels, for drawn and for stable targets."""
    net = copy.deepcopy(model).requires_grad_(True)
    # The network's gradient, not the embeddings'.
    parameters = [p for name, p in net.named_parameters() if name != "words"]
    shape, levels = (rows, data.codec.length, 2 * model.config.embed_dim), (1850, 1920, 1980)
    variance: dict[str, list[float]] = {"sample": [], "stable": []}
    bias = []
    for t in levels:
        found: dict[str, list[Tensor]] = {"sample": [], "stable": []}
        for seed in range(repeats):
            generator = torch.Generator().manual_seed(10_000 + seed)
            drawn = data.rows(data.draw(rows, generator))
            noise = torch.randn(shape, generator=generator)
            for target, own in found.items():
                config = TeacherConfig(target=target, loss="mse")
                terms = teacher_loss(net, *drawn, torch.full((rows,), t), noise, config)
                loss = terms["denoising"].mean()
                gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
                own.append(torch.cat([g.flatten() for g in gradients]))
        both = {target: torch.stack(own) for target, own in found.items()}
        for target, gradients in both.items():
            variance[target].append(gradients.var(0).sum().item())
        gap = both["sample"] - both["stable"]
        bias.append(float(repeats * gap.mean(0).square().sum() / gap.var(0).sum()))
    ratio = [a / b for a, b in zip(*variance.values(), strict=True)]
    alt = "Bars: the gradient's variance at three noise levels, for the drawn and for the stable target."
    numbers = "variance of sample over stable: "
    numbers += ", ".join(f"{r:.2g} at {t}" for t, r in zip(levels, ratio, strict=True))
    style.show(figures.gradient_noise(list(levels), variance), alt, numbers)
    # 1 is expected; of a bias it would be near `repeats`.
    print("the two have the same mean, up to chance:", max(bias) < 2)
