"use strict";
// The denoiser of model.py, in plain JavaScript. Matrices are row-major Float32Array; rows are positions.

// float16 -> float32, for weights that are stored in half precision.
function halfToFloat(h) {
  const sign = h & 0x8000 ? -1 : 1, exponent = (h >> 10) & 31, part = h & 1023;
  if (exponent === 0) return sign * part * 2 ** -24;
  if (exponent === 31) return part ? NaN : sign * Infinity;
  return sign * (1 + part / 1024) * 2 ** (exponent - 15);
}

function unpack(text) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const halves = new Uint16Array(bytes.buffer), floats = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) floats[i] = halfToFloat(halves[i]);
  return floats;
}

// erf by W. J. Cody's rational approximations would be longer; this series and fraction have 1e-7.
function erf(x) {
  const s = Math.sign(x), a = Math.abs(x), t = 1 / (1 + 0.3275911 * a);
  const poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return s * (1 - poly * Math.exp(-a * a));
}

const gelu = x => 0.5 * x * (1 + erf(x * Math.SQRT1_2));

// y (n, out) = x (n, in) W^T + b, with W (out, in).
function linear(x, n, weight, bias, size) {
  const out = bias.length, y = new Float32Array(n * out);
  for (let i = 0; i < n; i++) {
    for (let o = 0; o < out; o++) {
      let sum = bias[o];
      const w = o * size, from = i * size;
      for (let k = 0; k < size; k++) sum += x[from + k] * weight[w + k];
      y[i * out + o] = sum;
    }
  }
  return y;
}

function layerNorm(x, n, width, weight, bias) {
  const y = new Float32Array(x.length);
  for (let i = 0; i < n; i++) {
    let mean = 0, variance = 0;
    for (let k = 0; k < width; k++) mean += x[i * width + k];
    mean /= width;
    for (let k = 0; k < width; k++) variance += (x[i * width + k] - mean) ** 2;
    const scale = 1 / Math.sqrt(variance / width + 1e-5);
    for (let k = 0; k < width; k++) y[i * width + k] = (x[i * width + k] - mean) * scale * weight[k] + bias[k];
  }
  return y;
}

class Network {
  // config: that of the checkpoint; tensors: name -> weights; ratio: sigma/alpha of every step t.
  constructor(config, tensors, ratio) {
    this.config = config;
    this.ratio = ratio;
    this.w = {};
    for (const name in tensors) this.w[name] = unpack(tensors[name]);
    const D = config.embed_dim, words = this.w.words, V = words.length / D;
    this.table = new Float32Array(words.length); // every word on the sphere of radius sqrt(D)
    for (let v = 0; v < V; v++) {
      let norm = 0;
      for (let k = 0; k < D; k++) norm += words[v * D + k] ** 2;
      const scale = Math.sqrt(D) / Math.max(Math.sqrt(norm), 1e-12);
      for (let k = 0; k < D; k++) this.table[v * D + k] = words[v * D + k] * scale;
    }
    this.turns = this.rotation();
  }

  // Cosines and sines (L, F) of rotary positions, which restart at the target block.
  rotation() {
    const { length, source_length, rope, width, heads } = this.config, F = width / heads / 2;
    const cos = new Float32Array(length * F), sin = new Float32Array(length * F);
    for (let i = 0; i < length; i++) {
      const place = i < source_length ? i : i - source_length;
      for (let f = 0; f < F; f++) {
        const angle = place * rope ** -(f / (F - 1));
        cos[i * F + f] = Math.cos(angle);
        sin[i * F + f] = Math.sin(angle);
      }
    }
    return { cos, sin };
  }

  // x (L, D) at step t -> x0_hat (L, D).
  denoise(x, t) {
    const { width: W, length: L, depth, expand } = this.config, w = this.w;
    const level = Math.log(Math.max(this.ratio[t], 1e-3)), features = new Float32Array(64);
    for (let i = 0; i < 32; i++) {
      const angle = level * Math.exp(Math.log(0.25) + (Math.log(16) - Math.log(0.25)) * i / 31);
      features[i] = Math.sin(angle);
      features[32 + i] = Math.cos(angle);
    }
    let time = linear(features, 1, w["time.0.weight"], w["time.0.bias"], 64);
    time = linear(time.map(v => v / (1 + Math.exp(-v))), 1, w["time.2.weight"], w["time.2.bias"], W);
    const h = linear(x, L, w["up.weight"], w["up.bias"], this.config.embed_dim);
    for (let i = 0; i < L * W; i++) h[i] += w.position[i] + time[i % W];
    for (let b = 0; b < depth; b++) this.block(h, `blocks.${b}.`, expand);
    return linear(layerNorm(h, L, W, w["norm.weight"], w["norm.bias"]), L, w["down.weight"], w["down.bias"], W);
  }

