"""Theorem 1 of arXiv 2609.40235, exactly: with distinct embeddings of one norm, a student whose noised outputs
have the data's marginals writes the data's sentences; and what happens without either condition.

A student there writes points of the simplex: weights over the words at each position, whose mean embedding is
noised in training, and from which a word is drawn in the end.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from tiny import rng
from torch import Tensor

from dlmone_lite.exact import GaussianMixture
from dlmone_lite.schedule import Schedule

WORDS, LENGTH, DIM = 3, 2, 2
T = (300, 1000, 1490)
SPHERE = torch.tensor([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]], dtype=torch.float64) * DIM**0.5
BETWEEN = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)  # unequal norms
TWINS = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)  # two equal rows
SENTENCES = torch.tensor(list(itertools.product(range(WORDS), repeat=LENGTH)))


def written(table: Tensor, weights: Tensor, p: Tensor) -> GaussianMixture:
    """The law of what a student writes that has weights (K, L, V) with probabilities p (K,)."""
    return GaussianMixture((weights.double() @ table).flatten(1), p.double().log())


def sentences(weights: Tensor, p: Tensor) -> Tensor:
    """Probability of each of `SENTENCES`, where each position's word is drawn from its weights."""
    each = torch.stack([weights[:, i, SENTENCES[:, i]] for i in range(LENGTH)]).prod(0)  # (K, sentences)
    return p.double() @ each.double()


def one_hot(ids: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(ids, WORDS).double()


def kernel(table: Tensor, t: int) -> Tensor:
    """Density at the noised sentences' centres of each sentence alone: column k is sentence k's."""
    alpha, sigma = Schedule()(t)
    columns = []
    for sentence in SENTENCES:
        alone = written(table, one_hot(sentence)[None], torch.ones(1))
        points = alpha * written(table, one_hot(SENTENCES), torch.ones(len(SENTENCES))).means
        columns.append(alone.log_prob(points, alpha, sigma).exp())
    return torch.stack(columns, 1)


@pytest.mark.parametrize("t", T)
def test_noised_marginals_of_distinct_words_tell_every_sentences_probability(t):
    """Their densities are independent functions, so that p is read back from p_t alone."""
    alpha, sigma = Schedule()(t)
    p = torch.rand(len(SENTENCES), generator=rng(t)).double()
    p /= p.sum()
    mixture = written(SPHERE, one_hot(SENTENCES), p)
    seen = mixture.log_prob(alpha * mixture.means, alpha, sigma).exp()
    assert torch.allclose(torch.linalg.solve(kernel(SPHERE, t), seen), p, atol=1e-6)


def test_on_a_sphere_only_a_word_lies_where_a_word_lies():
    """<x, e_k> of a mean x of words is below that of e_k itself, unless all weight is on k."""
    grid = torch.tensor([w for w in itertools.product(range(21), repeat=WORDS) if sum(w) == 20]) / 20
    inner = (grid.double() @ SPHERE) @ SPHERE.T
    for k in range(WORDS):
        assert torch.equal(inner[:, k] > DIM - 1e-9, grid[:, k] == 1)


def test_with_one_norm_mixed_words_change_the_marginals():
    """The student that writes means of words where the data has words is told apart at every level."""
    mixed = torch.tensor([[[0.5, 0.0, 0.5], [0.5, 0.0, 0.5]]])
    student = written(SPHERE, mixed, torch.ones(1))
    data = written(SPHERE, one_hot(torch.tensor([[1, 1]])), torch.ones(1))
    for t in T:
        alpha, sigma = Schedule()(t)
        x_t = alpha * data.means + sigma * torch.randn(64, LENGTH * DIM, generator=rng(t)).double()
        assert (student.log_prob(x_t, alpha, sigma) - data.log_prob(x_t, alpha, sigma)).abs().max() > 0.1


def test_without_one_norm_another_law_has_the_same_marginals():
    """A word between two others: half of each is that word to every noised marginal, and two other words to
    the reader."""
    mixed = torch.tensor([[[0.5, 0.0, 0.5], [0.5, 0.0, 0.5]]])
    middle = one_hot(torch.tensor([[1, 1]]))
    student, data = (written(BETWEEN, weights, torch.ones(1)) for weights in (mixed, middle))
    for t in T:
        alpha, sigma = Schedule()(t)
        x_t = sigma * torch.randn(64, LENGTH * DIM, generator=rng(t)).double()
        assert torch.equal(student.log_prob(x_t, alpha, sigma), data.log_prob(x_t, alpha, sigma))
    apart = sentences(mixed, torch.ones(1)) - sentences(middle, torch.ones(1))
    assert 0.5 * float(apart.abs().sum()) == 1  # total variation: they never say the same


def test_with_equal_rows_another_law_has_the_same_marginals():
    one = torch.rand(len(SENTENCES), generator=rng(1)).double()
    swapped = SENTENCES.clone()
    swapped[SENTENCES < 2] = 1 - SENTENCES[SENTENCES < 2]  # its twin for each word
    place = (swapped * torch.tensor([WORDS, 1])).sum(1)
    other = one[place] / one.sum()
    one = one / one.sum()
    for t in T:
        alpha, sigma = Schedule()(t)
        x_t = torch.randn(64, LENGTH * DIM, generator=rng(t)).double()
        first, second = (
            written(TWINS, one_hot(SENTENCES), p).log_prob(x_t, alpha, sigma) for p in (one, other)
        )
        assert torch.allclose(first, second, rtol=1e-12)
        assert int(torch.linalg.matrix_rank(kernel(TWINS, t))) < len(SENTENCES)
    assert 0.5 * float((one - other).abs().sum()) > 0.1
