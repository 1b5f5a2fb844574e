"use strict";
// What a model says of a window, from what the page of a map holds: the numbers of persistem.windows.sums and
// persistem.model.classifier. `of` is the page's data, with its arrays in `of.arrays` by name.

const COUNTED = 3; // of a pair: birth, death, lifetime
const DEGREES = 2;

/** The pairs that are born in the window whose first pixel is (row, column). */
function pairsIn(of, row, column) {
  const { "pairs.starts": starts, "pairs.column": columns, "pairs.kind": kinds, "pairs.birth": births, "pairs.death": deaths } = of.arrays;
  const found = [];
  for (let r = row; r < Math.min(row + of.size, starts.length - 1); r++) {
    for (let k = starts[r]; k < starts[r + 1]; k++) {
      if (columns[k] < column || columns[k] >= column + of.size) continue;
      const kind = kinds[k], band = Math.floor(kind / (of.filtrations.length * DEGREES));
      const value = (level) => (level / of.fine - 2) * of.bands[band].window;
      found.push({ row: r, column: columns[k], kind, band, filtration: Math.floor(kind / DEGREES) % of.filtrations.length, degree: kind % DEGREES, birth: value(births[k]), death: value(deaths[k]) });
    }
  }
  return found;
}

/** Where in the histograms a pair adds how much: positions and weights, six each. */
function entries(of, pair) {
  const window = of.bands[pair.band].window, last = of.levels - 1;
  const [birth, death] = [pair.birth / window, pair.death / window];
  const [positions, weights] = [[], []];
  [(birth + 1) / 2, (death + 1) / 2, Math.abs(birth - death)].forEach((value, k) => {
    const level = Math.min(Math.max(value, 0), 1) * last;
    const below = Math.min(Math.floor(level), last - 1);
    const start = (pair.kind * COUNTED + k) * of.levels;
    positions.push(start + below, start + below + 1);
    weights.push(1 - (level - below), level - below);
  });
  return [positions, weights];
}

/** Histograms of pairs, not yet divided by the area; of those but `without`, where one is named. */
function sums(of, pairs, without) {
  const total = new Float64Array(of.bands.length * of.filtrations.length * DEGREES * COUNTED * of.levels);
  for (const pair of pairs) {
    if (pair === without) continue;
    const [positions, weights] = entries(of, pair);
    positions.forEach((position, k) => { total[position] += weights[k]; });
  }
  return total;
}

/** What the model describes window (i, j) by: its blocks by name; `pairs` are those that are born in it. */
function blocksOf(of, i, j, pairs) {
  const found = {};
  for (const [name, length] of Object.entries(of.lengths)) {
    if (name === "persistence") found[name] = histograms(of, pairs);
    else {
      const start = (i * of.grid.columns + j) * length;
      found[name] = of.arrays[`blocks.${name}`].subarray(start, start + length);
    }
  }
  return found;
}

/** The persistence block of pairs: their histograms per nm², rounded to 32 bits as the model has them. */
function histograms(of, pairs, without) {
  return Float32Array.from(sums(of, pairs, without), (x) => x / (of.size * of.sampling) ** 2);
}

/** What the trees say of a window: a number for each state, of two states one. */
function raw(of, blocks) {
  const { "trees.feature": feature, "trees.threshold": threshold, "trees.left": left, "trees.right": right, "trees.value": value, "trees.roots": roots, "trees.start": start } = of.arrays;
  const vector = Float64Array.from(Object.keys(of.lengths).flatMap((name) => [...blocks[name]]));
  const total = Float64Array.from(start);
  roots.forEach((root, k) => {
    let node = root;
    while (left[node] >= 0) node = vector[feature[node]] <= threshold[node] ? left[node] : right[node];
    total[k % start.length] += value[node];
  });
  return total;
}

/** Logarithms of the calibrated probabilities of the states, but for a constant. */
function logits(of, blocks) {
  const scores = raw(of, blocks), { coefficients, intercepts } = of.calibration;
  const again = coefficients.map((row, k) => row.reduce((sum, c, m) => sum + c * scores[m], intercepts[k]));
  return again.length === 1 ? [-again[0] / 2, again[0] / 2] : again;
}

/** Calibrated probabilities of the states. */
function probabilities(of, blocks) {
  const found = logits(of, blocks), largest = Math.max(...found);
  const powers = found.map((x) => Math.exp(x - largest)), all = powers.reduce((a, b) => a + b);
  return powers.map((x) => x / all);
}

/** The score of a state: ln(p / (1 - p)), which does not saturate as p does. */
function score(of, blocks, state) {
  const found = logits(of, blocks), others = found.filter((_, k) => k !== state), largest = Math.max(...others);
  return found[state] - largest - Math.log(others.reduce((sum, x) => sum + Math.exp(x - largest), 0));
}

/** What each pair of a window decides: the score of a state with it minus that without it. */
function decided(of, blocks, pairs, state) {
  const whole = score(of, blocks, state);
  return pairs.map((pair) => whole - score(of, { ...blocks, persistence: histograms(of, pairs, pair) }, state));
}

/** The parts of what a model sees: the other blocks, and the histograms of each kind of pair. */
function partsOf(of, blocks) {
  const kinds = of.bands.length * of.filtrations.length * DEGREES;
  return Object.keys(of.lengths).flatMap((name) => {
    const count = name === "persistence" ? kinds : 1, long = blocks[name].length / count;
    return Array.from({ length: count }, (_, kind) => ({ name, kind: name === "persistence" ? kind : -1, from: kind * long, to: (kind + 1) * long }));
  });
}

/**
 * What each part of a window adds to its score of a state: `base`, the mean score of the `others` (blocks of other
 * windows), and `adds`, one number for each of `partsOf`. Base and parts add up to the window's score.
 *
 * Shapley values by sampling: each other window becomes the window part by part, in a random order and in the reverse
 * (Štrumbelj & Kononenko, Knowl. Inf. Syst. 41 (2014) 647; Mitchell et al., J. Mach. Learn. Res. 23 (2022) 43). Along
 * each way the changes add up exactly, so their means do.
 */
function additive(of, blocks, others, state) {
  const parts = partsOf(of, blocks), adds = new Float64Array(parts.length);
  let base = 0, seed = 1;
  const random = (below) => { seed = (seed * 48271) % 2147483647; return seed % below; };
  for (const other of others) {
    const order = parts.map((_, k) => k);
    for (let k = order.length - 1; k > 0; k--) { const m = random(k + 1); [order[k], order[m]] = [order[m], order[k]]; }
    const start = score(of, other, state);
    base += start / others.length;
    for (const way of [order, order.slice().reverse()]) {
      const mixed = Object.fromEntries(Object.entries(other).map(([name, block]) => [name, block.slice()]));
      let last = start;
      for (const k of way) {
        const { name, from, to } = parts[k];
        mixed[name].set(blocks[name].subarray(from, to), from);
        const now = score(of, mixed, state);
        adds[k] += (now - last) / others.length / 2;
        last = now;
      }
    }
  }
  return { base, parts, adds };
}
