// Drawing. Wherever several clips share a column of pixels, their least and greatest values are drawn: nothing is dropped.

const MARGIN = { left: 44, right: 8 };
const STRIP_PX = 16;

function colours() {
  const style = getComputedStyle(document.documentElement);
  const named = (name) => style.getPropertyValue(name).trim();
  return { ink: named("--ink"), quiet: named("--quiet"), rule: named("--rule"), gap: named("--gap"), odd: named("--odd"),
    accent: named("--accent"), targets: Array.from({ length: RULES.targetColours }, (_, i) => named("--t" + i)) };
}

// A canvas fitted to its element, in CSS pixels, cleared.
function fitted(canvas, height) {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth || canvas.parentElement.clientWidth;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = height + "px";
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "11px system-ui, sans-serif";
  return { pen, width, height };
}

// A value's height in a lane; ticks of an axis.
function steps(low, high, most) {
  let ticks = [];
  for (let n = most; ticks.length < 2 && n < most + RULES.moreTicks; n++) ticks = multiples(low, high, n);
  return ticks;
}

function multiples(low, high, most) {
  const raw = (high - low) / most, unit = 10 ** Math.floor(Math.log10(raw));
  const step = RULES.valueSteps.map((f) => f * unit).find((size) => size >= raw * 0.999);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) ticks.push(n * step);
  return ticks;
}

const TIME_STEPS = [0.2, 0.5, ...RULES.clockSteps]; // zoomed in, also under a second

function timeTicks(view, width) {
  const step = TIME_STEPS.find((size) => (view.to - view.from) / size <= width / 75) || 2 * TIME_STEPS.at(-1);
  const ticks = [];
  for (let n = Math.ceil(view.from / step); n * step <= view.to; n++) ticks.push(n * step);
  return { ticks, digits: step < 1 ? 1 : 0 };
}

function drawLane(canvas, person, k, target, view, range, ink) {
  const { pen, width, height } = fitted(canvas, canvas.dataset.height | 0);
  const x = (t) => MARGIN.left + ((t - view.from) / (view.to - view.from)) * (width - MARGIN.left - MARGIN.right);
  const y = (v) => 6 + ((range[1] - v) / (range[1] - range[0])) * (height - 12);
  shade(pen, person, view, x, width, height, ink);
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const tick of steps(range[0], range[1], height > 90 ? 4 : 3)) {
    pen.fillStyle = ink.rule;
    pen.fillRect(MARGIN.left, Math.round(y(tick)), width - MARGIN.left - MARGIN.right, tick === 0 ? 2 : 1);
    pen.fillStyle = ink.quiet;
    pen.fillText(plainText(+tick.toPrecision(4)), MARGIN.left - 6, y(tick));
  }
  if (target.training_mean !== null) dashed(pen, y(target.training_mean), MARGIN.left, width - MARGIN.right, ink.quiet);
  if (target.scaled) drawEnds(pen, target, range, y, width, ink);
  pen.save();
  pen.beginPath();
  pen.rect(MARGIN.left, 0, width - MARGIN.left - MARGIN.right, height);
  pen.clip();
  drawCurve(pen, person, k, view, x, y, width, ink.targets[k % ink.targets.length], true);
  pen.restore();
}

// Where a curve leaves its scale, the end of the scale is a line with a name.
function drawEnds(pen, target, range, y, width, ink) {
  target.ends.forEach((end, high) => {
    if (!(high ? beyond(target, range[1]) : beyond(target, range[0]))) return;
    dashed(pen, y(end), MARGIN.left, width - MARGIN.right, ink.quiet, [1, 3]);
    pen.fillStyle = ink.quiet;
    pen.textAlign = "right";
    pen.textBaseline = high ? "top" : "bottom";
    pen.fillText(`end of the scale: ${plainText(end)}`, width - MARGIN.right - 2, y(end) + (high ? 2 : -2));
  });
}

// A curve with its band; or where several share a plot, the line alone with its own dashes.
function drawCurve(pen, person, k, view, x, y, width, colour, band) {
  const first = Math.max(0, above(person.middle, view.from) - 2), last = Math.min(person.middle.length, above(person.middle, view.to) + 2);
  const draw = last - first > 2 * (width - MARGIN.left) ? drawColumns : drawLine;
  draw(pen, person, k, first, last, x, y, colour, band, band ? [] : dashes(k));
}

function dashes(k) {
  return RULES.dashes[k % RULES.dashes.length];
}

function dashed(pen, height, from, to, colour, pattern = [5, 4]) {
  pen.strokeStyle = colour;
  pen.setLineDash(pattern);
  pen.beginPath();
  pen.moveTo(from, height);
  pen.lineTo(to, height);
  pen.stroke();
  pen.setLineDash([]);
}

