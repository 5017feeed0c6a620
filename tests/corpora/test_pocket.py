"""pocket: the laboratory's world."""

from __future__ import annotations

import pytest

from dlmone_lite.corpora import world_report
from dlmone_lite.corpora.pocket import lab_codec, lab_data, lab_world
from dlmone_lite.errors import InputError


def test_the_world_is_sound_and_small() -> None:
    world = lab_world()
    assert world_report.warnings(world) == [] or all(
        "valid" in warning for warning in world_report.warnings(world)
    )
    assert len(world.vocabulary()) < 80 and max(world.max_source, world.max_target) == 7
    for source in world.split_sources("test")[:5]:
        support = world.support(source)
        assert len(support) == 6 and sum(support.values()) == pytest.approx(1)


def test_the_target_length_is_an_option() -> None:
    assert [lab_codec(n).length - lab_codec(n).source_length for n in (8, 16, 32)] == [8, 16, 32]
    with pytest.raises(InputError, match="need 8 positions, not 7"):
        lab_codec(7)


def test_pairs_are_right_answers() -> None:
    codec = lab_codec(8)
    data, world = lab_data(codec), lab_world()
    cut = codec.source_length
    for ids, target in zip(data.batch.ids[:50], codec.decode(data.batch.ids[:50]), strict=True):
        source = " ".join(codec.vocabulary.words[i] for i in ids[:cut].tolist() if i > 2)
        assert target in world.support(source)
