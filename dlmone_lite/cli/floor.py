"""`evaluate --floor`: a teacher's loss above the exact Bayes loss."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from dlmone_lite.cli.common import Table
from dlmone_lite.errors import InputError

if TYPE_CHECKING:
    from dlmone_lite.checkpoint import Checkpoint
    from dlmone_lite.worlds import World


def floor(checkpoint: Checkpoint, world: World, args: argparse.Namespace) -> dict[str, Any]:
    """Table of the loss above the Bayes loss by tenths of t."""
    from dlmone_lite.bayes import loss_by_decile

    if checkpoint.role != "teacher":
        raise InputError(
            f"--floor compares a teacher's loss with the Bayes loss; this is a {checkpoint.role}"
        )
    sigma_0 = float(checkpoint.provenance.get("config", {}).get("sigma_0", 0.0))
    result = loss_by_decile(checkpoint, world, args.draws, args.seed, args.split, sigma_0)
    print(f"squared error per element, {args.draws} draws of {args.split} sources in each tenth of t")
    table = Table(("t", -11), ("Bayes", 15), ("teacher", 15), ("above", 15), ("above/Bayes", 12))
    for row in result["deciles"]:
        cells = [f"{row[key]:.4f} ±{row[f'{key}_se']:.4f}" for key in ("bayes", "teacher", "excess")]
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.1%}"
        table.row(f"{row['t_from']}-{row['t_to']}", *cells, ratio)
    print(f"a dash: Bayes loss below 5% of the embeddings' variance ({result['embedding_variance']:.2f})")
    return result
