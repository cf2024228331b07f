// The page: one state (recording, person, time, view), changed here and drawn from here.

const sources = [...document.querySelectorAll("script.affect-video")];
const page = { video: null, person: null, clip: -1, time: 0, offset: 0, view: { from: 0, to: 1 }, fit: false, playable: false, choosePerson, seek, draw };
const player = setUpPlayer(page);
const noVideo = document.documentElement.dataset.video === "no";
const loaded = new Map();
let ink = colours(), lanes = [], pending = false;

function chooseVideo(number) {
  if (!loaded.has(number)) loaded.set(number, loadVideo(sources[number]));
  page.video = loaded.get(number);
  page.playable = !noVideo;
  page.time = 0;
  page.offset = page.video.offset;
  page.view = { from: 0, to: page.video.duration || 1 };
  $("title").textContent = page.video.name;
  document.title = page.video.name + " – affect over time";
  $("timeline").setAttribute("aria-valuemax", page.video.duration.toFixed(1));
  $("legend-band").hidden = page.video.models < 2;
  $("legend-mean").hidden = page.video.targets.every((target) => target.training_mean === null);
  $("screen").hidden = noVideo;
  $("top").classList.toggle("alone", noVideo);
  document.querySelectorAll(".player").forEach((item) => { item.hidden = noVideo; });
  if (!noVideo) player.show(page.video);
  buildPersons();
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
    const button = element("button", { type: "button", role: "radio", "data-track": person.track, "aria-checked": "false" }, person.label);
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
  if (low > high) return [target.low, target.high];
  if (!page.fit) return [Math.min(target.low, low), Math.max(target.high, high)];
  const room = Math.max(high - low, (target.high - target.low) / 50) * 0.1;
  return [low - room, high + room];
}

function buildLanes() {
  const height = Math.round(Math.max(60, Math.min(120, 400 / page.video.targets.length - 18)));
  const lane = (name, thin, tall) => {
    const canvas = element("canvas", { "data-height": tall, "aria-hidden": "true" });
    $("lanes").append(element("div", { class: thin ? "lane thin" : "lane" }, element("span", { class: "name" }, name), canvas));
    return canvas;
  };
  $("lanes").replaceChildren();
  lanes = page.video.targets.map((target, k) => {
    const canvas = lane(target.unit ? `${target.name} (${target.unit})` : target.name, false, height);
    canvas.previousSibling.style.color = `var(--t${k % RULES.targetColours})`;
    return canvas;
  });
  const looked = page.video.persons.some((person) => person.width > 1);
  lanes.axis = element("canvas", { "aria-hidden": "true" });
  $("lanes").append(element("div", { class: "lane" }, lanes.axis));
  lanes.coverage = lane("Share of frames with a face", true, STRIP_PX);
  lanes.looked = looked ? lane("Where the model looked for the clip at the cursor", true, STRIP_PX) : null;
}

function draw() {
  page.video.targets.forEach((target, k) => drawLane(lanes[k], page.person, k, target, page.view, page.ranges[k], ink));
  drawAxis(lanes.axis, page.view, ink);
  drawCoverage(lanes.coverage, page.person, page.view, ink);
  drawOverview($("overview"), page.person, page.video.targets, page.view, page.video.duration || 1, page.ranges, ink);
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
  if (lanes.looked) drawLooked(lanes.looked, page.person, page.clip, page.view, ink);
  if (!noVideo) drawBoxes(page);
}

// Move to time t. quiet: the recording is already there; follow: turn the page when the cursor leaves the view.
function seek(t, { quiet = false, follow = true, force = false } = {}) {
  page.time = Math.min(Math.max(0, t), page.video.duration || 0);
  const clip = clipAt(page.person, page.time), moved = clip !== page.clip || force;
  page.clip = clip;
  $("clock").textContent = `${clockText(page.time, 1)} / ${clockText(page.video.duration)}`;
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

// The beginning of the next stretch without a score or unlike the training recordings, round to the first.
function nextDoubt() {
  const person = page.person, doubtful = (i) => !person.said[i] || person.odd[i];
  const clips = person.start.length, from = above(person.start, page.time);
  for (let n = 0; n < clips; n++) {
    const i = (from + n) % clips;
    if (doubtful(i) && (i === 0 || !doubtful(i - 1))) return seek(person.middle[i]);
  }
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
