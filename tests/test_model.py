"""model: torch's own encoder layer, exact word logits, convex hull, nearest embeddings, discriminator."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from tiny import make_codec, make_model, make_world, normal, same_weights
from torch import nn

from dlmone_lite.errors import InputError
from dlmone_lite.exact import GaussianMixture
from dlmone_lite.model import (
    PRESETS,
    Block,
    Denoiser,
    ModelConfig,
    attend,
    preset,
    rotate,
    rotation,
    sized,
    time_features,
)
from dlmone_lite.schedule import Schedule


@pytest.fixture
def codec(tmp_path):
    return make_codec(make_world(tmp_path))


@pytest.fixture
def batch(codec):
    return codec.encode(["can a cat run here", "can a dog run there", "can a fish run inside"])


T = torch.tensor([300, 1200, 1900])


def noised(model, batch, seed=1):
    clean = model.embed(batch.ids)
    x = model.schedule.diffuse(clean, T, normal(*clean.shape, seed=seed, dtype=clean.dtype))
    return torch.where(batch.target[..., None], x, clean).detach()


# ---- parts against outside oracles


def test_block_is_torchs_pre_norm_encoder_layer():
    torch.manual_seed(0)
    block = Block(width=16, heads=4, expand=3, dropout=0.0)
    oracle = nn.TransformerEncoderLayer(16, 4, 48, 0.0, "gelu", batch_first=True, norm_first=True)
    attention = oracle.self_attn
    pairs = [
        (attention.in_proj_weight, block.qkv.weight),
        (attention.in_proj_bias, block.qkv.bias),
        (attention.out_proj.weight, block.proj.weight),
        (attention.out_proj.bias, block.proj.bias),
        (oracle.linear1.weight, block.up.weight),
        (oracle.linear1.bias, block.up.bias),
        (oracle.linear2.weight, block.down.weight),
        (oracle.linear2.bias, block.down.bias),
    ]
    with torch.no_grad():
        for norm in (block.norm1, block.norm2):
            norm.weight.normal_(), norm.bias.normal_()
        for theirs, ours in pairs:
            theirs.copy_(ours)
        for theirs, ours in [(oracle.norm1, block.norm1), (oracle.norm2, block.norm2)]:
            theirs.load_state_dict(ours.state_dict())
    h = normal(3, 7, 16)
    assert torch.allclose(block(h), oracle(h), atol=1e-5)


def test_attention_by_its_formula_and_in_bfloat16():
    q, k, v = (normal(2, 3, 5, 8, seed=s) for s in range(3))
    expected = torch.einsum("bhlm,bhmd->bhld", (q @ k.transpose(2, 3) / math.sqrt(8)).softmax(-1), v)
    assert torch.allclose(attend(q, k, v, 0.0), expected, atol=1e-6)
    half = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), 0.0)
    assert half.dtype == torch.bfloat16
    assert (half.float() - expected).abs().max() < 0.04  # three rounded inputs of 8 bits
    with torch.autocast("cpu", torch.bfloat16):
        inside = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), 0.0)
    assert torch.equal(inside, half)
    rows = torch.stack([attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), 0.5) for _ in range(2)])
    assert not torch.equal(rows[0], rows[1])  # dropout reaches it


def test_time_features_by_hand():
    level = torch.tensor([-1.5, 0.0, 2.0])
    features = time_features(level, 8)
    frequencies = [0.25 * 64 ** (i / 3) for i in range(4)]  # 1/4, 1, 4, 16
    for row, x in enumerate(level.tolist()):
        expected = [math.sin(x * f) for f in frequencies] + [math.cos(x * f) for f in frequencies]
        assert features[row].tolist() == pytest.approx(expected, abs=1e-5)


def test_rotary_positions_turn_complex_numbers():
    x, angles = normal(2, 3, 5, 8), normal(5, 4, seed=1)
    turned = torch.view_as_complex(torch.stack(x.chunk(2, -1), -1)) * torch.polar(torch.ones(5, 4), angles)
    assert torch.allclose(rotate(x, rotation(angles)), torch.cat([turned.real, turned.imag], -1), atol=1e-6)
    # What attention sees of two positions is their distance: turning both by the same angle changes nothing.
    q, k = normal(1, 1, 1, 8, seed=2), normal(1, 1, 1, 8, seed=3)
    place = torch.arange(9.0)[:, None] * torch.tensor([1.0, 0.5, 0.2, 0.1])
    turns = rotation(place)
    scores = rotate(q.expand(1, 1, 9, 8), turns) @ rotate(k.expand(1, 1, 9, 8), turns).mT
    for distance in (-3, 0, 4):
        diagonal = scores[0, 0].diagonal(distance)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5)
    assert abs(scores[0, 0, 0, 3] - scores[0, 0, 0, 0]) > 0.1


def test_rotary_positions_restart_at_the_target(codec):
    angles = make_model(codec, rope=100.0).angles
    frequencies = torch.tensor([100.0 ** -(i / 7) for i in range(8)])  # from 1 down to 1 / base
    expected = torch.tensor([0, 1, 2, 3, 4, 5] * 2)[:, None] * frequencies
    assert torch.allclose(angles, expected, atol=1e-6)
    assert make_model(codec, rope=0.0).angles is None


# ---- embeddings and rounding


def test_embeddings_lie_on_the_sphere_and_rounding_is_euclidean(codec, batch):
    model = make_model(codec)
    table = model.embedding()
    assert table.norm(dim=-1).tolist() == pytest.approx([math.sqrt(8)] * len(codec.vocabulary), rel=1e-5)
    assert torch.equal(model.embed(batch.ids), table[batch.ids])
    with torch.no_grad():
        model.words.mul_(torch.rand(len(codec.vocabulary), 1) + 0.1)  # the length of a row carries nothing
    assert torch.allclose(model.embedding(), table, atol=1e-6)
    x = 3 * normal(50, 6, 8, seed=2)
    nearest = torch.cdist(x.flatten(0, 1), table).argmin(1).view(50, 6)
    assert torch.equal(model.round(x), nearest)
    assert torch.equal(model.clamp(x), model.embedding()[nearest])
    assert torch.equal(model.round(model.embed(batch.ids)), batch.ids)
    assert torch.equal(model.clamp(model.clamp(x)), model.clamp(x))


# ---- outputs


def test_softmax_output_is_the_expected_embedding(codec, batch):
    model = make_model(codec).double()
    x = noised(model, batch)
    logits = model.logits(x, T, model.hidden(x, T))
    p = logits.exp() / logits.exp().sum(-1, keepdim=True)
    assert logits.shape == (3, 12, len(codec.vocabulary))
    x0_hat = model(x, T, batch)
    assert torch.allclose(x0_hat, torch.einsum("blv,vd->bld", p, model.embedding()), atol=1e-12)
    assert (x0_hat.norm(dim=-1) < math.sqrt(8)).all()  # inside the hull of points of that norm
    # In every direction the output lies between the extreme words.
    directions = normal(8, 40, seed=3, dtype=torch.float64)
    inside, words = x0_hat @ directions, model.embedding() @ directions
    assert (inside <= words.max(0).values + 1e-12).all() and (inside >= words.min(0).values - 1e-12).all()


def test_linear_output_is_the_projection(codec, batch):
    model = make_model(codec, output="linear")
    x = noised(model, batch)
    h = model.hidden(x, T)
    normed = (h - h.mean(-1, keepdim=True)) / (h.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    expected = normed @ model.down.weight.T + model.down.bias  # a fresh LayerNorm has gain 1 and bias 0
    assert torch.allclose(model(x, T, batch), expected, atol=1e-5)


@pytest.mark.parametrize("schedule", ["sqrt", "cosine", "linear"])
def test_evidence_is_the_exact_posterior_of_a_single_word(codec, batch, schedule):
    """With constant features only a word's own evidence is left: Bayes' rule with the prior softmax(f E)."""
    model = make_model(codec, schedule=schedule).double()
    with torch.no_grad():
        model.down.weight.zero_()
        model.down.bias.copy_(normal(8, seed=5))
    table = model.embedding().detach()
    prior = GaussianMixture(table, (model.down.bias @ table.T).detach())
    steps = [t for t in (40, 300, 1200, 1900, 2000) if Schedule(schedule)(t)[1] > 0.05]
    assert len(steps) >= 4
    for t in steps:
        x, at = noised(model, batch), torch.full((3,), t)
        alpha, sigma = model.schedule(t, torch.float64)
        weights = prior.weights(x.flatten(0, 1), alpha, sigma).view(3, 12, -1)
        found = model.logits(x, at, model.hidden(x, at)).softmax(-1)
        assert torch.allclose(found, weights, atol=1e-9)
        mean = prior.mean(x.flatten(0, 1), alpha, sigma).view(3, 12, -1)
        assert torch.allclose(model(x, at, batch), mean, atol=1e-9)
    plain = make_model(codec, schedule=schedule, evidence=False).double()
    plain.load_state_dict(model.state_dict())
    flat = plain.logits(x, at, plain.hidden(x, at)).softmax(-1)
    assert torch.allclose(flat, prior.log_p.exp().expand_as(flat), atol=1e-12)


def test_rows_are_independent_and_answers_repeat(codec, batch):
    model = make_model(codec).eval()
    x, order = noised(model, batch), torch.tensor([2, 0, 1])
    x0_hat = model(x, T, batch)
    assert torch.equal(model(x, T, batch), x0_hat)
    assert torch.allclose(model(x[order], T[order], batch[order]), x0_hat[order], atol=1e-6)
    assert torch.allclose(model(x[1:2], T[1:2], batch[1:2]), x0_hat[1:2], atol=1e-6)
    changed = x.clone()
    changed[0] += 1
    others = model(changed, T, batch)
    assert torch.allclose(others[1:], x0_hat[1:], atol=1e-6)
    assert not torch.allclose(others[0], x0_hat[0], atol=1e-2)
    assert same_weights(make_model(codec), make_model(codec))
    assert not same_weights(make_model(codec), make_model(codec, seed=1))


def test_the_network_reads_position_time_and_source(codec, batch):
    model = make_model(codec, evidence=False)
    x = noised(model, batch)
    x0_hat = model(x, T, batch)
    assert not torch.allclose(model(x, T + 60, batch), x0_hat, atol=1e-3)
    other = x.clone()
    other[:, 2] = model.embedding()[5]  # another source word
    assert not torch.allclose(model(other, T, batch)[:, 6:], x0_hat[:, 6:], atol=1e-3)
    turned = model(x.flip(1), T, batch).flip(1)  # without positions this would be the same
    assert not torch.allclose(turned, x0_hat, atol=1e-3)


def test_time_is_seen_as_a_noise_level(codec, batch):
    # Two schedules at the same sigma/alpha look alike to a network: it never sees t itself.
    a, b = make_model(codec, evidence=False), make_model(codec, evidence=False, schedule="cosine")
    x = noised(a, batch)
    t = torch.tensor([b.schedule.at_ratio(float(a.schedule.ratio(int(k)))) for k in T])
    assert (t - T).abs().min() > 30
    assert torch.allclose(a(x, T, batch), b(x, t, batch), atol=0.02)


def test_the_network_is_told_the_log_of_the_noise_level(codec, batch):
    model, seen = make_model(codec), []
    model.time.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model(noised(model, batch), T, batch)
    abar = (1 - (T.double() / 2000 + 1e-4).sqrt()) / 0.99
    assert torch.allclose(seen[0], time_features(((1 - abar) / abar).log().float() / 2, 64), atol=1e-4)


def test_bfloat16_is_close_to_float32(codec, batch):
    model = make_model(codec)
    x = noised(model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(x, T, batch)
    full = model(x, T, batch)
    assert half.dtype == torch.float32 and not torch.equal(half, full)
    assert (half - full).abs().max() < 0.1 * full.std()


# ---- the discriminator inside


def test_discriminator_logits_are_channel_means(codec, batch):
    model = make_model(codec)
    x = noised(model, batch)
    x0_hat, logits = model.denoise_and_discriminate(x, T, batch)
    h = model.hidden(x, T)
    assert torch.equal(x0_hat, model(x, T, batch)) and torch.equal(logits, model.discriminate(x, T))
    assert logits.shape == (3, 12)
    assert torch.allclose(logits, sum(h[..., i] for i in range(32)) / 32, atol=1e-6)
    assert logits.std() > 0.05
    # Why it is read before the normalisation: after it the mean of the channels is the same everywhere.
    assert model.norm(h).mean(-1).abs().max() < 1e-6
    # It learns through weights that the denoiser has anyway: there are no others.
    assert not [name for name, _ in model.named_parameters() if "verdict" in name]
    gradients = torch.autograd.grad(logits.sum(), [model.blocks[0].qkv.weight, model.up.weight])
    assert all(g.abs().max() > 0 for g in gradients)


def test_discriminator_head_starts_undecided_and_reads_normalised_features(codec, batch):
    model = make_model(codec, discriminator="head")
    x = noised(model, batch)
    assert torch.equal(model.discriminate(x, T), torch.zeros(3, 12))
    sizes = [sum(p.numel() for p in m.parameters()) for m in (model, make_model(codec))]
    assert sizes[0] - sizes[1] == 32 + 1
    with torch.no_grad():
        model.verdict.weight.copy_(normal(1, 32, seed=4))
        model.verdict.bias.fill_(0.3)
    x0_hat, logits = model.denoise_and_discriminate(x, T, batch)
    h = model.hidden(x, T)
    normed = (h - h.mean(-1, keepdim=True)) / (h.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    assert torch.allclose(logits, (normed * normal(1, 32, seed=4)).sum(-1) + 0.3, atol=1e-4)
    assert torch.equal(x0_hat, model(x, T, batch)) and torch.equal(logits, model.discriminate(x, T))
    assert logits.std() > 0.5


# ---- configuration


def test_sizes_follow_the_codec(codec):
    config = sized(ModelConfig(width=64), codec)
    assert (config.vocab_size, config.length, config.source_length) == (len(codec.vocabulary), 12, 6)
    assert config.width == 64


def test_presets_and_mistakes():
    assert preset("classroom") == PRESETS["classroom"]
    assert preset("classroom", width=64, depth=2) == ModelConfig(width=64, depth=2)
    with pytest.raises(InputError, match="unknown preset 'class'; known: classroom"):
        preset("class")
    with pytest.raises(InputError, match="known: linear, softmax"):
        ModelConfig(output="argmax")
    with pytest.raises(InputError, match="known: head, mean"):
        ModelConfig(discriminator="tail")
    with pytest.raises(InputError, match="sqrt, cosine, linear"):
        Denoiser(ModelConfig(vocab_size=5, length=4, schedule="square", width=8, heads=2, depth=1))


def test_residual_branches_start_small(codec):
    # The scale of the residual stream hardly grows with depth.
    shallow, deep = make_model(codec, depth=1), make_model(codec, depth=8)
    x = normal(3, 12, 8)
    ratio = deep.hidden(x, T).std() / shallow.hidden(x, T).std()
    assert 0.8 < ratio.item() < 1.3


def test_dropout_is_off_in_evaluation(codec, batch):
    model = make_model(codec, dropout=0.3)
    x = noised(model, batch)
    model.eval()
    assert torch.equal(model(x, T, batch), model(x, T, batch))
    same = make_model(codec, dropout=0.0)
    assert torch.equal(model(x, T, batch), same(x, T, batch))
    model.train()
    assert not torch.equal(model(x, T, batch), model(x, T, batch))


def test_rounding_cross_entropy_would_find_every_word(codec):
    # The table is its own best classifier: every embedding has the largest product with itself.
    table = make_model(codec).embedding()
    assert torch.equal((table @ table.T).argmax(1), torch.arange(len(table)))
    assert torch.allclose(F.cosine_similarity(table, table), torch.ones(len(table)), atol=1e-6)
