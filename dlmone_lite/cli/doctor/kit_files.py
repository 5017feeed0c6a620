"""The checks of `doctor` that look at the kit's own files: worlds, vocabulary, networks."""

from __future__ import annotations

import re

from dlmone_lite.cli.doctor.checks import Check, good, guarded, problem


def worlds() -> list[Check]:
    """Whether each world, and each that a shipped network speaks of, has its grammar, splits and words."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.corpora.world import FOLDER, World
    from dlmone_lite.evaluation.published import TASKS

    shipped = {re.sub(r"-(teacher|student).*", "", name) for name in zoo.names()} - {*TASKS}
    names = sorted({*World.names(), *shipped})
    if not names:
        return problem("worlds", f"{FOLDER} holds none", f"restore them with: git checkout -- {FOLDER}")
    bad = [check for name in names for check in guarded("worlds", lambda name=name: splits(name))]
    return bad + vocabulary(shipped) or good("worlds", f"complete, splits and words: {', '.join(names)}")


def splits(name: str) -> list[Check]:
    """What a world lacks. Its held-out splits are compared word for word, the large one by its rows."""
    from dlmone_lite.corpora.world import FOLDER, PAIRS, SPLITS, World

    if not (grammar := FOLDER / f"{name}.grammar").is_file():
        return problem("worlds", f"{grammar} is missing", f"restore it with: git checkout -- {grammar}")
    world, bad = World.load(name), []
    build = f"write it with: python -m dlmone_lite world {grammar} --build"
    for split in SPLITS:
        path = world.folder / f"{split}.jsonl"
        if not path.is_file():
            bad += problem("worlds", f"{path} is missing", build)
        elif (rows := path.read_bytes().count(b"\n")) != PAIRS[split]:
            bad += problem("worlds", f"{path} has {rows} rows, not {PAIRS[split]}", build)
        elif split != "train" and path.read_text(encoding="utf-8") != world.split_text(split):
            bad += problem("worlds", f"{path} is not what the grammar says", build)
    return bad


def vocabulary(names: set[str]) -> list[Check]:
    """What the shared vocabulary lacks of these worlds' words."""
    from dlmone_lite.corpora.world import FOLDER, World

    path = FOLDER / "vocabulary.txt"
    restore = f"restore it with: git checkout -- {path}"
    if not path.is_file():
        return problem("worlds", f"{path} is missing", restore)
    needed = {word for name in names & {*World.names()} for word in World.load(name).vocabulary()}
    if lacking := sorted(needed - {*path.read_text(encoding="utf-8").split()}):
        text = f"{path} lacks {len(lacking)} words of the shipped worlds, {lacking[0]!r} for one"
        return problem("worlds", text, restore)
    return []


def checkpoints() -> list[Check]:
    """Whether every shipped network is the file that was measured, byte for byte."""
    from dlmone_lite.checkpoints import zoo

    names = zoo.names()
    if not names:
        cure = f"restore them with: git checkout -- {zoo.FOLDER}"
        return problem("checkpoints", f"{zoo.HASHES} is missing or empty: no network is known", cure)
    bad = [check for name in names for check in guarded("checkpoints", lambda name=name: _whole(name))]
    return bad or good("checkpoints", f"all {len(names)} shipped networks are there, SHA-256 as recorded")


def _whole(name: str) -> list[Check]:
    from dlmone_lite.checkpoints import zoo

    zoo.path_of(name)  # an InputError says what is wrong
    return []
