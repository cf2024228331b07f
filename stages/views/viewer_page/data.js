// Data of the page: one JSON element per recording, unpacked when it is first shown.

const $ = (id) => document.getElementById(id);
const RULES = JSON.parse($("affect-rules").textContent); // what every picture of scores shares
const KINDS = { f4: Float32Array, f8: Float64Array, u1: Uint8Array, i2: Int16Array };

function unpack(packed) {
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new KINDS[packed.kind](bytes.buffer);
}

function loadVideo(element) {
  const video = JSON.parse(element.textContent);
  video.persons = video.persons.map((person) => loadPerson(person, video.targets.length));
  video.targets.forEach((target, k) => setScale(target, video.persons.map((person) => person.mean[k])));
  return video;
}

// `ends`: the target's own scale, or where none is known the least and the greatest score of the recording.
function setScale(target, columns) {
  target.scaled = target.low !== null;
  let low = Infinity, high = -Infinity;
  if (!target.scaled) for (const scores of columns) for (const value of scores) if (!Number.isNaN(value)) low = Math.min(low, value), high = Math.max(high, value);
  target.ends = target.scaled ? [target.low, target.high] : low < high ? [low, high] : low === high ? [low - 1, high + 1] : [0, 1];
}

// On which side of its scale a value lies, where a number that is shown tells it.
function beyond(target, value) {
  const slack = RULES.slack * (target.ends[1] - target.ends[0]);
  if (!target.scaled || !(value < target.ends[0] - slack || value > target.ends[1] + slack)) return "";
  return value < target.ends[0] ? "below its scale" : "above its scale";
}

function loadPerson(packed, targets) {
  const person = { track: packed.track, label: packed.label[0].toUpperCase() + packed.label.slice(1), judged: packed.judged, width: packed.context };
  for (const name of ["start", "end", "left", "right", "coverage", "odd", "reason", "attention", "face_time", "face_box"])
    person[name] = unpack(packed[name]);
  const clips = person.start.length;
  const mean = unpack(packed.mean), std = unpack(packed.std);
  person.mean = [], person.std = [];
  for (let k = 0; k < targets; k++) {
    person.mean.push(mean.subarray(k * clips, (k + 1) * clips));
    person.std.push(std.subarray(k * clips, (k + 1) * clips));
  }
  person.middle = person.start.map((start, i) => (start + person.end[i]) / 2);
  person.hop = median(differences(person.middle)) || (clips ? person.end[0] - person.start[0] : 1);
  person.faceStep = median(differences(person.face_time)) || 1;
  person.said = new Uint8Array(clips); // has any target a number here?
  for (const scores of person.mean) for (let i = 0; i < clips; i++) if (!Number.isNaN(scores[i])) person.said[i] = 1;
  return person;
}

function differences(values) {
  return values.length < 2 ? new Float64Array(0) : Float64Array.from({ length: values.length - 1 }, (_, i) => values[i + 1] - values[i]);
}

function median(values) {
  return values.length ? Float64Array.from(values).sort()[values.length >> 1] : 0;
}

// First position whose value is above `limit`, in a sorted array.
function above(sorted, limit) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const half = (low + high) >> 1;
    if (sorted[half] > limit) high = half; else low = half + 1;
  }
  return low;
}

// The clip that stands for time t, or -1 between clips.
function clipAt(person, t) {
  const i = above(person.left, t) - 1;
  return i >= 0 && (t < person.right[i] || (i === person.left.length - 1 && t <= person.right[i])) ? i : -1;
}

// The face's box at time t, between two kept frames in proportion; null where the face was not seen.
function boxAt(person, t) {
  const after = above(person.face_time, t), before = after - 1;
  const times = person.face_time, boxes = person.face_box, reach = person.faceStep * RULES.joinedWithin;
  if (before < 0) return null;
  const last = after >= times.length || times[after] - times[before] > reach;
  if (last && t - times[before] > person.faceStep) return null;
  const share = last ? 0 : (t - times[before]) / (times[after] - times[before] || 1);
  return [0, 1, 2, 3].map((c) => boxes[before * 4 + c] * (1 - share) + boxes[(last ? before : after) * 4 + c] * share);
}

// Words for numbers.
function clockText(t, digits = 0) {
  const whole = Math.max(0, digits ? Math.round(t * 10) / 10 : Math.floor(t + 1e-6));
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60, seconds = whole % 60;
  const pad = (value, size) => String(value).padStart(size, "0");
  const tail = digits ? seconds.toFixed(1).padStart(4, "0") : pad(Math.floor(seconds), 2);
  return hours ? `${hours}:${pad(minutes, 2)}:${tail}` : `${minutes}:${tail}`;
}

// To as many places as the scale is fine.
function numberText(value, target) {
  const size = target.ends[1] - target.ends[0];
  let places = 0;
  while (size <= 40 / 10 ** places && places < 6) places++;
  return Number.isNaN(value) ? "–" : plainText(value.toFixed(places));
}

function endTexts(target) {
  return target.scaled ? target.ends.map(plainText) : target.ends.map((end) => numberText(end, target));
}

// A number with a minus sign instead of a hyphen, and none before a zero.
function plainText(value) {
  return String(value).replace(/^-/, Number(value) === 0 ? "" : "−");
}

function scoreText(person, k, i, target) {
  if (i < 0 || Number.isNaN(person.mean[k][i])) return "–";
  const spread = person.std[k][i];
  return numberText(person.mean[k][i], target) + (Number.isNaN(spread) ? "" : " ± " + numberText(spread, target));
}
