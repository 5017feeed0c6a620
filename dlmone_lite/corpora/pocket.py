"""The lab's world, pocket, small enough to distil in half a minute on one core; shipped worlds work too."""

from __future__ import annotations

from functools import cache

from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.corpora.world import World
from dlmone_lite.errors import InputError
from dlmone_lite.files import DATA
from dlmone_lite.text import Codec, Vocabulary

SHIPPED = DATA / "lab"  # the grammar and the networks from which runs start
POCKET = "pocket"  # runs in a shipped world start from that world's shipped networks
GRAMMAR = SHIPPED / f"{POCKET}.grammar"
PAIRS = 6_000


@cache
def lab_world(name: str = POCKET) -> World:
    """The world pocket, or a shipped one."""
    return World.load(GRAMMAR if name == POCKET else name)


def lab_codec(length: int) -> Codec:
    """The codec of pocket with `length` target positions; InputError if its targets do not fit."""
    world = lab_world()
    if length <= world.max_target:
        raise InputError(f"the targets of {world.name} need {world.max_target + 1} positions, not {length}")
    return Codec(Vocabulary(world.vocabulary()), world.max_source + 1, length)


def lab_data(codec: Codec, world: str = POCKET) -> PairedText:
    """`PAIRS` training pairs of a world."""
    sources, targets = zip(*lab_world(world).pairs("train", PAIRS), strict=True)
    return PairedText(sources, targets, codec)
