// Playback: one fetch for each part of the recording (all but long ones have one), a player that is
// made anew for each speed, jumps by second. Seconds are the session's. The player's clock begins with
// the part (`offset`), and skips idle time; `played` and `original` turn one into the other.

const IDLE = 2;
const CELL_WIDTH = 0.6, CELL_HEIGHT = 4 / 3;
const DARK = { terminalFontSize: "small", fit: "both", theme: "asciinema", controls: true };

// The screen takes the terminal's shape: a tall one (a phone's) would be drawn too small to read.
function shaped(current, screen) {
  const shape = ({ cols, rows }) => screen.style.setProperty("--shape", (cols * CELL_WIDTH) / (rows * CELL_HEIGHT));
  current.addEventListener("reset", ({ size }) => shape(size));
  current.addEventListener("resize", shape);
  return current;
}

function player(place) {
  const screen = place.querySelector("[data-player-screen]");
  const says = place.querySelector("[data-player-says]");
  const speed = place.querySelector("[data-speed]");
  const idle = place.querySelector("[data-idle]");
  const part = place.querySelector("[data-part]");
  const CONTINUES = "# continues at ";
  let text = "", times = [], offset = 0, next = null, current;

  const limit = () => (idle.checked ? IDLE : Infinity);

  function read(cast) {
    let at = 0, shown = false;
    times = [];
    next = null;
    for (const line of cast.split("\n").slice(1)) {
      if (!line) continue;
      if (line.startsWith(CONTINUES)) { next = Number(line.slice(CONTINUES.length)); continue; }
      const [interval, code] = JSON.parse(line);
      at += interval;
      times.push(at);
      shown ||= code === "o";
    }
    return shown;
  }

  function played(second) {
    const original = second - offset;
    let before = 0, skipped = 0;
    for (const at of times) {
      const wait = Math.min(at, original) - before - limit();
      if (wait > 0) skipped += wait;
      if (at >= original) break;
      before = at;
    }
    return Math.max(original - skipped, 0);
  }

  function original(shownAt) {
    let before = 0, shown = 0;
    for (const at of times) {
      const step = Math.min(at - before, limit());
      if (shown + step >= shownAt) return offset + before + (shownAt - shown);
      shown += step;
      before = at;
    }
    return offset + before;
  }

  // No poster: after one, what is sought before the first play is not drawn.
  async function build(second, play = false) {
    current?.dispose();
    screen.replaceChildren();
    current = shaped(window.AsciinemaPlayer.create({ data: text }, screen, {
      ...DARK, speed: Number(speed.value), preload: true,
      ...(idle.checked ? { idleTimeLimit: IDLE } : {}),
    }), screen);
    current.addEventListener("ended", () => { if (next !== null) fetched(next, true); });
    await seek(second);
    if (play) current.play();
    place.dataset.ready = "1";
  }

  // A line's time is that of its first letter, in whole milliseconds: a moment later it is there.
  const seek = (second) => current.seek(played(Math.min(second + 0.1, offset + (times.at(-1) ?? 0))));

  async function jump(second) {
    if (!current) return;
    if (second < offset || beyond(second)) await fetched(second);
    await seek(second);
    place.dataset.at = second;
    screen.scrollIntoView({ block: "nearest" });
  }

  async function again() {
    if (!current) return;
    build(original(await current.getCurrentTime()));
  }

  speed.addEventListener("change", again);
  // The clock is read before the change: afterwards the times mean something else.
  let stood = 0;
  const stand = async () => { if (current) stood = original(await current.getCurrentTime()); };
  idle.addEventListener("pointerdown", stand);
  idle.addEventListener("keydown", stand);
  idle.addEventListener("change", () => { if (current) build(stood); });
  document.addEventListener("click", (event) => {
    const seek = event.target.closest("[data-seek]");
    if (seek) jump(Number(seek.dataset.seek));
    const marker = event.target.closest("[data-marker]");
    if (marker && current) current.seek({ marker: marker.dataset.marker });
  });

  const clock = (second) => new Date(second * 1000).toISOString().slice(11, 19);

  function tell() {
    part.hidden = offset === 0 && next === null;
    const until = next === null ? "the end" : clock(next);
    place.querySelector("[data-part-says]").textContent = `A long recording: this is ${clock(offset)} to ${until}.`;
    place.querySelector("[data-part-first]").hidden = offset === 0;
    place.querySelector("[data-part-next]").hidden = next === null;
  }

  const beyond = (second) => next !== null && second >= next;

  // Fetches the part that begins with this second, and shows it there, or at a later one of its.
  async function fetched(second, play = false, at = second) {
    const answer = await fetch(second ? `${place.dataset.cast}?from=${second.toFixed(6)}` : place.dataset.cast);
    if (!answer.ok) { says.textContent = "The recording can't be read now. Reload the page to try again."; return false; }
    text = await answer.text();
    offset = second;
    const shown = read(text);
    if (next !== null) text = text.slice(0, text.lastIndexOf(CONTINUES));
    if (!shown && next === null && !second) { says.textContent = "Nothing was shown on a screen. What was done is listed below."; place.dataset.ready = "1"; return false; }
    place.dataset.from = second;
    tell();
    await build(beyond(at) ? second : Math.min(at, offset + (times.at(-1) ?? 0)), play);
    return true;
  }

  place.querySelector("[data-part-first]").addEventListener("click", () => fetched(0));
  place.querySelector("[data-part-next]").addEventListener("click", () => { if (next !== null) fetched(next); });

  async function load() {
    const wanted = Number(place.dataset.start || 0);
    if (await fetched(0, false, wanted) && wanted) jump(beyond(wanted) ? wanted : Math.min(wanted, times.at(-1) ?? 0));
  }
  load();
}

function live(place) {
  const screen = place.querySelector("[data-player-screen]");
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${place.dataset.livePlayer}`;
  screen.replaceChildren();
  shaped(window.AsciinemaPlayer.create({ driver: "websocket", url, bufferTime: 0.1 }, screen, { ...DARK, autoPlay: true }), screen);
  place.dataset.ready = "1";
}

function begin(part) {
  for (const place of part.querySelectorAll("[data-player]")) player(place);
  for (const place of part.querySelectorAll("[data-live-player]")) if (place.querySelector("[data-player-says]")) live(place);
}
begin(document);
// A session that was watched and has ended is replayed in its place.
document.addEventListener("htmx:afterSettle", ({ target }) => { if (target.id === "stage") begin(target); });