// Stretches with nothing to say (hatched) and unlike the training recordings (tinted), at least a pixel each.
function shade(pen, person, view, x, width, height, ink) {
  const first = Math.max(0, above(person.left, view.from) - 1), last = above(person.left, view.to);
  const reach = person.hop * (RULES.joinedWithin - 1); // clips further apart leave a gap
  let gap = null, odd = null;
  const end = (stretch, paint) => { if (stretch) paint(Math.max(MARGIN.left, x(stretch[0])), Math.min(width - MARGIN.right, x(stretch[1]))); };
  const tint = (a, b) => { pen.globalAlpha = RULES.tint; pen.fillStyle = ink.odd; pen.fillRect(a, 0, Math.max(3, b - a), height); pen.globalAlpha = 1; };
  const hatch = (a, b) => hatched(pen, a, Math.max(a + 1, b), height, ink.gap);
  for (let i = first; i < last; i++) {
    const left = person.left[i], right = person.right[i];
    if (gap && (person.said[i] || left > gap[1] + reach)) { end(gap, hatch); gap = null; }
    if (i > 0 && left > person.right[i - 1] + reach) end([person.right[i - 1], left], hatch);
    if (!person.said[i]) gap = [gap ? gap[0] : left, right];
    if (odd && (!person.odd[i] || left > odd[1] + reach)) { end(odd, tint); odd = null; }
    if (person.odd[i]) odd = [odd ? odd[0] : left, right];
  }
  end(gap, hatch);
  end(odd, tint);
}

function hatched(pen, from, to, height, colour) {
  pen.save();
  pen.beginPath();
  pen.rect(from, 0, to - from, height);
  pen.clip();
  pen.globalAlpha = 0.55;
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.beginPath();
  const begin = Math.floor((from - height) / 7) * 7;
  for (let at = begin; at < to; at += 7) { pen.moveTo(at, height); pen.lineTo(at + height, 0); }
  pen.stroke();
  pen.restore();
}

function drawLine(pen, person, k, first, last, x, y, colour, band, dash) {
  const mean = person.mean[k], std = person.std[k], middle = person.middle;
  const runs = [];
  for (let i = first, from = -1; i <= last; i++) {
    const whole = i < last && !Number.isNaN(mean[i]);
    const joined = whole && from >= 0 && middle[i] - middle[i - 1] <= person.hop * RULES.joinedWithin;
    if (from >= 0 && !joined) { runs.push([from, i]); from = -1; }
    if (whole && from < 0) from = i;
  }
  pen.lineJoin = "round";
  for (const [a, b] of runs) {
    const spread = (i) => (band && std[i] > 0 ? std[i] : 0);
    pen.globalAlpha = 0.22;
    pen.fillStyle = colour;
    pen.beginPath();
    // A single clip has no neighbour to lean on: its band is as wide as its own stretch.
    if (b - a === 1 && band) pen.rect(x(person.left[a]), y(mean[a] + spread(a)), x(person.right[a]) - x(person.left[a]), y(mean[a] - spread(a)) - y(mean[a] + spread(a)));
    for (let i = a; i < b; i++) pen.lineTo(x(middle[i]), y(mean[i] + spread(i)));
    for (let i = b - 1; i >= a; i--) pen.lineTo(x(middle[i]), y(mean[i] - spread(i)));
    pen.fill();
    pen.globalAlpha = 1;
    pen.strokeStyle = colour;
    pen.lineWidth = band ? 2 : 1.25;
    pen.setLineDash(dash);
    pen.beginPath();
    for (let i = a; i < b; i++) pen.lineTo(x(middle[i]), y(mean[i]));
    pen.stroke();
    pen.setLineDash([]);
    if (b - a === 1 || (band && x(person.hop) - x(0) > 14))
      for (let i = a; i < b; i++) { pen.fillStyle = colour; pen.beginPath(); pen.arc(x(middle[i]), y(mean[i]), band ? 3 : 1.5, 0, 7); pen.fill(); }
  }
}

function drawColumns(pen, person, k, first, last, x, y, colour, band, dash) {
  const mean = person.mean[k], std = person.std[k], middle = person.middle;
  pen.fillStyle = colour;
  let column = -1, low = 0, high = 0, under = 0, over = 0, before = null;
  const flush = () => {
    if (column < 0) return;
    pen.globalAlpha = 0.22;
    pen.fillRect(column, y(over), 1, Math.max(1, y(under) - y(over)));
    pen.globalAlpha = 1;
    // Joined to the column before, so that a steep rise is a line and not dots.
    const joined = before && column - before.column <= 1;
    const upper = joined && before.low > high ? before.low : high, lower = joined && before.high < low ? before.high : low;
    if (!inGap(dash, column)) pen.fillRect(column, y(upper) - 0.75, 1, Math.max(1.5, y(lower) - y(upper) + 1.5));
    before = { column, low, high };
    column = -1;
  };
  for (let i = first; i < last; i++) {
    const value = mean[i];
    if (Number.isNaN(value)) continue;
    const at = Math.floor(x(middle[i])), spread = band && std[i] > 0 ? std[i] : 0;
    if (at !== column) {
      flush();
      column = at, low = high = value, under = value - spread, over = value + spread;
    } else {
      low = Math.min(low, value), high = Math.max(high, value);
      under = Math.min(under, value - spread), over = Math.max(over, value + spread);
    }
  }
  flush();
}

