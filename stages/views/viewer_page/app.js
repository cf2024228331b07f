// The page: one state (recording, person, time, view), changed here and drawn from here.

const sources = [...document.querySelectorAll("script.affect-video")];
const page = { video: null, person: null, clip: -1, time: 0, offset: 0, view: { from: 0, to: 1 }, fit: false, playable: false, pictured: false, labels: [], hidden: null, choosePerson, seek, draw };
const MOST_SHOWN = 8, FIRST_SHOWN = 6; // curves: where there are more than so many, the first ones are shown at the start
const player = setUpPlayer(page);
const noVideo = document.documentElement.dataset.video === "no";
const loaded = new Map();
let ink = colours(), lanes = [], pending = false;

function chooseVideo(number) {
  if (!loaded.has(number)) loaded.set(number, loadVideo(sources[number]));
  page.video = loaded.get(number);
  page.time = 0;
  page.offset = page.video.offset;
  page.view = { from: 0, to: page.video.duration || 1 };
  $("title").textContent = $("title").title = page.video.name;
  document.title = page.video.name + " – affect over time";
  $("timeline").setAttribute("aria-valuemax", page.video.duration.toFixed(1));
  $("legend-band").hidden = page.video.models < 2;
  $("legend-mean").hidden = page.video.targets.every((target) => target.training_mean === null);
  $("screen").hidden = noVideo;
  $("top").classList.toggle("alone", noVideo);
  document.querySelectorAll(".player").forEach((item) => { item.hidden = noVideo; });
  if (!noVideo) player.show(page.video);
  $("legend-line").textContent = page.video.learnt ? "score, at the middle of its clip" : "value, at the middle of its stretch of time";
  $("legend-odd").hidden = page.video.range === null && !page.video.persons.some((person) => person.judged);
  const many = page.video.targets.length;
  if (page.hidden === null || page.hidden.size >= many) page.hidden = new Set(many > MOST_SHOWN ? Array.from({ length: many - FIRST_SHOWN }, (_, n) => FIRST_SHOWN + n) : []);
  buildPersons();
  buildCurves();
  buildLanes();
  const most = page.video.persons.reduce((best, person) => (person.start.length && person.face_time.length > best.face_time.length ? person : best), page.video.persons[0] || nobody());
  choosePerson(most.track);
}

function nobody() {
  const none = new Float64Array(0);
  return { track: 0, label: "Nobody", judged: false, width: 0, start: none, end: none, left: none, right: none, middle: none, hop: 1, coverage: none, odd: none, reason: none, attention: none,
    said: none, face_time: none, face_box: none, faceStep: 1, mean: page.video.targets.map(() => none), std: page.video.targets.map(() => none) };
}

function buildPersons() {
  const persons = page.video.persons;
  $("persons").hidden = persons.length < 2;
  $("persons").replaceChildren(...persons.map((person) => {
    const button = element("button", { type: "button", role: "radio", "data-track": person.track, "aria-checked": "false", title: `Track ${person.track} in the tables` }, person.label);
    button.addEventListener("click", () => choosePerson(person.track));
    return button;
  }));
}

function choosePerson(track) {
  page.person = page.video.persons.find((person) => person.track === track) || nobody();
  for (const button of $("persons").children) {
    const chosen = Number(button.dataset.track) === track;
    button.setAttribute("aria-checked", String(chosen));
    button.tabIndex = chosen ? 0 : -1;
  }
  page.ranges = page.video.targets.map((target, k) => laneRange(target, k));
  const said = page.person.said.some(Boolean);
  document.body.classList.toggle("silent", !said);
  $("silent").hidden = said;
  $("silent").textContent = said ? "" : `There is no curve to draw: ${[...new Set(Array.from(page.person.reason, (reason) => RULES.reasons[reason]).filter(Boolean))].join("; ") || "no clip could be formed"}.`;
  $("doubt-next").disabled = !doubts(page.person).length;
  fillSummary(page);
  hideHover();
  seek(page.time, { force: true });
  redraw();
}

