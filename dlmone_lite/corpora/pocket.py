"""The world pocket: a distillation takes half a minute of one core. Shipped worlds can take its place."""

from __future__ import annotations

from functools import cache

from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.corpora.world import World
from dlmone_lite.errors import InputError
from dlmone_lite.files import DATA
from dlmone_lite.text import Codec, Vocabulary

SHIPPED = DATA / "lab"  # the world, and what runs begin with
POCKET = "pocket"  # the lab's own world; runs in a shipped one begin with that world's shipped networks
GRAMMAR = SHIPPED / f"{POCKET}.grammar"
PAIRS = 6_000


@cache
def lab_world(name: str = POCKET) -> World:
    """The world pocket, or a shipped one."""
    return World.load(GRAMMAR if name == POCKET else name)


def lab_codec(length: int) -> Codec:
    """The layout of its sentences, with `length` target positions."""
    world = lab_world()
    if length <= world.max_target:
        raise InputError(f"the targets of {world.name} need {world.max_target + 1} positions, not {length}")
    return Codec(Vocabulary(world.vocabulary()), world.max_source + 1, length)


def lab_data(codec: Codec, world: str = POCKET) -> PairedText:
    """Training pairs of a world."""
    sources, targets = zip(*lab_world(world).pairs("train", PAIRS), strict=True)
    return PairedText(sources, targets, codec)
