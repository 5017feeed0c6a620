"""Figures of notebook 01: the denoiser as a score, the posterior over sentences, their decision, sampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from dlmone_lite.figures.style import (
    BLACK,
    BLUE,
    GREY,
    LINES,
    MARKERS,
    ORANGE,
    PALETTE,
    RED,
    SKY,
    canvas,
    lines,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


def tweedie_1d(
    x: Sequence[float],
    density: Mapping[str, Sequence[float]],
    mean: Mapping[str, Sequence[float]],
    score: Mapping[str, Sequence[float]],
) -> Figure:
    """Density, posterior mean and score over a line, one curve per noise level (the keys)."""
    fig, axes = canvas(1, 3, height=3.9)
    lines(axes[0], x, density, "$x_t$", "density $p_t$")
    lines(axes[1], x, mean, "$x_t$", r"best guess $\hat x_0 = E[x_0 | x_t]$")
    lines(axes[2], x, score, "$x_t$", r"score $\nabla \log p_t$")
    for ax in axes[::2]:
        ax.get_legend().remove()
    axes[1].legend(title=r"$\sigma/\alpha$", loc="lower right")
    axes[2].axhline(0, color=GREY, linewidth=1)
    return fig


def arrows_2d(
    cloud: Tensor, centres: Tensor, places: Tensor, arrows: Tensor, here: Tensor, guess: Tensor, title: str
) -> Figure:
    """Noisy points (N, 2), clean points times alpha (K, 2), arrows (M, 2) at places (M, 2), one x_t."""
    fig, (ax,) = canvas(height=4.4, width=7.4)
    fig.set_layout_engine("none")  # a slider waits for this figure: fixed places are twice as fast
    ax.set_position((0.06, 0.08, 0.54, 0.85))
    ax.scatter(*cloud.T, s=6, color=SKY, alpha=0.6, linewidths=0, label="noisy points $x_t$")
    clean = r"clean points, times $\alpha$"
    ax.scatter(*centres.T, s=90, color=ORANGE, marker="D", edgecolors="black", label=clean)
    ax.quiver(*places.T, *arrows.T, color=GREY, angles="xy", scale_units="xy", scale=1, width=0.004)
    ax.plot([here[0], guess[0]], [here[1], guess[1]], color=RED)
    red = {"color": RED, "markersize": 11, "markeredgecolor": "black"}
    ax.plot(*here, "X", label="one observation $x_t$", **red)
    ax.plot(*guess, "o", label=r"$\alpha$ times its guess", **red)
    ticks = range(-3, 4)
    ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", title=title, xticks=ticks, yticks=ticks)
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return fig


def word_line(words: Sequence[str], certainty: Sequence[float]) -> str:
    """Words in boxes, the bluer the surer, with the probability of each below it (HTML)."""
    boxes = (
        '<span style="display:inline-block;text-align:center;margin:2px;padding:1px 6px;color:#000;'
        f'background:rgba(0,114,178,{0.4 * p:.3f})">{escape(word)}<br>'
        f'<span style="font-size:85%">{p:.2f}</span></span>'
        for word, p in zip(words, certainty, strict=True)
    )
    return "".join(boxes)


def sentence_weights(weights: Mapping[str, float], prior: Sequence[float], truth: str) -> str:
    """A bar for the posterior weight of every possible sentence, a black mark for its prior (HTML).

    HTML and not a figure, so that it follows a slider while it is dragged and a screen reader reads it.
    """
    rows = []
    for (sentence, weight), p in zip(weights.items(), prior, strict=True):
        colour, mark = (ORANGE, "&#9654; ") if sentence == truth else (BLUE, "")
        bar = f'<div style="width:{100 * weight:.1f}%;height:16px;background:{colour}"></div>'
        mark_at = f"position:absolute;left:{100 * p:.1f}%;top:0;border-left:2px solid;height:16px"
        both = f'{bar}<div style="{mark_at}"></div>'
        cell = "padding:1px 6px;border:none;background:#fff;color:#000"
        rows.append(
            f'<tr><td style="{cell};text-align:right">{mark}{escape(sentence)}</td>'
            f'<td style="{cell};width:45%">'
            f'<div style="position:relative;border-left:1px solid">{both}</div></td>'
            f'<td style="{cell}">{weight:.2f}</td></tr>'
        )
    return f'<table style="width:100%;border-collapse:collapse;margin:0">{"".join(rows)}</table>'


def weights_by_noise(ratio: Sequence[float], weights: Mapping[str, Sequence[float]], truth: str) -> Figure:
    """Posterior weight of every sentence (the keys) against sigma/alpha, as one observation gets noisier."""
    fig, (ax,) = canvas(height=4.0, width=10.5)
    for i, (sentence, weight) in enumerate(weights.items()):
        true = sentence == truth
        label = ("true: " if true else "") + sentence
        colour, line = (BLACK, "-") if true else (PALETTE[i % 6], LINES[1 + i % 6])
        ax.plot(
            ratio,
            weight,
            color=colour,
            linestyle=line,
            linewidth=3 if true else 1.5,
            marker=MARKERS[i % 7],
            markevery=(3 * i % 17, 17),
            label=label,
        )
    ax.set(xscale="log", xlabel=r"noise level $\sigma/\alpha$", ylabel="posterior weight", ylim=(-0.03, 1.03))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02))
    return fig


def decision(
    t: Sequence[int], ratio: Mapping[str, Sequence[float]], decided: Mapping[str, Sequence[float]]
) -> Figure:
    """Share of decided observations against t and against sigma/alpha, one curve per schedule (the keys)."""
    fig, (left, right) = canvas(1, 2, height=3.6)
    lines(left, t, decided, "step $t$", "share of observations decided")
    for i, (name, share) in enumerate(decided.items()):
        right.plot(ratio[name], share, color=PALETTE[i], linestyle=LINES[i], marker=MARKERS[i], markevery=5)
    right.set(xscale="log", xlim=(0.05, 50), xlabel=r"noise level $\sigma/\alpha$")
    left.set_ylim(-0.03, 1.03)
    right.set_ylim(-0.03, 1.03)
    return fig


def sampling(
    sentences: Sequence[str],
    truth: Sequence[float],
    drawn: Sequence[float],
    steps: Sequence[int],
    tv: Sequence[Sequence[float]],
    floor: float,
) -> Figure:
    """Left: probability of each sentence, true and sampled. Right: total variation by steps, seed by seed."""
    fig, (left, right) = canvas(1, 2, height=0.9 + 0.3 * len(sentences), width=10.5, ratios=[1, 1.15])
    places = range(len(sentences))
    left.barh([i - 0.2 for i in places], truth, height=0.4, color=ORANGE, label="truth")
    left.barh([i + 0.2 for i in places], drawn, height=0.4, color=BLUE, hatch="//", label="sampled")
    left.set_yticks(places, sentences)
    left.set(ylim=(len(sentences) - 0.4, -0.6), xlabel="probability")
    left.grid(axis="y", visible=False)
    left.legend(loc="lower right")
    for seed, values in enumerate(tv):
        right.plot(steps, values, MARKERS[seed], color=BLUE, fillstyle="none", label=f"seed {seed}")
    right.axhline(floor, color=RED, linestyle="--", label="floor: perfect samples")
    right.set(xscale="log", xlabel="sampling steps", ylabel="total variation to the truth", ylim=(0, None))
    right.set_xticks(steps, [str(step) for step in steps])
    right.minorticks_off()
    right.legend()
    return fig
