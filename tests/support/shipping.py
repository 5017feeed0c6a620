"""Record a checkpoint among the shipped ones, as a maintainer does in data/checkpoints/hashes.json."""

from __future__ import annotations

import json
from pathlib import Path

from dlmone_lite.checkpoints import zoo
from dlmone_lite.files import digest


def record_hash(path: Path) -> None:
    """Add the hash of one checkpoint to `zoo.HASHES`, or replace it."""
    hashes = {**zoo.hashes(), path.name: digest(path)}
    zoo.HASHES.write_text(json.dumps(hashes))