  // One transformer block; changes h (L, W) in place.
  block(h, name, expand) {
    const { width: W, length: L, heads } = this.config, w = this.w, size = W / heads, F = size / 2;
    const { cos, sin } = this.turns;
    let y = layerNorm(h, L, W, w[name + "norm1.weight"], w[name + "norm1.bias"]);
    const qkv = linear(y, L, w[name + "qkv.weight"], w[name + "qkv.bias"], W);
    for (let i = 0; i < L; i++) {
      for (let part = 0; part < 2; part++) { // queries and keys turn with their position
        for (let head = 0; head < heads; head++) {
          const at = i * 3 * W + part * W + head * size;
          for (let f = 0; f < F; f++) {
            const a = qkv[at + f], b = qkv[at + F + f], c = cos[i * F + f], s = sin[i * F + f];
            qkv[at + f] = a * c - b * s;
            qkv[at + F + f] = b * c + a * s;
          }
        }
      }
    }
    const mixed = new Float32Array(L * W), weight = new Float32Array(L);
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < L; i++) {
        const q = i * 3 * W + head * size;
        let most = -Infinity, total = 0;
        for (let j = 0; j < L; j++) {
          const k = j * 3 * W + W + head * size;
          let dot = 0;
          for (let f = 0; f < size; f++) dot += qkv[q + f] * qkv[k + f];
          weight[j] = dot / Math.sqrt(size);
          most = Math.max(most, weight[j]);
        }
        for (let j = 0; j < L; j++) total += weight[j] = Math.exp(weight[j] - most);
        for (let j = 0; j < L; j++) {
          const v = j * 3 * W + 2 * W + head * size, share = weight[j] / total;
          for (let f = 0; f < size; f++) mixed[i * W + head * size + f] += share * qkv[v + f];
        }
      }
    }
    const added = linear(mixed, L, w[name + "proj.weight"], w[name + "proj.bias"], W);
    for (let i = 0; i < L * W; i++) h[i] += added[i];
    y = layerNorm(h, L, W, w[name + "norm2.weight"], w[name + "norm2.bias"]);
    y = linear(y, L, w[name + "up.weight"], w[name + "up.bias"], W).map(gelu);
    y = linear(y, L, w[name + "down.weight"], w[name + "down.bias"], expand * W);
    for (let i = 0; i < L * W; i++) h[i] += y[i];
  }

  // ids (L) -> their points (L, D).
  embed(ids) {
    const D = this.config.embed_dim, x = new Float32Array(ids.length * D);
    ids.forEach((id, i) => x.set(this.table.subarray(id * D, id * D + D), i * D));
    return x;
  }

  // The nearest word of every position from `first` on; on the sphere that of the largest product.
  round(x, first) {
    const D = this.config.embed_dim, V = this.table.length / D, ids = [];
    for (let i = first; i < this.config.length; i++) {
      let best = 0, most = -Infinity;
      for (let v = 0; v < V; v++) {
        let dot = 0;
        for (let k = 0; k < D; k++) dot += x[i * D + k] * this.table[v * D + k];
        if (dot > most) { most = dot; best = v; }
      }
      ids.push(best);
    }
    return ids;
  }
}

// Random numbers of a seed: mulberry32, and Box and Muller's normal ones.
function random(seed) {
  let a = seed >>> 0, spare = null;
  const uniform = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const normal = () => {
    if (spare !== null) { const kept = spare; spare = null; return kept; }
    const r = Math.sqrt(-2 * Math.log(1 - uniform())), angle = 2 * Math.PI * uniform();
    spare = r * Math.sin(angle);
    return r * Math.cos(angle);
  };
  return { uniform, normal };
}

