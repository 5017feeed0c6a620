"""The speed of this machine: matrix products, training updates, plain baselines, sentences."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dlmone_lite import sample
from dlmone_lite.checkpoints.checkpoint import Checkpoint, network
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.generation import generate
from dlmone_lite.model import Denoiser, ModelConfig
from dlmone_lite.teacher import TeacherConfig, TeacherRun, teacher_loss
from dlmone_lite.text import Batch
from dlmone_lite.training.precision import PRECISIONS, autocast, candidate_precisions

BASELINES = ("torch.nn.TransformerEncoder", "transformers.BertModel")


def median_seconds(work: Callable[[], object], device: torch.device, repeats: int, warmup: int = 2) -> float:
    """Median duration of one call of `work`, after `warmup` calls that do not count, at least one."""
    seconds = []
    for _ in range(warmup + repeats):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[warmup:])


def stopwatch(checkpoint: Checkpoint, texts: list[str], steps: int) -> tuple[Callable[[int], float], str]:
    """(seed -> milliseconds from strings to strings, the precision: the fastest in short runs)."""

    def milliseconds(steps: int, precision: str, seed: int) -> float:
        start = time.perf_counter()
        generate(checkpoint, texts, steps=steps, seed=seed, precision=precision)
        return 1000 * (time.perf_counter() - start)  # a GPU has finished, because the texts are on the CPU

    best, short = {}, min(steps, 20)
    for name in candidate_precisions(checkpoint.model.words.device):
        best[name] = min(milliseconds(short, name, 0) for _ in range(5))
    precision = min(best, key=best.get)
    return partial(milliseconds, steps, precision), precision


def matmul_peak(precision: str, device: torch.device, repeats: int = 10) -> float:
    """Floating-point operations a second, the best over three sizes of square matrices."""
    sizes = (2048, 4096, 8192) if device.type == "cuda" else (512, 1024, 2048)
    rates = []
    for n in sizes:
        a, b = (torch.randn(n, n, device=device, dtype=PRECISIONS[precision]) for _ in range(2))
        rates.append(2 * n**3 / median_seconds(lambda a=a, b=b: a @ b, device, repeats))
    return max(rates)


def peak_memory(device: torch.device) -> int:
    """Most bytes in use: a GPU's since `torch.cuda.reset_peak_memory_stats`, or the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0  # Windows does not say
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


class RandomText(PairedText):
    """Pairs of random words in a network's shape; a CPU is a little faster with real text, which repeats.

    The target follows the source's block, or is the second half where DiffuSeq's layout has no such block.
    """

    def __init__(self, config: ModelConfig, rows: int = 1024):
        self.codec = config  # a run reads only the length of its codec
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(3, config.vocab_size, (rows, config.length), generator=generator)
        target = torch.zeros(ids.shape, dtype=torch.bool)
        target[:, config.source_length or config.length // 2 :] = True
        self.batch, self.group = Batch(ids, target), torch.arange(rows)
        self.references, self.log_share = ids[:, None, config.source_length :], torch.zeros(rows, 1)


class Plain(Denoiser):
    """The baseline: a network of the same shape whose layers come from a library."""

    def __init__(self, config: ModelConfig, library: str):
        super().__init__(replace(config, depth=0, rope=0.0, network="prenorm", output="linear"))
        W, heads, inner, drop = config.width, config.heads, config.expand * config.width, config.dropout
        self.bert = library == BASELINES[1]
        if self.bert:
            from transformers import BertConfig, BertModel

            shape = {"hidden_size": W, "num_hidden_layers": config.depth, "num_attention_heads": heads}
            shape |= {"intermediate_size": inner, "max_position_embeddings": max(512, config.length)}
            dropout = {"hidden_dropout_prob": drop, "attention_probs_dropout_prob": drop}
            self.encoder = BertModel(BertConfig(vocab_size=1, **shape, **dropout), add_pooling_layer=False)
        else:
            order = {"batch_first": True, "norm_first": True}
            layer = nn.TransformerEncoderLayer(W, heads, inner, drop, "gelu", **order)
            self.encoder = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)

    def hidden(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Output of the last layer (B, L, W)."""
        h = super().hidden(x_t, t)  # of no layer: what goes into the first
        return self.encoder(inputs_embeds=h).last_hidden_state if self.bert else self.encoder(h)


@dataclass
class Speed:
    """Training at one precision."""

    name: str
    precision: str
    seconds: float  # of one update
    positions: int  # rows x length
    flops: float  # operations of the network's matrix products

    @property
    def tokens(self) -> float:
        """Positions of source and target a second."""
        return self.positions / self.seconds

    def share(self, peak: float) -> float:
        """The network's operations a second as a share of `peak`, the machine's rate of matrix products."""
        return self.flops / self.seconds / peak


def product_flops(model: Denoiser, data: RandomText, config: TeacherConfig) -> float:
    """Operations of all matrix products of the loss for one batch, forward and backward.

    A backward pass has two products for each of the forward pass, hence the factor 3. The optimiser's do not
    count. Attention runs unfused here, because the counter misses fused attention on some devices.
    """
    device, rows = model.words.device, config.batch_size
    batch, references, share = data.rows(torch.arange(rows) % len(data.batch))
    t = torch.full((rows,), 1000, device=device)
    noise = torch.randn(rows, model.config.length, 2 * model.config.embed_dim, device=device)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        teacher_loss(model, batch.to(device), references.to(device), share.to(device), t, noise, config)
    return 3.0 * counter.get_total_flops()


def training_speed(
    shape: ModelConfig, recipe: TeacherConfig, device: torch.device, repeats: int, library: str | None = None
) -> Speed:
    """Time whole updates of a teacher by `recipe`, or of the layers of a library (one of BASELINES) with the
    same loss in float32 under AdamW."""
    if library:
        recipe = replace(recipe, precision="float32", optimiser="adamw", target="sample", compile=False)
    data = RandomText(shape)
    model = (Plain(shape, library) if library else network(shape)).to(device)
    flops = product_flops(model.train(), data, recipe)
    run = TeacherRun(model, data, replace(recipe, steps=10**6))
    seconds = median_seconds(run.advance, device, repeats)
    name = library or ("dlmone_lite, compiled" if recipe.compile else "dlmone_lite")
    return Speed(name, run.config.precision, seconds, recipe.batch_size * shape.length, flops)


@torch.no_grad()
def writing_seconds(
    shape: ModelConfig, device: torch.device, rows: int, nfe: int, role: str, precision: str, repeats: int
) -> float:
    """Median seconds to write `rows` rows of embeddings from noise, as `role` does in `nfe` evaluations."""
    model = network(shape).to(device).eval()
    batch = RandomText(shape, rows).batch.to(device)
    clean, schedule = model.embed(batch.ids), model.schedule
    generator = torch.Generator(device).manual_seed(0)  # on the device, as in `generate`
    sampler = partial(sample.student, t_init=1490) if role == "student" else sample.ancestral

    def write() -> None:
        with autocast(device, precision):
            sampler(model, schedule, batch, clean, steps=nfe, generator=generator)

    return median_seconds(write, device, repeats, warmup=1)
