"""What the unit tests share: a tiny world, its codec and pairs, and a very small network."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.corpora.world import World
from dlmone_lite.exact import ExactDenoiser
from dlmone_lite.model import Denoiser, ModelConfig, sized
from dlmone_lite.schedule import Schedule
from dlmone_lite.text import Batch, Codec, Vocabulary

# Every source has four right targets, of probability 3/4 x 2/3, 3/4 x 1/3, 1/4 x 2/3, 1/4 x 1/3.
GRAMMAR = """
world tiny
about  small enough to check by hand
max-source 5
max-target 5

slot animal
  cat
  dog
  horse
  parrot
  fish

slot place
  here
  there
  outside
  inside
  upstairs

words fast
  fast * 2
  quickly

frame run
  source can a {animal} run {place}
  target * 3 {animal} runs {fast} {place}
  target a {animal} is {fast} {place}
"""
SHARES = [1 / 2, 1 / 4, 1 / 6, 1 / 12]  # in the order of the comment above
SOURCES = ["can a cat run here", "can a dog run there", "can a fish run inside"]


def make_world(folder: Path) -> World:
    """The tiny world, read from a grammar file in `folder`."""
    path = folder / "tiny.grammar"
    path.write_text(GRAMMAR, encoding="utf-8")
    return World.load(path)


def make_codec(world: World) -> Codec:
    """Six positions for the source and six for the target."""
    return Codec(Vocabulary(world.vocabulary()), source_length=6, target_length=6)


def make_model(codec: Codec, seed: int = 0, **changes: int | float | str | bool) -> Denoiser:
    """A network of width 32 and depth 1, with the same random weights for the same seed."""
    shape = {"embed_dim": 8, "width": 32, "depth": 1, "heads": 2}
    shape |= {"output": "softmax", "discriminator": "mean", **changes}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Denoiser(sized(ModelConfig(**shape), codec))


def make_pairs(world: World, codec: Codec, sources: list[str] = SOURCES) -> PairedText:
    """Twelve pairs per source whose shares are exactly those of the world: 6, 3, 2 and 1."""
    left, right = [], []
    for source in sources:
        for target, p in world.support(source).items():
            count = round(12 * p)
            left, right = left + [source] * count, right + [target] * count
    return PairedText(left, right, codec)


def random_table(size: int, dim: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Random embeddings (size, dim) of norm sqrt(dim)."""
    table = torch.randn(size, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return table / table.norm(dim=-1, keepdim=True) * math.sqrt(dim)


def rng(seed: int = 0) -> torch.Generator:
    """A generator of its own for every use."""
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Standard normal numbers that depend on the seed alone."""
    return torch.randn(*shape, generator=rng(seed), dtype=dtype)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    """Whether two modules hold the same numbers, bit for bit."""
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


class ExactModel(Denoiser):
    """A network whose answer is replaced by the world's exact posterior mean."""

    def __init__(self, world: World, codec: Codec):
        model = make_model(codec)
        super().__init__(model.config)
        self.load_state_dict(model.state_dict())
        self.exact = ExactDenoiser(world.support, codec, self.embedding(), Schedule(self.config.schedule))

    def forward(self, x_t: torch.Tensor, t: torch.Tensor, batch: Batch) -> torch.Tensor:
        """E[x0 | x_t, source]."""
        return self.exact(x_t, t, batch)