// Whether a column of pixels falls into a gap of dashes: pairs of a line and a gap.
function inGap(dash, column) {
  let at = dash.length ? column % dash.reduce((sum, length) => sum + length, 0) : 0;
  for (let n = 0; n < dash.length; n += 2) {
    if (at < dash[n]) return false;
    at -= dash[n] + dash[n + 1];
    if (at < 0) return true;
  }
  return false;
}

// Share of frames with a usable face: the least of each column.
function drawCoverage(canvas, person, view, ink) {
  const { pen, width, height } = fitted(canvas, STRIP_PX);
  const plot = width - MARGIN.left - MARGIN.right, scale = (view.to - view.from) / plot;
  pen.fillStyle = ink.rule;
  pen.fillRect(MARGIN.left, height - 1, plot, 1);
  pen.fillStyle = ink.accent;
  for (let column = 0, i = Math.max(0, above(person.left, view.from) - 1); column < plot && i < person.left.length; column++) {
    const from = view.from + column * scale, to = from + scale;
    while (i < person.left.length && person.right[i] <= from) i++;
    let least = Infinity;
    for (let j = i; j < person.left.length && person.left[j] < to; j++) least = Math.min(least, person.coverage[j]);
    if (least < Infinity) pen.fillRect(MARGIN.left + column, height - least * height, 1, least * height);
  }
}

function drawWeights(canvas, person, i, view, ink) {
  const { pen, width, height } = fitted(canvas, STRIP_PX);
  const plot = width - MARGIN.left - MARGIN.right, x = (t) => MARGIN.left + ((t - view.from) / (view.to - view.from)) * plot;
  pen.fillStyle = ink.rule;
  pen.fillRect(MARGIN.left, height - 1, plot, 1);
  if (i < 0 || !person.width) return;
  pen.save();
  pen.beginPath();
  pen.rect(MARGIN.left, 0, plot, height);
  pen.clip();
  const half = (person.width - 1) / 2, length = person.end[i] - person.start[i];
  for (let j = -half; j <= half; j++) {
    const weight = person.attention[i * person.width + j + half] / 250;
    if (weight > 1) continue; // 255: there is no such clip
    const from = x(person.start[i] + j * length), to = Math.max(from + 2, x(person.end[i] + j * length) - 1);
    pen.globalAlpha = 0.12 + 0.88 * weight;
    pen.fillStyle = ink.accent;
    pen.fillRect(from, 1, to - from, height - 3);
    pen.globalAlpha = 1;
    if (j === 0) { pen.strokeStyle = ink.ink; pen.strokeRect(from + 0.5, 1.5, to - from - 1, height - 4); }
  }
  pen.restore();
}

function drawAxis(canvas, view, ink) {
  const { pen, width } = fitted(canvas, 20);
  const { ticks, digits } = timeTicks(view, width);
  pen.textBaseline = "top";
  for (const tick of ticks) {
    const at = MARGIN.left + ((tick - view.from) / (view.to - view.from)) * (width - MARGIN.left - MARGIN.right);
    pen.fillStyle = ink.rule;
    pen.fillRect(Math.round(at), 0, 1, 5);
    pen.fillStyle = ink.quiet;
    pen.textAlign = at > width - 26 ? "right" : "center";
    pen.fillText(clockText(tick, digits), at, 7);
  }
}

function drawOverview(canvas, person, shown, view, duration, ranges, ink) {
  const { pen, width, height } = fitted(canvas, 34);
  const x = (t) => MARGIN.left + (t / duration) * (width - MARGIN.left - MARGIN.right);
  shade(pen, person, { from: 0, to: duration }, x, width, height, ink);
  shown.forEach((k) => {
    const y = (v) => 4 + ((ranges[k][1] - v) / (ranges[k][1] - ranges[k][0])) * (height - 8);
    pen.globalAlpha = 1;
    drawCurve(pen, person, k, { from: 0, to: duration }, x, y, width, ink.targets[k % ink.targets.length], false);
  });
  pen.globalAlpha = 0.16;
  pen.fillStyle = ink.ink;
  pen.fillRect(MARGIN.left, 0, x(view.from) - MARGIN.left, height);
  pen.fillRect(x(view.to), 0, width - MARGIN.right - x(view.to), height);
  pen.globalAlpha = 1;
  pen.strokeStyle = ink.accent;
  pen.lineWidth = 2;
  pen.strokeRect(x(view.from) + 1, 1, Math.max(4, x(view.to) - x(view.from)) - 2, height - 2);
}
