// What the page says in words: the panel at the cursor, the summary, the table.

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) key === "style" ? made.style.cssText = value : made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function remark(person, i) {
  if (i < 0) return "no clip here";
  if (person.reason[i]) return RULES.reasons[person.reason[i]];
  return person.odd[i] ? "unlike the training recordings: do not rely on it" : "";
}

// A name that may be long: on two lines at most; all of it where it is pressed or the mouse rests, and for a screen reader.
function named(text) {
  return element("span", { class: "long", title: text }, text);
}

function fillPanel(page) {
  const { video, person, clip } = page;
  const rows = shownTargets(page).map((k) => {
    const target = video.targets[k], colour = `var(--t${k % RULES.targetColours})`;
    const value = clip < 0 ? NaN : person.mean[k][clip], spread = clip < 0 ? NaN : person.std[k][clip];
    const score = element("td", { class: "value" }, numberText(value, target)), side = beyond(target, value);
    if (!Number.isNaN(spread)) score.append(element("small", {}, " ± " + numberText(spread, target)));
    const name = element("th", { scope: "row" }, element("span", { class: "swatch", style: `background:${colour}` }), named(target.name));
    if (target.unit) name.append(element("small", { class: "unit", title: target.unit }, target.unit));
    return element("tr", {}, name, score,
      element("td", { class: "meter", title: target.scaled ? `Its scale: ${endTexts(target).join(" to ")}` : "No scale is known: from the least to the greatest in this recording" }, meter(target, value, spread, colour), side ? element("small", { class: "beyond" }, side) : ""));
  });
  $("values").replaceChildren(...rows);
  $("span").textContent = clip < 0 ? "No clip at this time" : `Clip ${clockText(person.start[clip], 1)} to ${clockText(person.end[clip], 1)}`;
  const doubt = remark(person, clip);
  $("trust").replaceChildren(clip < 0 ? "" : `Face in ${Math.round(person.coverage[clip] * 100)} % of the clip. `,
    doubt && clip >= 0 ? element("span", { class: "odd" }, doubt[0].toUpperCase() + doubt.slice(1) + ".") : "");
  fillAttention(person, clip);
}

// A value on its scale, with the numbers of both ends; an arrow where it lies beyond one.
function meter(target, value, spread, colour) {
  const [low, high] = target.ends, share = (v) => Math.min(100, Math.max(0, (100 * (v - low)) / (high - low)));
  const bar = element("div", { class: "scale" }), [least, most] = endTexts(target);
  if (!Number.isNaN(value)) {
    const side = beyond(target, value);
    if (spread > 0) bar.append(element("i", { style: `background:${colour};left:${share(value - spread)}%;width:${share(value + spread) - share(value - spread)}%` }));
    bar.append(element("b", { class: side.split(" ")[0], style: `background:${colour};left:${share(value)}%` }));
  }
  return element("div", { class: "ends", "aria-hidden": "true" }, element("small", {}, least), bar, element("small", {}, most));
}

function fillAttention(person, clip) {
  const known = person.width > 1;
  $("attention").hidden = !known;
  if (!known) return;
  const half = (person.width - 1) / 2, length = clip < 0 ? 0 : person.end[clip] - person.start[clip];
  $("bars").replaceChildren(...Array.from({ length: person.width }, (_, j) => {
    const raw = clip < 0 ? 255 : person.attention[clip * person.width + j];
    const percent = raw > 250 ? "–" : Math.round(raw / 2.5) + " %";
    const away = j === half ? "itself" : `${j < half ? "−" : "+"}${Math.abs((j - half) * length).toFixed(length < 2 ? 1 : 0)} s`;
    return element("div", j === half ? { class: "self" } : {}, element("i", { style: `height:${raw > 250 ? 0 : Math.round(raw / 250 * 42)}px` }), percent, element("br"), away);
  }));
}

function spoken(page) {
  const { video, person, clip } = page;
  const scores = clip < 0 ? [] : video.targets.map((target, k) => `${target.name} ${scoreText(person, k, clip, target)}`);
  return [`${clockText(page.time)} of ${clockText(video.duration)}`, ...scores, remark(person, clip)].filter(Boolean).join("; ");
}