// The samplers of sample.py. `levels` has alpha and sigma of every step; only target positions get noise.
class Sampler {
  constructor(network, levels, vocabulary) {
    Object.assign(this, { network, levels, vocabulary });
    this.index = new Map(vocabulary.map((word, i) => [word, i]));
    this.cut = network.config.source_length;
  }

  // A source's ids, its [SEP] and [PAD]s, and [PAD]s for the target; throws a sentence for a reader.
  encode(source) {
    const words = source.toLowerCase().trim().split(/\s+/).filter(Boolean), { length } = this.network.config;
    if (!words.length) throw new Error("write a question first");
    if (words.length >= this.cut) throw new Error(`at most ${this.cut - 1} words fit, these are ${words.length}`);
    const ids = words.map(word => {
      if (!this.index.has(word)) throw new Error(`this world has no word "${word}"`);
      return this.index.get(word);
    });
    return [...ids, 2, ...Array(length - ids.length - 1).fill(0)];
  }

  text(ids) {
    const end = ids.indexOf(2);
    return (end < 0 ? ids : ids.slice(0, end)).map(i => this.vocabulary[i]).join(" ");
  }

  // x with the clean source in front.
  anchor(x, clean) {
    x.set(clean.subarray(0, this.cut * this.network.config.embed_dim));
    return x;
  }

  // One call of a student: noise times sigma at t_init; all positions share `rho` of it (0 or 1).
  one(source, tInit, rho, seed, loud = 1) {
    const { embed_dim: D, length: L } = this.network.config, clean = this.network.embed(this.encode(source));
    const { normal } = random(seed), shared = Float32Array.from({ length: D }, normal);
    const scale = loud * this.levels.sigma[tInit];
    const x = Float32Array.from({ length: L * D }, (_, i) => scale * (rho ? shared[i % D] : normal()));
    return this.text(this.network.round(this.network.denoise(this.anchor(x, clean), tInit), this.cut));
  }

  // Times of `steps` calls: T, then evenly in log(sigma/alpha) from 28 to 1, then 0; for one or two calls less.
  // More than 40 do not fit there and lie evenly in t.
  times(steps) {
    const { ratio, T } = this.levels;
    const even = y => Math.round(y) - (Math.round(y) - y === 0.5 ? Math.round(y) % 2 : 0); // as Python rounds
    if (steps > 40) return Array.from({ length: steps + 1 }, (_, i) => even(T * (1 - i / steps)));
    const at = level => {
      let best = 1;
      for (let t = 1; t <= T; t++) {
        if (Math.abs(Math.log(ratio[t] / level)) < Math.abs(Math.log(ratio[best] / level))) best = t;
      }
      return best;
    };
    if (steps <= 2) return [T, ...[at(Math.sqrt(28))].slice(0, steps - 1), 0];
    return [T, ...Array.from({ length: steps - 1 }, (_, i) => at(28 ** (1 - i / (steps - 2)))), 0];
  }

  // The teacher, ancestral: yields the sentence that each x0_hat spells, with t.
  *many(source, steps, seed) {
    const { embed_dim: D, length: L } = this.network.config, { alpha, sigma } = this.levels;
    const clean = this.network.embed(this.encode(source)), { normal } = random(seed), times = this.times(steps);
    let x = this.anchor(Float32Array.from({ length: L * D }, normal), clean);
    for (let i = 0; i + 1 < times.length; i++) {
      const t = times[i], s = times[i + 1], guess = this.network.denoise(x, t);
      yield { t, text: this.text(this.network.round(guess, this.cut)) };
      if (s === 0) return;
      const a = alpha[t] / alpha[s], beta = sigma[t] ** 2 - a * a * sigma[s] ** 2;
      const deviation = Math.sqrt(Math.max(0, beta) * sigma[s] ** 2 / sigma[t] ** 2), next = new Float32Array(L * D);
      for (let k = 0; k < L * D; k++) {
        const mean = (a * sigma[s] ** 2 * x[k] + alpha[s] * beta * guess[k]) / sigma[t] ** 2;
        next[k] = mean + deviation * normal();
      }
      x = this.anchor(next, clean);
    }
  }
}

if (typeof module !== "undefined") module.exports = { Network, Sampler, random, unpack, halfToFloat, erf };
