"""`python -m dlmone_lite.maintain.write_results`: the README's picture, and its results from the records in `data/runs`.

It is for those who train new checkpoints, and so no command of `python -m dlmone_lite`. `picture` or `table`
does one of the two. The table stands between two marks in README.md; a test compares it with the records.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dlmone_lite.errors import InputError
from dlmone_lite.files import ROOT
from dlmone_lite.maintain.results import table

README, PICTURE = ROOT / "README.md", ROOT / "data" / "figures" / "duel.png"
BEGIN, END = (
    "<!-- results: written by python -m dlmone_lite.maintain.write_results -->",
    "<!-- end of results -->",
)
CALLS, SAMPLES = 64, 256


def split(text: str) -> tuple[str, str, str]:
    """README text before, between and after the marks; InputError when they are not there once each."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise InputError(f"README.md needs the lines {BEGIN} and {END}, once each; put them back")
    before, rest = text.split(BEGIN)
    inside, after = rest.split(END)
    return before, inside.strip(), after


def write_table() -> None:
    """Put the table of today's records into the README."""
    before, _, after = split(README.read_text(encoding="utf-8"))
    README.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8", newline="\n")
    print(f"written: the results in {README.name}")


def write_picture() -> None:
    """Draw the duel of the shipped paraphrase networks, on the question and seed of the `demo` command."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.corpora.world import World
    from dlmone_lite.evaluation.measure import held_out_sources
    from dlmone_lite.evaluation.metrics import tv_floor
    from dlmone_lite.figures import nb00
    from dlmone_lite.generation import generate

    world = World.load("paraphrase")
    source = held_out_sources(world, 1)[0]
    support = world.support(source)
    lanes, scores = [], []
    for role, steps in (("teacher", CALLS), ("student", 1)):
        checkpoint = zoo.load(f"paraphrase-{role}")
        nb00.run_lane(checkpoint, source, 1, seed=0)  # the first call is slower
        tries = [nb00.run_lane(checkpoint, source, steps, seed=0) for _ in range(5)]
        lanes.append(min(tries, key=lambda lane: lane.seconds))
        samples = generate(checkpoint, [source], steps=steps, samples=SAMPLES)[0]
        scores.append(nb00.score(role, steps, lanes[-1].seconds, samples, support))
    fig = nb00.whole_duel(source, *lanes, support, scores, tv_floor(support, SAMPLES))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(PICTURE, dpi=120, metadata={"Software": None}, pil_kwargs={"optimize": True})
    print(f"written: {PICTURE.relative_to(ROOT)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Write both, or the one that is named."""
    parser = argparse.ArgumentParser(prog="python -m dlmone_lite.maintain.write_results", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("picture", "table"), help="default: both")
    what = parser.parse_args(argv).what
    try:
        if what != "table":
            write_picture()
        if what != "picture":
            write_table()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
