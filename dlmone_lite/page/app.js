"use strict";
// What the page shows. DATA is written into the page by build.py.

const $ = id => document.getElementById(id);
const make = (tag, text = "", kind = "") => Object.assign(document.createElement(tag), { textContent: text, className: kind });
const levels = DATA.levels;
levels.ratio = levels.alpha.map((a, t) => levels.sigma[t] / a);
const sampler = {};
for (const who of ["student", "teacher"]) {
  const { config, tensors } = DATA.networks[who];
  sampler[who] = new Sampler(new Network(config, tensors, levels.ratio), levels, DATA.vocabulary);
}

// ---- the duel

function verdict(source, text) {
  const support = DATA.supports[source];
  if (!support) return { right: null, said: "a question of your own: nobody has listed its right answers" };
  const p = support[text];
  return p ? { right: true, said: `right, p = ${p.toFixed(2)}` } : { right: false, said: "not a right answer" };
}

function line(text, { right, said }, extra = "") {
  const row = make("div", "", "line" + (right === null ? "" : right ? " right" : " wrong"));
  row.append(make("span", text || "(nothing)", "sentence"), make("span", `${said}${extra}`, "said"));
  return row;
}

let race = 0; // a new duel ends the one before

async function duel() {
  const mine = ++race, source = $("source").value.toLowerCase().trim().split(/\s+/).join(" ");
  const seed = +$("seed").value, steps = +$("steps").value;
  for (const id of ["by-student", "by-teacher"]) $(id).replaceChildren();
  $("complaint").textContent = "";
  try {
    sampler.student.encode(source);
  } catch (error) {
    $("complaint").textContent = error.message;
    return;
  }
  const { t_init, rho = 0 } = DATA.networks.student.sampling;
  for (let k = 0; k < 5; k++) {
    const began = performance.now(), text = sampler.student.one(source, t_init, rho, 1000 * seed + k);
    const spent = performance.now() - began;
    if (mine !== race) return;
    $("by-student").append(line(text, verdict(source, text), ` · 1 call, ${spent.toFixed(0)} ms`));
    await new Promise(next => setTimeout(next));
  }
  const began = performance.now();
  let calls = 0, last = null;
  for (const { t, text } of sampler.teacher.many(source, steps, 1000 * seed)) {
    if (mine !== race) return;
    calls++;
    last?.classList.remove("right", "wrong");
    const spent = performance.now() - began;
    last = line(text, verdict(source, text), ` · call ${calls} of ${steps}, t = ${t}, ${spent.toFixed(0)} ms`);
    if ($("by-teacher").children.length > 7) $("by-teacher").children[1].remove(); // the first reading stays
    $("by-teacher").append(last);
    await new Promise(next => setTimeout(next));
  }
}

function setUpDuel() {
  for (const source of Object.keys(DATA.supports)) $("sources").append(new Option(source, source));
  $("sources").addEventListener("change", () => { $("source").value = $("sources").value; duel(); });
  $("source").value = Object.keys(DATA.supports)[0];
  $("source").addEventListener("change", duel);
  $("seed").addEventListener("change", duel);
  $("steps").addEventListener("input", () => { $("steps-out").textContent = $("steps").value; });
  $("steps").addEventListener("change", duel);
  $("go").addEventListener("click", duel);
}

// ---- the posterior: which sentence was it?

function posterior() {
  const { sentences, p, points, true: k, noise } = DATA.posterior, t = +$("t").value;
  const alpha = levels.alpha[t], sigma = levels.sigma[t], n = noise.length;
  const logits = points.map((point, i) => {
    let squared = 0;
    for (let j = 0; j < n; j++) squared += (alpha * (points[k][j] - point[j]) + sigma * noise[j]) ** 2;
    return Math.log(p[i]) - squared / (2 * sigma * sigma);
  });
  const most = Math.max(...logits), weights = logits.map(v => Math.exp(v - most));
  const total = weights.reduce((a, b) => a + b);
  $("t-out").textContent = `t = ${t}, σ/α = ${(sigma / alpha).toFixed(2)}`;
  $("weights").replaceChildren(...sentences.map((text, i) => bar(
    (i === k ? "▶ " : "") + text, weights[i] / total, p[i], `${(weights[i] / total).toFixed(2)}`)));
}

function bar(text, value, mark, number) {
  const row = make("div", "", "bar"), track = make("div", "", "track"), fill = make("div", "", "fill");
  fill.style.width = `${100 * value}%`;
  track.append(fill);
  if (mark !== null) {
    const tick = make("div", "", "tick");
    tick.style.left = `${100 * mark}%`;
    track.append(tick);
  }
  row.append(make("span", text, "name"), track, make("span", number, "number"));
  return row;
}

