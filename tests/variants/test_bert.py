"""bert: transformers' own encoder, weight for weight; DiffuSeq's sizes; the contract of a denoiser."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny import make_codec, make_world, normal, same_weights

from dlmone_lite.checkpoints import checkpoint
from dlmone_lite.checkpoints.checkpoint import Checkpoint, network
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.corpora.word_pieces import WordPieces
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.errors import InputError
from dlmone_lite.model import Denoiser, ModelConfig, preset, sized
from dlmone_lite.teacher import DIFFUSEQ, TeacherRun, teacher_loss
from dlmone_lite.variants.bert import BertDenoiser, sinusoids
from dlmone_lite.variants.diffuseq_codec import DiffuSeqCodec
from dlmone_lite.variants.warm_start import WarmStartConfig, WarmStartRun

SMALL = {"embed_dim": 8, "width": 24, "depth": 2, "heads": 3, "dropout": 0.0}


@pytest.fixture
def codec(tmp_path):
    return make_codec(make_world(tmp_path))


@pytest.fixture
def model(codec):
    torch.manual_seed(0)
    return BertDenoiser(sized(preset("paper", **SMALL), codec)).eval()


def test_the_encoder_is_transformers_bert(model):
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96)
    config._attn_implementation = "eager"
    torch.manual_seed(1)
    oracle = BertModel(config).eval()
    for theirs, ours in zip(oracle.encoder.layer, model.blocks, strict=True):
        heads, mixed = theirs.attention.self, theirs.attention.output
        parts = [getattr(heads, name) for name in ("query", "key", "value")]
        ours.qkv.weight.data = torch.cat([part.weight.data for part in parts])
        ours.qkv.bias.data = torch.cat([part.bias.data for part in parts])
        pairs = [
            (ours.proj, mixed.dense),
            (ours.norm1, mixed.LayerNorm),
            (ours.norm2, theirs.output.LayerNorm),
        ]
        pairs += [(ours.up, theirs.intermediate.dense), (ours.down, theirs.output.dense)]
        for mine, its in pairs:
            mine.load_state_dict(its.state_dict())
            torch.nn.init.normal_(mine.bias, std=0.3)
            its.bias.data = mine.bias.data.clone()
    h = normal(3, 7, 24, seed=2)
    with torch.no_grad():
        expected = oracle.encoder(h)
        expected = expected[0] if isinstance(expected, tuple) else expected.last_hidden_state
        got = h
        for block in model.blocks:
            got = block(got)
    assert torch.allclose(got, expected, atol=1e-5)


def test_paper_has_the_published_size():
    """91.2 million: embeddings and tied head, BERT-base's encoder, 512 positions, projections, time."""
    words, D, W = 30_522, 128, 768
    with torch.device("meta"):
        paper = network(preset("paper", vocab_size=words))
    linear = lambda a, b: a * b + b  # noqa: E731
    layer = 3 * linear(W, W) + linear(W, W) + linear(W, 4 * W) + linear(4 * W, W) + 2 * 2 * W
    around = linear(D, W) + linear(W, W) + linear(W, W) + linear(W, D) + linear(D, 4 * D) + linear(4 * D, W)
    by_hand = words * D + words + 12 * layer + 512 * W + 2 * W + around
    count = sum(p.numel() for p in paper.parameters())
    assert count == by_hand and round(count / 1e6, 1) == 91.2
    assert (paper.config.length, paper.config.T, paper.config.schedule) == (128, 2000, "sqrt")


def test_first_weights_are_the_published_codes():
    """Its words and positions are torch's Embedding, its encoder is built layer by layer without BERT's own
    initialisation: all is torch's default."""
    torch.manual_seed(0)
    paper = BertDenoiser(preset("paper", vocab_size=2000, depth=2))
    for table in (paper.words, paper.position):
        assert float(table.detach().std()) == pytest.approx(1, rel=0.01)
    for block in paper.blocks:
        for layer in (block.qkv, block.proj, block.up, block.down):
            fan_in = layer.weight.shape[1]
            assert float(layer.weight.detach().std()) == pytest.approx((3 * fan_in) ** -0.5, rel=0.01)
            assert 0.9 * fan_in**-0.5 < float(layer.bias.abs().max()) <= fan_in**-0.5
    assert float(paper.blocks[0].down.weight.detach().std()) == pytest.approx(0.0104, abs=1e-4)


