// The recording: playing it, and the faces drawn over it. Times here are the scores' own; `offset` turns them into the player's.

function setUpPlayer(page) {
  const player = $("video");
  const say = (text) => { $("trouble").hidden = !text; $("trouble").textContent = text; };
  $("file").addEventListener("change", () => {
    const file = $("file").files[0];
    if (file) { player.src = URL.createObjectURL(file); hearFirstPicture(); playable(true); say(""); }
  });
  player.addEventListener("error", () => {
    if (!page.video.source && !$("file").files.length) return;
    pictured(false);
    playable(false);
    say("The recording does not play here: it was moved, or this browser cannot decode it. The curves below are complete.");
    $("chooser").hidden = false;
  });
  // Browsers differ in where a file's clock begins when its streams do not begin at zero. The first picture says it
  // exactly; until it does, or where it cannot, the place where the player stands after loading is taken.
  player.addEventListener("loadeddata", () => {
    pictured(true);
    page.offset = player.currentTime + page.video.offset;
    if (page.time > 0) player.currentTime = page.time + page.offset;
  });
  function hearFirstPicture() {
    if (!player.requestVideoFrameCallback) return;
    player.requestVideoFrameCallback((now, picture) => { if (page.time === 0) page.offset = picture.mediaTime; });
  }
  player.addEventListener("play", () => { playing(true); requestAnimationFrame(tick); });
  player.addEventListener("pause", () => { playing(false); page.seek(playerTime(), { quiet: true }); });
  player.addEventListener("seeked", () => drawBoxes(page));
  player.addEventListener("click", toggle);
  $("boxes").addEventListener("click", (event) => {
    const track = personUnder(page, event);
    if (track === null) toggle(); else page.choosePerson(track);
  });
  $("play").addEventListener("click", toggle);

  // Without a picture there is neither a black stage nor a face box on it.
  function pictured(now) {
    page.pictured = now;
    $("stage").hidden = !now;
    if (now) drawBoxes(page);
  }
  function playable(now) { page.playable = now; $("play").disabled = !now; }
  function playing(now) {
    $("play").textContent = now ? "❚❚ Pause" : "▶ Play";
    $("play").setAttribute("aria-label", now ? "Pause" : "Play");
  }
  function playerTime() { return player.currentTime - page.offset; }
  function toggle() {
    if (!page.playable) return;
    if (player.paused) player.play().catch(() => say("The recording does not play here.")); else player.pause();
  }
  function tick() {
    if (player.paused || player.ended) return;
    page.seek(playerTime(), { quiet: true, follow: true });
    requestAnimationFrame(tick);
  }
  return {
    toggle,
    show(video) {
      player.pause();
      say("");
      page.pictured = false;
      $("stage").hidden = !video.source;
      playable(Boolean(video.source));
      $("chooser").hidden = video.source !== null;
      if (video.source) { player.src = video.source; hearFirstPicture(); } else player.removeAttribute("src");
      player.setAttribute("aria-label", "Recording " + video.name);
    },
    seek(t) { if (player.readyState > 0) player.currentTime = Math.min(Math.max(0, t + page.offset), player.duration || Infinity); },
  };
}

// Where the picture lies in its element (it is fitted, with black beside it).
function picture(page) {
  const box = $("stage").getBoundingClientRect(), player = $("video");
  const wide = page.video.width || player.videoWidth || 16, high = page.video.height || player.videoHeight || 9;
  const scale = Math.min(box.width / wide, box.height / high);
  return { scale, left: (box.width - wide * scale) / 2, top: (box.height - high * scale) / 2 };
}

function drawBoxes(page) {
  const canvas = $("boxes");
  if (!canvas.clientWidth) return;
  const { pen } = fitted(canvas, canvas.clientHeight), frame = picture(page);
  page.labels = [];
  if (!page.pictured) return;
  const seen = page.video.persons.map((person) => ({ person, box: boxAt(person, page.time), chosen: person === page.person })).filter((one) => one.box);
  for (const one of seen) one.box = one.box.map((value, c) => value * frame.scale + (c % 2 ? frame.top : frame.left));
  seen.sort((a, b) => a.chosen - b.chosen); // the chosen one over the others
  for (const { box: [left, top, right, bottom], chosen } of seen) {
    // Dark under light: seen on any picture.
    for (const [colour, width] of [["rgba(0,0,0,.6)", chosen ? 5 : 3], [RULES.faceBoxes[chosen ? 0 : 1], chosen ? 2.5 : 1.25]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.strokeRect(left, top, right - left, bottom - top);
    }
  }
  if (page.video.persons.length > 1) for (const one of seen.reverse()) drawLabel(pen, one, page.labels, canvas.clientWidth, canvas.clientHeight);
}

// A person's name at the box, or the number alone, where it covers no other; else the box stays without.
function drawLabel(pen, { person, box: [left, top, , bottom], chosen }, labels, width, height) {
  pen.font = (chosen ? "600 " : "") + "12px system-ui, sans-serif";
  for (const words of [person.label, String(person.track)]) {
    const wide = pen.measureText(words).width + 8, x = Math.min(Math.max(0, left), width - wide);
    for (const y of [top - 18, bottom + 2, top + 2]) {
      const free = y >= 0 && y + 16 <= height && labels.every((other) => x >= other.x + other.wide || other.x >= x + wide || y >= other.y + 16 || other.y >= y + 16);
      if (!free) continue;
      labels.push({ words, x, y, wide });
      pen.fillStyle = "rgba(0,0,0,.65)";
      pen.fillRect(x, y, wide, 16);
      pen.fillStyle = RULES.faceBoxes[chosen ? 0 : 1];
      pen.textBaseline = "middle";
      pen.fillText(words, x + 4, y + 8);
      return;
    }
  }
}

function personUnder(page, event) {
  const area = $("boxes").getBoundingClientRect(), frame = picture(page);
  const x = (event.clientX - area.left - frame.left) / frame.scale, y = (event.clientY - area.top - frame.top) / frame.scale;
  const hit = page.video.persons.find((person) => {
    const box = boxAt(person, page.time);
    return box && x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
  });
  return hit && hit !== page.person ? hit.track : null;
}