function fillSummary(page) {
  const { video, person } = page, clips = person.start.length, said = person.said.reduce((sum, one) => sum + one, 0);
  const odd = person.odd.reduce((sum, one) => sum + one, 0);
  const paragraphs = [];
  if (!clips) paragraphs.push("No clip could be formed: the recording is too short, or nobody was seen.");
  else {
    const what = video.learnt ? "score" : "value";
    const share = person.coverage.reduce((sum, one) => sum + one, 0) / clips;
    paragraphs.push(`${person.label}: ${clips} clip${clips === 1 ? "" : "s"} over ${clockText(video.duration)}, face in ${Math.round(100 * share)} % of their frames; ` +
      (said === clips ? `every clip has a ${what}. ` : `${clips - said} without a ${what}. `) +
      (odd === said && odd ? `${said === 1 ? "The only scored clip is" : `All ${said} scored clips are`} unlike the training recordings: the scores may mean nothing.` : odd ? `Of the ${said} scored, ${odd} (${odd < said / 100 ? "under 1" : Math.round((100 * odd) / said)} %) are unlike the training recordings.` : person.judged ? "None is unlike the training recordings." : said && video.learnt ? "Whether they are like the training recordings is not known." : "") +
      (person.judged && video.range ? ` ${video.range[0].toUpperCase()}${video.range.slice(1)}.` : ""));
  }
  if (person.track >= 0) paragraphs.push(`${person.label} is track ${person.track} of this recording: the tables have the same number` + (video.learnt ? `, and --subject track:${person.track} chooses this person.` : "."));
  paragraphs.push(...video.warnings.map((text) => "Note: " + text));
  $("words").replaceChildren(...paragraphs.map((text) => element("p", {}, text)), ...(said ? [targetTable(page)] : []));
  $("table").open = false;
  $("rows").replaceChildren();
}

// Each target over the whole recording; the times lead there.
function targetTable(page) {
  const head = element("tr", {}, ...["Target", "Mean", "Least", "Greatest"].map((name) => element("th", { scope: "col" }, name)));
  const body = element("tbody", {}, ...page.video.targets.map((target, k) => {
    const { low, high, mean } = extremes(page.person.mean[k]);
    const scale = element("small", { class: "long" }, target.scaled ? endTexts(target).join(" to ") + (target.unit ? " " + target.unit : "") : [target.unit, "no scale known"].filter(Boolean).join("; "));
    return element("tr", {}, element("th", { scope: "row" }, named(target.name), scale), element("td", {}, numberText(mean, target)), place(page, k, low), place(page, k, high));
  }));
  return element("table", {}, element("thead", {}, head), body);
}

// Where the least and the greatest score are, -1 where there is none, and the mean.
function extremes(scores) {
  let low = -1, high = -1, sum = 0, count = 0;
  scores.forEach((value, i) => {
    if (Number.isNaN(value)) return;
    if (low < 0 || value < scores[low]) low = i;
    if (high < 0 || value > scores[high]) high = i;
    sum += value, count++;
  });
  return { low, high, mean: sum / count };
}

function place(page, k, i) {
  if (i < 0) return element("td", {}, "–");
  const time = page.person.middle[i], button = element("button", { type: "button", class: "at", title: "Go there" }, clockText(time));
  button.addEventListener("click", () => page.seek(time));
  return element("td", {}, element("span", {}, scoreText(page.person, k, i, page.video.targets[k])), " ", element("span", {}, "at ", button));
}

// At most 200 rows: longer recordings are averaged over equal steps, and the table says so.
function fillTable(page) {
  const { video, person } = page, clips = person.start.length, many = Math.max(1, Math.ceil(clips / 200));
  const head = element("tr", {}, ...["From", "To", ...video.targets.map((target) => target.name), "Face", "Remark"].map((name) => element("th", { scope: "col" }, name)));
  const body = element("tbody");
  for (let from = 0; from < clips; from += many) {
    const to = Math.min(clips, from + many), cells = [clockText(person.start[from], 1), clockText(person.end[to - 1], 1)];
    video.targets.forEach((target, k) => {
      const known = Array.from(person.mean[k].subarray(from, to)).filter((value) => !Number.isNaN(value));
      cells.push(many === 1 ? scoreText(person, k, from, target) : numberText(known.length ? known.reduce((a, b) => a + b) / known.length : NaN, target));
    });
    cells.push(Math.round((100 * person.coverage.subarray(from, to).reduce((a, b) => a + b)) / (to - from)) + " %");
    cells.push([...new Set(Array.from({ length: to - from }, (_, i) => remark(person, from + i)).filter(Boolean))].join("; "));
    body.append(element("tr", {}, ...cells.map((text) => element("td", {}, text))));
  }
  const title = many === 1 ? "Every clip" : `Means over ${many} clips a row; ${video.learnt ? "predictions" : "faces"}.csv has every clip`;
  $("rows").replaceChildren(element("table", {}, element("caption", {}, title), element("thead", {}, head), body));
}
