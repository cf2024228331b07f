// Mouse, touch and keys.

const span = () => page.view.to - page.view.from;
const KEYS = {
  " ": () => player.toggle(), ArrowLeft: (event) => step(event.shiftKey ? -10 : -1), ArrowRight: (event) => step(event.shiftKey ? 10 : 1),
  ArrowDown: (event) => step(event.shiftKey ? -10 : -1), ArrowUp: (event) => step(event.shiftKey ? 10 : 1),
  Home: () => seek(0), End: () => seek(page.video.duration), PageUp: () => seek(page.time - span()), PageDown: () => seek(page.time + span()),
  "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "0": () => show(0, page.video.duration),
  n: nextDoubt, p: nextPerson, y: toggleFit, t: toggleTheme, "?": toggleKeys,
};

document.addEventListener("keydown", (event) => {
  const inside = event.target.closest("select, input, summary, #rows, button");
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  if (inside && (inside.tagName !== "BUTTON" || event.key === " ")) return;
  // Up and down scroll the page unless the timeline itself has the focus.
  if (["ArrowUp", "ArrowDown"].includes(event.key) && event.target !== $("timeline")) return;
  if (inside && inside.getAttribute("role") === "radio" && event.key.startsWith("Arrow")) { nextPerson(); document.querySelector("#persons [aria-checked=true]").focus(); }
  else KEYS[event.key](event);
  event.preventDefault();
});

const timeline = $("timeline"), fingers = new Map();
let pinch = null;

timeline.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  fingers.set(event.pointerId, event.clientX);
  timeline.setPointerCapture(event.pointerId);
  if (fingers.size === 2) pinch = { apart: apart(), view: { ...page.view }, at: timeUnder(centre()) };
  else seek(timeUnder(event.clientX));
});
timeline.addEventListener("pointermove", (event) => {
  if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event.clientX);
  if (pinch && fingers.size === 2) {
    const size = (pinch.view.to - pinch.view.from) * (pinch.apart / Math.max(20, apart()));
    show(pinch.at - ((pinch.at - pinch.view.from) / (pinch.view.to - pinch.view.from)) * size, size);
  } else if (fingers.size === 1 && fingers.has(event.pointerId)) seek(timeUnder(event.clientX), { follow: false });
  if (event.pointerType !== "touch") hover(event);
});
for (const name of ["pointerup", "pointercancel"])
  timeline.addEventListener(name, (event) => { fingers.delete(event.pointerId); pinch = null; });
timeline.addEventListener("pointerleave", hideHover);
timeline.addEventListener("dblclick", (event) => zoom(0.5, timeUnder(event.clientX)));
timeline.addEventListener("wheel", (event) => {
  if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY / 300), timeUnder(event.clientX));
  else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) show(page.view.from + ((event.deltaX || event.deltaY) / timeline.clientWidth) * span(), span());
  else return;
  event.preventDefault();
}, { passive: false });

// On a small screen what the scores are worth would fill it before anything else is seen.
function shortenWorth() {
  const worth = $("worth");
  if (!worth || innerWidth > 760 || worth.textContent.length < 250) return;
  const button = element("button", { type: "button", id: "worth-more", "aria-expanded": "false", "aria-controls": "worth" }, "Read all of it");
  worth.classList.add("brief");
  worth.after(button);
  button.addEventListener("click", () => button.setAttribute("aria-expanded", String(!worth.classList.toggle("brief"))));
}

function apart() { const [a, b] = fingers.values(); return Math.abs(a - b); }
function centre() { const [a, b] = fingers.values(); return (a + b) / 2; }

function hover(event) {
  const t = timeUnder(event.clientX), outside = t < page.view.from || t > page.view.to;
  $("hover").hidden = $("tip").hidden = outside;
  if (outside) return;
  const clip = clipAt(page.person, t), doubt = remark(page.person, clip);
  const lines = [element("div", { class: "time" }, clockText(t, 1), clip < 0 ? "" : element("span", {}, `clip ${clockText(page.person.start[clip], 1)}–${clockText(page.person.end[clip], 1)}`))];
  if (clip >= 0) {
    shownTargets().forEach((k) => { const target = page.video.targets[k]; lines.push(element("div", {}, element("span", { class: "long" }, target.name), element("span", {}, scoreText(page.person, k, clip, target)))); });
    lines.push(element("div", {}, element("span", {}, "face"), element("span", {}, Math.round(page.person.coverage[clip] * 100) + " %")));
  }
  if (doubt) lines.push(element("div", {}, doubt));
  const tip = $("tip");
  tip.replaceChildren(...lines);
  $("hover").style.transform = `translateX(${plotX(t)}px)`;
  const left = event.clientX + 14 + tip.offsetWidth > innerWidth ? event.clientX - 14 - tip.offsetWidth : event.clientX + 14;
  tip.style.left = Math.max(4, left) + "px";
  tip.style.top = Math.max(4, Math.min(innerHeight - tip.offsetHeight - 4, event.clientY + 14)) + "px";
}

const overview = $("overview");
overview.addEventListener("pointerdown", (event) => { overview.setPointerCapture(event.pointerId); pan(event); });
overview.addEventListener("pointermove", (event) => { if (event.buttons) pan(event); });
function pan(event) {
  show(timeUnder(event.clientX, overview, { from: 0, to: page.video.duration }) - span() / 2, span());
}

for (const [id, act] of Object.entries({ theme: toggleTheme, help: toggleKeys, scale: toggleFit, closer: () => zoom(0.5), further: () => zoom(2), whole: KEYS["0"], "doubt-next": nextDoubt }))
  $(id).addEventListener("click", act);
$("table").addEventListener("toggle", () => { if ($("table").open) fillTable(page); });
document.addEventListener("click", (event) => { const name = event.target.closest(".long"); if (name) name.classList.toggle("whole"); });
shortenWorth();
new ResizeObserver(redraw).observe(timeline);
const darkness = matchMedia("(prefers-color-scheme: dark)");
darkness.addEventListener("change", () => setTheme(darkness.matches));
setTheme(darkness.matches);

$("video-choice").hidden = sources.length < 2;
sources.forEach((source, number) => $("videos").append(element("option", { value: number }, source.dataset.name)));
$("videos").addEventListener("change", () => chooseVideo(Number($("videos").value)));
window.affect = page; // for a reader who wants the numbers in the console
if (sources.length) chooseVideo(0); else $("title").textContent = "No recording was scored";