// The scale of a lane: the target's own, or a little more than the curve with its band.
function laneRange(target, k) {
  let low = Infinity, high = -Infinity;
  page.person.mean[k].forEach((value, i) => {
    if (Number.isNaN(value)) return;
    const spread = page.person.std[k][i] || 0;
    low = Math.min(low, value - spread), high = Math.max(high, value + spread);
  });
  if (low > high) return target.ends;
  if (!page.fit) return [Math.min(target.ends[0], low), Math.max(target.ends[1], high)];
  const room = Math.max(high - low, (target.ends[1] - target.ends[0]) / 50) * 0.1;
  return [low - room, high + room];
}

function shownTargets() {
  return Array.from(page.video.targets.keys()).filter((k) => !page.hidden.has(k));
}

// A button for each curve, with its line as the overview draws it: what is switched off takes no room.
function buildCurves() {
  const targets = page.video.targets;
  $("curves").hidden = targets.length < 2;
  const buttons = targets.map((target, k) => {
    const button = element("button", { type: "button", "aria-pressed": String(!page.hidden.has(k)), title: target.name }, sample(k), element("span", {}, target.name));
    button.addEventListener("click", () => { page.hidden.has(k) ? page.hidden.delete(k) : page.hidden.add(k); curvesChanged(); });
    return button;
  });
  if (targets.length > MOST_SHOWN) {
    const all = element("button", { type: "button", "aria-pressed": "false" }, `All ${targets.length}`);
    all.addEventListener("click", () => { page.hidden = new Set(page.hidden.size ? [] : Array.from(targets.keys()).slice(FIRST_SHOWN)); curvesChanged(); });
    buttons.unshift(all);
  }
  $("curves").replaceChildren(...buttons);
}

function curvesChanged() {
  const buttons = [...$("curves").children], all = buttons.length > page.video.targets.length ? buttons.shift() : null;
  if (all) all.setAttribute("aria-pressed", String(!page.hidden.size));
  buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(!page.hidden.has(k))));
  buildLanes();
  fillPanel(page);
  redraw();
}

function sample(k) {
  const drawing = (name, attributes) => { const made = document.createElementNS("http://www.w3.org/2000/svg", name); for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value); return made; };
  const picture = drawing("svg", { width: 26, height: 8, "aria-hidden": "true" });
  picture.append(drawing("line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke: `var(--t${k % RULES.targetColours})`, "stroke-width": 2, "stroke-dasharray": dashes(k).join(" ") }));
  return picture;
}

function buildLanes() {
  const shown = shownTargets(), height = Math.round(Math.max(60, Math.min(120, 400 / shown.length - 18)));
  const lane = (name, kind, tall) => {
    const canvas = element("canvas", { "data-height": tall, "aria-hidden": "true" });
    $("lanes").append(element("div", { class: `lane ${kind}` }, element("span", { class: "name", title: name }, name), canvas));
    return canvas;
  };
  $("lanes").replaceChildren();
  lanes = shown.map((k) => {
    const target = page.video.targets[k];
    const canvas = lane(target.unit ? `${target.name} (${target.unit})` : target.name, "score", height);
    canvas.previousSibling.style.color = `var(--t${k % RULES.targetColours})`;
    return { canvas, k };
  });
  const weighed = page.video.persons.some((person) => person.width > 1);
  lanes.axis = element("canvas", { "aria-hidden": "true" });
  $("lanes").append(element("div", { class: "lane" }, lanes.axis));
  lanes.coverage = lane("Share of frames with a face", "thin", STRIP_PX);
  lanes.weights = weighed ? lane("How much each neighbouring clip counts in the score at the cursor", "thin weights", STRIP_PX) : null;
}

function draw() {
  for (const { canvas, k } of lanes) drawLane(canvas, page.person, k, page.video.targets[k], page.view, page.ranges[k], ink);
  drawAxis(lanes.axis, page.view, ink);
  drawCoverage(lanes.coverage, page.person, page.view, ink);
  drawOverview($("overview"), page.person, shownTargets(), page.view, page.video.duration || 1, page.ranges, ink);
  drawCursor();
}

function redraw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => {
    pending = false;
    draw();
  });
}

function plotX(t) {
  const width = $("timeline").clientWidth - MARGIN.left - MARGIN.right;
  return MARGIN.left + ((t - page.view.from) / (page.view.to - page.view.from)) * width;
}

