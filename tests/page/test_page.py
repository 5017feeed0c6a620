"""The page in a real browser: its networks equal torch's, its three parts answer, it asks for nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dlmone_lite import World, load
from dlmone_lite.__main__ import main
from dlmone_lite.errors import InputError
from dlmone_lite.exact import ExactDenoiser
from dlmone_lite.page import build
from dlmone_lite.sample import timesteps

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    assert main(["page", "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def opened(written: Path) -> Iterator[Any]:
    """The page in Chromium; a complaint, or a question to any host, fails the test that looks."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and page.complaints.append(said.text))
        page.route(re.compile(r"^https?://"), lambda route: page.complaints.append(route.request.url))
        page.goto(written.as_uri())
        yield page
        assert page.complaints == []
        browser.close()


def test_it_is_small_and_stands_alone(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    assert written.stat().st_size < 12e6 and "/*DATA*/" not in text and "/*APP*/" not in text
    assert not re.search(r"""(src|href)=["']""", text.split("const DATA")[0])


@pytest.mark.parametrize("who", ["teacher", "student"])
@pytest.mark.parametrize("t", [1, 700, 1490, 2000])
def test_the_networks_equal_torchs(opened: Any, who: str, t: int) -> None:
    checkpoint = load(f"paraphrase-{who}")
    model, codec = checkpoint.model, checkpoint.codec
    for weights in model.parameters():  # those of the page; `model.half()` would spoil the rotary angles, too
        weights.data = weights.data.half().float()
    source = "how can i learn french in a month ?"
    batch = codec.encode([source])
    x = torch.randn(1, codec.length, model.config.embed_dim, generator=torch.Generator().manual_seed(t))
    x = torch.where(batch.target[..., None], x, model.embed(batch.ids))
    with torch.no_grad():
        wanted = model(x, torch.tensor([t]), batch)[0].flatten()
    script = "([who, x, t]) => [...sampler[who].network.denoise(Float32Array.from(x), t)]"
    got = torch.tensor(opened.evaluate(script, [who, x[0].flatten().tolist(), t]))
    target = batch.target[0].repeat_interleave(model.config.embed_dim)
    assert (got - wanted)[target].abs().max() < 5e-5
    ids = opened.evaluate("source => sampler.student.encode(source)", source)
    assert ids == batch.ids[0].tolist()
    script = "([who, x]) => sampler[who].network.round(Float32Array.from(x), 0)"
    assert (
        opened.evaluate(script, [who, wanted.tolist()]) == model.round(wanted.view(codec.length, -1)).tolist()
    )


def test_the_samplers_times_are_the_kits(opened: Any) -> None:
    from dlmone_lite.lab.divergences import well_placed

    schedule = load("paraphrase-teacher").model.schedule
    for steps in (1, 2, 3, 8, 40):
        assert opened.evaluate("steps => sampler.teacher.times(steps)", steps) == well_placed(schedule, steps)
    assert opened.evaluate("sampler.teacher.times(64)") == timesteps(schedule.T, 64)


def test_both_write_and_the_student_at_once(opened: Any) -> None:
    world = World.load("paraphrase")
    source = next(iter(opened.evaluate("DATA.supports")))
    script = """([source, n]) => Array.from({ length: n }, (_, k) =>
        sampler.student.one(source, DATA.networks.student.sampling.t_init, 1, k))"""
    texts = opened.evaluate(script, [source, 40])
    support = world.support(source)
    assert sum(text in support for text in texts) > 28 and len(set(texts) & set(support)) > 2
    script = """([source, seed]) => {
        let last;
        for (last of sampler.teacher.many(source, 16, seed));
        return last.text;
    }"""
    assert sum(opened.evaluate(script, [source, seed]) in support for seed in range(6)) >= 5
    script = """source => {
        const began = performance.now();
        sampler.student.one(source, 1490, 1, 0);
        return performance.now() - began;
    }"""
    assert min(opened.evaluate(script, source) for _ in range(3)) < 1000, "milliseconds for a sentence"
    opened.wait_for_selector("#by-student .line >> nth=4")
    assert "1 call" in opened.inner_text("#by-student")


def test_the_weights_are_the_exact_posterior(opened: Any) -> None:
    world, teacher = World.load("paraphrase"), load("paraphrase-teacher")
    known = opened.evaluate("DATA.posterior")
    source = next(iter(opened.evaluate("DATA.supports")))
    exact = ExactDenoiser(world.support, teacher.codec, teacher.model.embedding(), teacher.model.schedule)
    for t in (1500, 1900, 1960):
        opened.evaluate("t => { $('t').value = t; $('t').dispatchEvent(new Event('input')); }", t)
        shown = [float(text) for text in opened.locator("#weights .number").all_inner_texts()]
        alpha, sigma = teacher.model.schedule(t)
        x_t = alpha * exact.mixture(source).means[known["true"]] + sigma * torch.tensor(known["noise"])
        wanted = exact.mixture(source).weights(x_t[None], alpha, sigma)[0]
        assert torch.allclose(torch.tensor(shown), wanted, atol=0.011)


def test_two_drags_break_a_student_and_one_mends_it(opened: Any) -> None:
    def coverage() -> float:
        return float(re.search(r"coverage (\d\.\d\d)", opened.inner_text("#atlas-said"))[1])

    healthy = coverage()
    for knob in ("#b_g", "#b_d"):
        opened.focus(knob)
        for _ in range(6):
            opened.keyboard.press("ArrowLeft")
    broken = coverage()
    validity = float(re.search(r"validity (\d\.\d\d)", opened.inner_text("#atlas-said"))[1])
    opened.click("#mend")
    assert broken < 0.8 < healthy == coverage() and validity > 0.9


def test_a_mistake_is_told(opened: Any) -> None:
    opened.fill("#source", "how can i learn klingon ?")
    opened.click("#go")
    assert 'no word "klingon"' in opened.inner_text("#complaint")
    opened.fill("#source", "word " * 30)
    opened.click("#go")
    assert "words fit" in opened.inner_text("#complaint") or "no word" in opened.inner_text("#complaint")


def test_other_networks_are_refused() -> None:
    teacher = load("qqp-teacher")
    if teacher.model.config.output == "linear" and teacher.model.config.network == "prenorm":
        assert build.packed(teacher)["config"]["width"] == teacher.model.config.width
    with pytest.raises(InputError, match="only"):
        build.packed(_with_softmax(load("paraphrase-teacher")))


def _with_softmax(checkpoint: Any) -> Any:
    from dlmone_lite.beyond.spaces import simplex

    checkpoint.model = simplex(checkpoint.model)
    return checkpoint