def test_lite_has_three_to_five_million_weights():
    with torch.device("meta"):
        lite = network(preset("lite", vocab_size=8192))
    assert type(lite) is Denoiser and 3e6 < sum(p.numel() for p in lite.parameters()) < 5e6
    assert lite.config.length == 64


def test_time_features_are_ddpms():
    t = torch.tensor([0.0, 500.0])
    for i, k in enumerate((0, 1, 3)):
        angle = 500 * math.exp(-math.log(10_000) * k / 4)
        assert sinusoids(t, 8)[1, k] == pytest.approx(math.cos(angle), abs=1e-4), i
        assert sinusoids(t, 8)[1, 4 + k] == pytest.approx(math.sin(angle), abs=1e-4)
    assert sinusoids(t, 8)[0].tolist() == [1] * 4 + [0] * 4


def test_rounding_is_by_distance(model):
    model.words.data *= torch.linspace(0.5, 3, len(model.words))[:, None]  # of unequal norms
    x = normal(2, 5, 8, seed=3)
    assert torch.equal(model.round(x), torch.cdist(x, model.words).argmin(-1))
    assert torch.equal(model.round(model.embed(torch.arange(9)[None])), torch.arange(9)[None])


def test_it_keeps_the_contract_and_comes_back_from_its_file(model, codec, tmp_path):
    batch = codec.encode(["can a cat run here", "can a dog run there"])
    x, t = normal(*batch.ids.shape, 8, seed=4), torch.tensor([300, 1900])
    x0_hat, logits = model.denoise_and_discriminate(x, t, batch)
    assert x0_hat.shape == x.shape and logits.shape == batch.ids.shape
    assert torch.equal(x0_hat, model(x, t, batch)) and torch.equal(logits, model.discriminate(x, t))
    assert logits.std() > 0, "the channel mean is not that of a normalised layer"
    checkpoint.save(tmp_path / "b.safetensors", Checkpoint(model, codec, "tiny", "teacher"))
    again = checkpoint.load(tmp_path / "b.safetensors").model
    assert type(again) is BertDenoiser and same_weights(again, model)


def test_diffuseqs_recipe_trains_it_and_dlm_ones_distils_it(model, codec, tmp_path):
    sources, targets = zip(*make_world(tmp_path).pairs("train", 64), strict=True)
    data = PairedText(sources, targets, codec)
    first = TeacherRun(model, data, replace(DIFFUSEQ, steps=3, batch_size=4, precision="float32", warmup=1))
    losses = [step.losses for step in first]
    assert all(math.isfinite(value) for row in losses for value in row.values())
    config = DistillConfig(steps=2, batch_size=4, psi_warmup=1, precision="float32")
    run = DistillRun(first.result, data, config)
    assert all(math.isfinite(value) for step in run for value in step.losses.values())
    assert not same_weights(run.theta, first.result)