function timeUnder(clientX, canvas = $("timeline"), view = page.view) {
  const area = canvas.getBoundingClientRect(), width = area.width - MARGIN.left - MARGIN.right;
  return view.from + ((clientX - area.left - MARGIN.left) / width) * (view.to - view.from);
}

function drawCursor() {
  const at = plotX(page.time), inside = page.time >= page.view.from - 1e-6 && page.time <= page.view.to + 1e-6;
  $("cursor").hidden = !inside;
  $("cursor").style.transform = `translateX(${at}px)`;
  if (lanes.weights) drawWeights(lanes.weights, page.person, page.clip, page.view, ink);
  if (!noVideo) drawBoxes(page);
}

// Move to time t. quiet: the recording is already there; follow: turn the page when the cursor leaves the view.
function seek(t, { quiet = false, follow = true, force = false } = {}) {
  page.time = Math.min(Math.max(0, t), page.video.duration || 0);
  const clip = clipAt(page.person, page.time), moved = clip !== page.clip || force;
  page.clip = clip;
  $("said").textContent = "";
  $("clock").textContent = `${clockText(page.time, 1)} / ${clockText(page.video.duration, 1)}`;
  if (moved) fillPanel(page);
  if (moved || !quiet) {
    $("timeline").setAttribute("aria-valuenow", page.time.toFixed(1));
    $("timeline").setAttribute("aria-valuetext", spoken(page));
  }
  if (!quiet && !noVideo) player.seek(page.time);
  const span = page.view.to - page.view.from;
  if (follow && (page.time > page.view.to || page.time < page.view.from)) show(page.time - span * 0.1, span); else drawCursor();
}

function show(from, span) {
  const whole = page.video.duration || 1, size = Math.min(whole, Math.max(span, Math.min(whole, page.person.hop * 4, 20)));
  const start = Math.min(Math.max(0, from), whole - size);
  page.view = { from: start, to: start + size };
  hideHover();
  redraw();
}

// Under a mouse that rests, another moment or person has come to lie: what was said no longer holds.
function hideHover() {
  $("hover").hidden = $("tip").hidden = true;
}

function zoom(factor, around = page.time) {
  const span = page.view.to - page.view.from, at = around < page.view.from || around > page.view.to ? (page.view.from + page.view.to) / 2 : around;
  const size = span * factor;
  show(at - ((at - page.view.from) / span) * size, size);
}

function step(clips) {
  const middle = page.person.middle;
  if (!middle.length) return seek(page.time + clips);
  const here = page.clip >= 0 ? page.clip : above(page.person.start, page.time) - (clips > 0 ? 1 : 0);
  seek(middle[Math.min(Math.max(0, here + clips), middle.length - 1)]);
}

// First clips of the stretches without a score or unlike the training recordings.
function doubts(person) {
  const doubtful = (i) => !person.said[i] || person.odd[i];
  return Array.from(person.start.keys()).filter((i) => doubtful(i) && (i === 0 || !doubtful(i - 1)));
}

// To the next of them; from the last one round to the first, and nowhere where there is no other.
function nextDoubt() {
  const all = doubts(page.person), middle = page.person.middle, next = all.find((i) => page.person.start[i] > page.time);
  if (next !== undefined) return seek(middle[next]);
  if (all.length > 1) seek(middle[all[0]]);
  $("said").textContent = all.length > 1 ? "From the first again." : all.length ? `No other: the only doubtful stretch begins at ${clockText(page.person.start[all[0]], 1)}.` : "No doubtful stretch.";
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  ink = colours();
  if (page.video) redraw();
}

function toggleTheme() {
  setTheme(document.documentElement.dataset.theme !== "dark");
}

function toggleFit() {
  page.fit = !page.fit;
  $("scale").setAttribute("aria-pressed", String(page.fit));
  page.ranges = page.video.targets.map(laneRange);
  redraw();
}

function toggleKeys() {
  $("keys").hidden = !$("keys").hidden;
  $("help").setAttribute("aria-expanded", String(!$("keys").hidden));
}

function nextPerson() {
  const persons = page.video.persons;
  if (persons.length > 1) choosePerson(persons[(persons.indexOf(page.person) + 1) % persons.length].track);
}
