"""Figures of notebook 01: the denoiser as a score, what scores see, sentences' posterior, sampling."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dlmone_lite.figures import style
from dlmone_lite.figures.style import Curves, Shares, Values


def tweedie_1d(x: Values, density: Curves, mean: Curves, score: Curves) -> style.Figure:
    """Density, posterior mean and score over a line, one curve per noise level (the keys)."""
    fig, axes = style.canvas(1, 3, height=3.9)
    style.lines(axes[0], x, density, "$x_t$", "density $p_t$")
    style.lines(axes[1], x, mean, "$x_t$", r"best guess $\hat x_0 = E[x_0 | x_t]$")
    style.lines(axes[2], x, score, "$x_t$", r"score $\nabla \log p_t$")
    for ax in axes[::2]:
        ax.get_legend().remove()
    axes[1].legend(title=r"$\sigma/\alpha$", loc="lower right")
    axes[2].axhline(0, color=style.GREY, linewidth=1)
    return fig


def complaint(ratio: Values, gaps: Curves) -> style.Figure:
    """Mean squared difference of two denoisers against sigma/alpha, one curve per student (the keys)."""
    fig, (ax,) = style.canvas(height=3.4)
    label = r"$E\,(\hat x_0^p - \hat x_0^q)^2$"
    style.lines(ax, ratio, gaps, r"noise level $\sigma/\alpha$", label, log_x=True, log_y=True)
    ax.set_ylim(1e-7, 2)
    return fig


def arrows_2d(
    cloud: Tensor, centres: Tensor, places: Tensor, arrows: Tensor, here: Tensor, guess: Tensor, title: str
) -> style.Figure:
    """Scores in the plane: the noisy cloud (N, 2), the clean points times alpha (K, 2), arrows (M, 2) at
    places (M, 2), one observation x_t and alpha times its posterior mean."""
    fig, (ax,) = style.canvas(height=3.7, width=6.8, places=[(0.06, 0.08, 0.5, 0.83)])
    ax.scatter(*cloud.T, s=6, color=style.SKY, alpha=0.6, linewidths=0, label="noisy points $x_t$")
    clean = r"clean points, times $\alpha$"
    ax.scatter(*centres.T, s=90, color=style.ORANGE, marker="D", edgecolors="black", label=clean)

    ax.quiver(*places.T, *arrows.T, color=style.GREY, angles="xy", scale_units="xy", scale=1, width=0.004)
    ax.plot([here[0], guess[0]], [here[1], guess[1]], color=style.RED)
    red = {"color": style.RED, "markersize": 11, "markeredgecolor": "black"}
    ax.plot(*here, "X", label="one observation $x_t$", **red)
    ax.plot(*guess, "o", label=r"$\alpha$ times its guess", **red)

    ticks = range(-3, 4)
    ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", title=title, xticks=ticks, yticks=ticks)
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return fig


def word_line(words: Sequence[str], certainty: Values) -> str:
    """Words in boxes, the bluer the surer, with the probability of each below it (HTML)."""
    box = "display:inline-block;text-align:center;margin:2px;padding:1px 6px;color:#000"
    boxes = []
    for word, p in zip(words, certainty, strict=True):
        number = style.tag("span", f"{p:.2f}", style="font-size:85%")
        blue = f"{box};background:rgba(0,114,178,{0.4 * p:.3f})"
        boxes.append(style.tag("span", f"{style.escape(word)}<br>{number}", style=blue))
    return "".join(boxes)


def sentence_weights(weights: Shares, prior: Values, truth: str) -> str:
    """A bar for the posterior weight of every possible sentence, a black mark for its prior. HTML and not a
    figure, so that it follows a slider while it is dragged and a screen reader reads it."""
    plain = "padding:1px 6px;border:none;background:#fff;color:#000"
    rows = []
    for (sentence, weight), p in zip(weights.items(), prior, strict=True):
        colour, mark = (style.ORANGE, "&#9654; ") if sentence == truth else (style.BLUE, "")
        bar = style.tag("div", style=f"width:{100 * weight:.1f}%;height:16px;background:{colour}")
        tick_style = f"position:absolute;left:{100 * p:.1f}%;top:0;border-left:2px solid;height:16px"
        tick = style.tag("div", style=tick_style)
        bars = style.tag("div", bar, tick, style="position:relative;border-left:1px solid")
        name = style.tag("td", mark + style.escape(sentence), style=f"{plain};text-align:right")
        number = style.tag("td", f"{weight:.2f}", style=plain)
        rows.append(style.tag("tr", name, style.tag("td", bars, style=f"{plain};width:45%"), number))
    return style.tag("table", *rows, style="border-collapse:collapse;width:100%;margin:0")


def decision(t: Sequence[int], ratio: Curves, decided: Curves) -> style.Figure:
    """Share of decided observations against t and against sigma/alpha, one curve per schedule (the keys)."""
    fig, (left, right) = style.canvas(1, 2, height=3.6)
    style.lines(left, t, decided, "step $t$", "share of observations decided")
    for i, (name, share) in enumerate(decided.items()):
        right.plot(ratio[name], share, **style.look(i), markevery=5)
    right.set(xscale="log", xlim=(0.05, 50), xlabel=style.RATIO, ylim=(-0.03, 1.03))
    left.set_ylim(-0.03, 1.03)
    return fig


def sampling(
    sentences: Sequence[str], truth: Values, drawn: Values, steps: Values, tv: Sequence[Values], floor: float
) -> style.Figure:
    """Left: probability of each sentence, true and sampled. Right: total variation by steps, seed by seed."""
    fig, (left, right) = style.canvas(1, 2, height=0.9 + 0.3 * len(sentences), width=10.5, ratios=[1, 1.15])
    places = range(len(sentences))
    left.barh([i - 0.2 for i in places], truth, height=0.4, color=style.ORANGE, label="truth")
    left.barh([i + 0.2 for i in places], drawn, height=0.4, color=style.BLUE, hatch="//", label="sampled")
    style.name_rows(left, sentences)
    left.set_xlabel("probability")
    left.legend(loc="lower right")

    for seed, values in enumerate(tv):
        look = style.pen(style.BLUE, "", style.MARKERS[seed])
        right.plot(steps, values, **look, fillstyle="none", label=f"seed {seed}")
    right.axhline(floor, color=style.RED, linestyle="--", label="floor: perfect samples")
    right.set(xlabel="sampling steps", ylabel="total variation to the truth", ylim=(0, None))
    style.log_axis(right, steps)
    right.legend()
    return fig