def test_the_loss_is_diffuseqs_written_out():
    """Every term once more, from the published formulas alone: clipped betas, noise on the embeddings, means
    over all positions, the tied head with its bias."""
    codec = DiffuSeqCodec(WordPieces.learn(["a heron nests", "two herons"] * 3, 50), 0, 12)
    torch.manual_seed(0)
    model = network(sized(preset("paper", **SMALL), codec)).eval()
    model.word_bias.data.normal_()
    batch = codec.encode(["a heron", "two herons", "herons"], ["heron nests", "a heron", "nests"])
    t, noise = torch.tensor([1, 900, 2000]), normal(*batch.ids.shape, 16, seed=5)
    T, D, E = 2000, 8, model.words
    shape = lambda s: 1 - math.sqrt(s + 1e-4)  # noqa: E731
    betas = [min(1 - shape((i + 1) / T) / shape(i / T), 0.999) for i in range(T)]
    kept = torch.tensor(betas, dtype=torch.float64).neg().add(1).cumprod(0)
    x0 = E[batch.ids] + 0.121 * noise[..., D:]
    abar = kept[t - 1].float()[:, None, None]
    x_t = torch.where(batch.target[..., None], abar.sqrt() * x0 + (1 - abar).sqrt() * noise[..., :D], x0)
    expected = {
        "denoising": (torch.stack([E[batch.ids[0]], x0[1], x0[2]]) - model(x_t, t, batch))
        .square()
        .mean((1, 2)),
        "rounding": -(x0 @ E.T + model.word_bias)
        .log_softmax(-1)
        .gather(-1, batch.ids[..., None])
        .mean((1, 2)),
        "prior": kept[-1].float() * x0.square().mean((1, 2)),
    }
    data = PairedText(["a heron"], ["two herons"], codec)
    references = batch.ids[:, None]
    got = teacher_loss(model, batch, references, torch.zeros(3, 1), t, noise, DIFFUSEQ)
    assert data.references.shape[-1] == codec.length  # that is how all positions come in
    for name, value in expected.items():
        assert torch.allclose(got[name], value, rtol=2e-4, atol=1e-7), name


def test_a_warm_start_is_refused_in_diffuseqs_layout():
    codec = DiffuSeqCodec(WordPieces.learn(["a heron nests"], 40), 0, 12)
    model = network(sized(preset("paper", **SMALL), codec))
    with pytest.raises(InputError, match="needs the aligned layout"):
        WarmStartRun(model, PairedText(["a heron"], ["nests"], codec), WarmStartConfig())


def test_an_unknown_network_is_refused():
    with pytest.raises(InputError, match="unknown network 'gpt'; known: prenorm, bert"):
        ModelConfig(network="gpt")


def test_a_whole_forward_pass_written_out(codec):
    """Time input, encoder, x0_hat and SiDA's logit in plain torch, from the weights alone."""
    torch.manual_seed(3)
    model = BertDenoiser(sized(preset("paper", **{**SMALL, "T": 500}), codec)).eval()
    for name, p in model.named_parameters():
        if p.ndim == 1:  # biases and norms start at zero and one, which would hide a mistake
            torch.nn.init.normal_(p, mean=float("norm" in name and "weight" in name), std=0.3)
    w = {name: p.detach() for name, p in model.named_parameters()}
    x_t, t = normal(2, codec.length, 8, seed=4), torch.tensor([7, 493])

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
        return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    # Time as DiffuSeq's code has it: of a thousand, whatever T is.
    scaled = t.double() * 1000 / 500
    angle = scaled[:, None] * torch.tensor([10_000.0 ** (-i / 4) for i in range(4)])
    waves = torch.cat([angle.cos(), angle.sin()], -1).float()
    time = linear(torch.nn.functional.silu(linear(waves, "time.0")), "time.2")
    h = linear(torch.tanh(linear(x_t, "up.0")), "up.2") + w["position"][: codec.length] + time[:, None]
    h = norm(h, "norm")
    for i in range(2):
        q, k, v = linear(h, f"blocks.{i}.qkv").chunk(3, -1)
        mixed = []
        for head in range(3):
            part = slice(8 * head, 8 * head + 8)
            weights = (q[..., part] @ k[..., part].mT / math.sqrt(8)).softmax(-1)
            mixed.append(weights @ v[..., part])
        h = norm(h + linear(torch.cat(mixed, -1), f"blocks.{i}.proj"), f"blocks.{i}.norm1")
        total = h + linear(torch.nn.functional.gelu(linear(h, f"blocks.{i}.up")), f"blocks.{i}.down")
        h = norm(total, f"blocks.{i}.norm2")
    x0_hat = linear(torch.tanh(linear(h, "down.0")), "down.2")

    with torch.no_grad():
        found, logits = model.denoise_and_discriminate(x_t, t, None)
    assert torch.allclose(found, x0_hat, atol=1e-5)
    assert torch.allclose(logits, total.mean(-1), atol=1e-5)  # before the last normalisation
    assert torch.allclose(model(x_t, t, None), found) and torch.allclose(model.discriminate(x_t, t), logits)