// ---- the atlas of degeneration, from recorded runs

function nearest(knobs) {
  const place = k => [3 * Math.log10(k.b_d + 0.05), 3 * Math.log10(k.b_g + 0.02), 4 * k.mu, 3 * Math.log10(k.lr)];
  const at = place(knobs), apart = cell => place(cell.knobs).reduce((sum, v, i) => sum + (v - at[i]) ** 2, 0);
  return DATA.atlas.cells.reduce((best, cell) => apart(cell) < apart(best) ? cell : best);
}

function atlas() {
  const knobs = {};
  for (const name of ["b_d", "b_g", "mu", "lr"]) {
    knobs[name] = DATA.atlas.stops[name][+$(name).value];
    $(`${name}-out`).textContent = knobs[name];
  }
  const cell = nearest(knobs), count = cell.runs.length, which = Math.min(+$("run").value, count - 1);
  const run = cell.runs[which], end = run.curve.at(-1), ends = cell.runs.map(r => r.curve.at(-1)[2]);
  $("run").max = count - 1;
  const spread = count > 1 ? `; all ${count} runs: ${Math.min(...ends).toFixed(2)} to ${Math.max(...ends).toFixed(2)}` : "";
  $("curve").replaceChildren(curve(run.curve));
  $("atlas-said").textContent = `after ${end[0]} updates: validity ${end[1].toFixed(2)} (quality), ` +
    `coverage ${end[2].toFixed(2)} (diversity${spread}) · recorded run ${which + 1} of ${count} ` +
    `at b_d ${cell.knobs.b_d}, b_g ${cell.knobs.b_g}, mu ${cell.knobs.mu}, rate ${cell.knobs.lr}`;
  const said = DATA.atlas.support, all = Object.values(run.said).reduce((a, b) => a + b, 0);
  const right = Object.keys(said).map(text => bar(text, (run.said[text] || 0) / all, said[text], `${run.said[text] || 0}`));
  const rest = all - Object.keys(said).reduce((sum, text) => sum + (run.said[text] || 0), 0);
  $("said").replaceChildren(...right, bar("(anything else)", rest / all, null, `${rest}`));
}

function curve(points) {
  const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg"), last = points.at(-1)[0] || 1;
  svg.setAttribute("viewBox", "0 0 420 190");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "Validity and coverage of a recorded run over its updates");
  const add = (tag, at, text) => {
    const e = document.createElementNS(ns, tag);
    for (const name in at) e.setAttribute(name, at[name]);
    if (text) e.textContent = text;
    svg.append(e);
  };
  for (const y of [0, 0.5, 1]) {
    add("line", { x1: 36, x2: 410, y1: 160 - 140 * y, y2: 160 - 140 * y, class: "grid" });
    add("text", { x: 28, y: 164 - 140 * y, "text-anchor": "end" }, y);
  }
  add("text", { x: 410, y: 180, "text-anchor": "end" }, `update ${last}`);
  [[1, "quality", 0], [2, "diversity", 1]].forEach(([k, name, i]) => {
    const path = points.map(p => `${36 + 374 * p[0] / last},${160 - 140 * Math.min(1, p[k])}`).join(" ");
    add("polyline", { points: path, class: `curve ${name}` });
    add("text", { x: 44 + 150 * i, y: 14, class: name }, `${i ? "- -" : "—"} ${name} (${i ? "coverage" : "validity"})`);
  });
  return svg;
}

function setUpAtlas() {
  for (const name of ["b_d", "b_g", "mu", "lr"]) {
    const stops = DATA.atlas.stops[name];
    $(name).max = stops.length - 1;
    $(name).value = stops.indexOf(DATA.atlas.base[name]);
    $(name).addEventListener("input", atlas);
  }
  $("run").addEventListener("input", atlas);
  $("break").addEventListener("click", () => { $("b_d").value = 0; $("b_g").value = 0; atlas(); });
  $("mend").addEventListener("click", () => {
    for (const name of ["b_d", "b_g", "lr"]) $(name).value = DATA.atlas.stops[name].indexOf(DATA.atlas.base[name]);
    atlas();
  });
  $("atlas-source").textContent = DATA.atlas.source;
}

setUpDuel();
setUpAtlas();
$("t").addEventListener("input", posterior);
posterior();
atlas();
duel();
