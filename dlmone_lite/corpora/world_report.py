"""A world's sizes, and warnings about allowed but unwise choices in its grammar."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from dlmone_lite.corpora.world import SPLITS, World

SUPPORT = (6, 24)  # right targets of a source: fewer show no diversity, more need too many samples to count
RAREST = 0.02  # 256 samples hardly ever contain a target below this probability


def describe(world: World) -> dict[str, Any]:
    """Sizes: sources and meanings per split, words, and min, median and max of the right targets per source
    and of the sources' and right targets' lengths in words."""
    meanings = Counter(world.split_of(meaning) for meaning in world.meanings())
    supports = {source: world.support(source) for source in _sources(world)}
    return {
        "name": world.name,
        "about": world.about,
        "frames": len(world.frames),
        "words": len(world.vocabulary()),
        "meanings": {split: meanings[split] for split in SPLITS},
        "sources": {split: len(world.split_sources(split)) for split in SPLITS},
        "targets_per_source": _spread(len(support) for support in supports.values()),
        "source_length": _spread(len(source.split()) for source in supports),
        "target_length": _spread(len(target.split()) for support in supports.values() for target in support),
    }


def _sources(world: World) -> list[str]:
    return [source for split in SPLITS for source in world.split_sources(split)]


def _spread(numbers: Iterable[int]) -> dict[str, float]:
    ordered = sorted(numbers)
    return {"min": ordered[0], "median": statistics.median(ordered), "max": ordered[-1]}


def warnings(world: World) -> list[str]:
    """One line for each allowed but unwise choice, with its remedy; empty for a healthy world."""
    checks = (_frame_warnings, _source_warnings, _split_warnings, _unused)
    return [line for check in checks for line in check(world)]


def _frame_warnings(world: World) -> Iterator[str]:
    """Frames with too few, too many or too rare right targets, by the worst meaning of each."""
    supports: dict[str, list[dict[str, float]]] = {}
    for meaning in world.meanings():
        supports.setdefault(meaning.frame, []).append(world.targets(meaning))
    for frame, by_meaning in supports.items():
        counts = [len(targets) for targets in by_meaning]
        if min(counts) < SUPPORT[0]:
            yield f"frame {frame}: {min(counts)} right targets, under {SUPPORT[0]}; add targets"
        if max(counts) > SUPPORT[1]:
            yield f"frame {frame}: {max(counts)} right targets, over {SUPPORT[1]}; remove some"
        p, target = min((min(targets.values()), list(targets)[-1]) for targets in by_meaning)
        if p < RAREST:
            yield f'frame {frame}: "{target}" has p {p:.3f}, under {RAREST}; raise its weight'


def _source_warnings(world: World) -> Iterator[str]:
    """Sources that two meanings share, and sources that are a right target of their own."""
    for source in _sources(world):
        meanings = world.meanings_of(source)
        if len(meanings) > 1:
            frames = " and ".join(meaning.frame for meaning in meanings)
            yield f'"{source}" belongs to {len(meanings)} meanings ({frames}); reword one of them'
        if source in world.support(source):
            yield f'"{source}" is its own right target; reword one side'


def _split_warnings(world: World) -> Iterator[str]:
    """Splits without a meaning, and frames and fillers that are held out but never in train."""
    used: dict[str, set[tuple[str, ...]]] = {split: set() for split in SPLITS}
    for meaning in world.meanings():
        used[world.split_of(meaning)].update([("frame", meaning.frame), *meaning.values])
    yield from (f"no meaning in {split}; add frames or fillers" for split in SPLITS if not used[split])
    for kind, name in sorted((used["valid"] | used["test"]) - used["train"]):
        yield f'{kind} "{name}" is held out but never in train; use it in more frames'


def _unused(world: World) -> list[str]:
    """Slots and words that no template refers to."""
    used = {name for template in world.grammar.templates() for name in template.references()}
    return [f"{name} is never used; remove it" for name in [*world.slots, *world.words] if name not in used]
