// Playback: one fetch of the recording, a player that is made anew for each speed, jumps by second.
// With idle time skipped the player's clock runs differently from the session's; `played` and
// `original` turn one into the other.

const IDLE = 2;
const DARK = { terminalFontSize: "small", fit: "width", theme: "asciinema", controls: true };

function player(place) {
  const screen = place.querySelector("[data-player-screen]");
  const says = place.querySelector("[data-player-says]");
  const speed = place.querySelector("[data-speed]");
  const idle = place.querySelector("[data-idle]");
  let text = "", times = [], current;

  const limit = () => (idle.checked ? IDLE : Infinity);

  function read(cast) {
    let at = 0, shown = false;
    for (const line of cast.split("\n").slice(1)) {
      if (!line) continue;
      const [interval, code] = JSON.parse(line);
      at += interval;
      times.push(at);
      shown ||= code === "o";
    }
    return shown;
  }

  function played(original) {
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
      if (shown + step >= shownAt) return before + (shownAt - shown);
      shown += step;
      before = at;
    }
    return before;
  }

  // No poster: after one, what is sought before the first play is not drawn.
  async function build(second) {
    current?.dispose();
    screen.replaceChildren();
    current = window.AsciinemaPlayer.create({ data: text }, screen, {
      ...DARK, speed: Number(speed.value), preload: true,
      ...(idle.checked ? { idleTimeLimit: IDLE } : {}),
    });
    await seek(second);
    place.dataset.ready = "1";
  }

  // A line's time is that of its first letter, in whole milliseconds: a moment later it is there.
  const seek = (second) => current.seek(played(second + 0.1));

  async function jump(second) {
    if (!current) return;
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

  async function load() {
    const answer = await fetch(place.dataset.cast);
    if (!answer.ok) { says.textContent = "The recording can't be read now. Reload the page to try again."; return; }
    text = await answer.text();
    if (!read(text)) { says.textContent = "Nothing was shown on a screen. What was done is listed below."; place.dataset.ready = "1"; return; }
    const start = Math.min(Number(place.dataset.start || 0), times.at(-1) ?? 0);
    await build(start);
    if (start) jump(start);
  }
  load();
}

function live(place) {
  const screen = place.querySelector("[data-player-screen]");
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${place.dataset.livePlayer}`;
  screen.replaceChildren();
  window.AsciinemaPlayer.create({ driver: "websocket", url, bufferTime: 0.1 }, screen, { ...DARK, autoPlay: true });
  place.dataset.ready = "1";
}

for (const place of document.querySelectorAll("[data-player]")) player(place);
for (const place of document.querySelectorAll("[data-live-player]")) if (place.querySelector("[data-player-says]")) live(place);
