// Hints over one websocket: what is hinted at reads itself again. When the socket is down,
// everything that lives reads itself every 15 seconds instead.

const light = document.querySelector("[data-live-light] span");
let socket, wait = 500, fallback, asked = new Set(), unheard = [];
const pending = new Set();
let pressed;

const living = () => [...document.querySelectorAll("[data-watch]")];
const names = () => [...new Set(living().flatMap((element) => element.dataset.watch.split(" ")))];

// What somebody types, unfolded to answer, or has just been told of a refusal, is never swept away.
function busy(element) {
  const kept = element.querySelector("form[data-dirty], details[open] form, form details[open], dialog[open], [data-problem]");
  return Boolean(kept) || (element.contains(document.activeElement)
    && document.activeElement.matches("input:not([type=radio]), textarea, select"));
}

// A button that is replaced between press and release is never clicked.
const held = (element) => Boolean(pressed) && element.contains(pressed);

// What opening its <details> loads anyway needs nothing while that is closed.
const folded = (element) => element.closest("details:not([open])")
  && element.getAttribute("hx-trigger")?.includes("toggle");

function refresh(element) {
  if (folded(element)) return;
  // An answer on its way into it is newer than we are; look again once it is there.
  if (held(element) || element.querySelector(".htmx-request")) { setTimeout(() => element.isConnected && refresh(element), 200); return; }
  if (busy(element)) { element.setAttribute("data-stale", ""); return; }
  element.removeAttribute("data-stale");
  window.htmx.trigger(element, "hint");
}

function hinted(...ids) {
  const about = (element) => element.dataset.watch.split(" ").some((name) => ids.includes(name));
  readAgain(living().filter((element) => ids.includes("*") || about(element)));
}

function readAgain(elements) {
  for (const element of elements) pending.add(element);
  clearTimeout(readAgain.timer);
  readAgain.timer = setTimeout(() => {
    for (const element of pending) if (element.isConnected) refresh(element);
    pending.clear();
    document.documentElement.dataset.heard = "1";
  }, 120);
}

function show(text) { if (light) light.textContent = text; }

// Each name is asked for once a connection. What happened between the page's making and the
// server's "watching" was told to nobody: then whatever watches a new name reads itself once.
function watch() {
  const wanted = names().filter((name) => !asked.has(name));
  if (socket?.readyState !== WebSocket.OPEN || !wanted.length) return;
  for (const name of wanted) asked.add(name);
  unheard.push(wanted);
  socket.send(JSON.stringify({ watch: wanted }));
}

function connect() {
  if (!living().length) { show("Nothing live here"); return; }
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/live/`);
  socket.onopen = () => {
    clearInterval(fallback);
    show("Live");
    document.documentElement.dataset.live = "on";
    asked = new Set(); unheard = [];
    watch();
    wait = 500;
  };
  socket.onmessage = (event) => {
    const hint = JSON.parse(event.data);
    if (hint.about === "watching") hinted(...unheard.shift() ?? []);
    else if (hint.id) hinted(hint.id, "person", "operators");
    else hinted("*");
  };
  socket.onclose = (event) => {
    delete document.documentElement.dataset.live;
    if (event.code === 4401) {
      show("Signed out: reload the page");
      // Reading the page anew leads to the sign-in; half-written words are never thrown away.
      if (!living().some(busy)) location.reload();
      return;
    }
    show("Reconnecting");
    clearInterval(fallback);
    fallback = setInterval(() => hinted("*"), 15000);
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 15000);
  };
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-watch] form");
  if (form) form.dataset.dirty = "1";
});
document.addEventListener("htmx:beforeRequest", (event) => {
  if (!event.target.matches?.("form")) return;
  delete event.target.dataset.dirty;
  // What is being read would replace the form, and its answer would find no place: read later.
  const reading = event.target.closest("[data-watch].htmx-request");
  if (reading) { window.htmx.trigger(reading, "htmx:abort"); readAgain([reading]); }
});
// Somebody may have begun to type, or to press, after the reading began.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { elt, triggeringEvent } = event.detail.requestConfig ?? {};
  if (triggeringEvent?.type !== "hint" || triggeringEvent.detail?.wanted) return;
  if (!held(elt) && !busy(elt)) return;
  event.detail.shouldSwap = false;
  refresh(elt);
});
document.addEventListener("pointerdown", (event) => { pressed = event.target; });
// The click comes after the release, and may start a request: only then may it be replaced.
for (const end of ["pointerup", "pointercancel", "dragend"]) {
  document.addEventListener(end, () => setTimeout(() => { pressed = undefined; }));
}
window.addEventListener("blur", () => { pressed = undefined; });
document.addEventListener("click", (event) => {
  const living = event.target.closest("[data-show-fresh]")?.closest("[data-watch]");
  if (living) { living.removeAttribute("data-stale"); window.htmx.trigger(living, "hint", { wanted: true }); }
});
document.addEventListener("htmx:afterSettle", watch);

// What waits stands in the menu, the title and the icon: the page may be behind others.
const icon = document.querySelector("link[rel=icon]");
const plainIcon = icon?.href;
let drawing;
async function count() {
  const { asks, unread, total } = document.getElementById("bell")?.dataset ?? {};
  if (total === undefined) return;
  for (const [name, number] of Object.entries({ asks, unread, total })) {
    for (const place of document.querySelectorAll(`[data-count=${name}]`)) {
      place.firstElementChild.textContent = number;
      place.hidden = number === "0";
    }
  }
  document.title = `${total === "0" ? "" : `(${total}) `}${document.title.replace(/^\(\d+\) /, "")}`;
  if (!icon || icon.dataset.shows === total) return;
  icon.dataset.shows = total;
  if (total === "0") { icon.href = plainIcon; return; }
  drawing ??= fetch(plainIcon).then((answer) => answer.text());
  const number = `<text x="17.5" y="9.7" text-anchor="middle" font-family="sans-serif" font-weight="bold" font-size="9" fill="#fff">${total > 9 ? "9+" : total}</text>`;
  const badge = `<g stroke="none"><circle cx="17.5" cy="6.5" r="6.5" fill="#b3202c"/>${number}</g>`;
  icon.href = `data:image/svg+xml,${encodeURIComponent((await drawing).replace("</svg>", `${badge}</svg>`))}`;
}
document.addEventListener("htmx:afterSettle", (event) => { if (event.target.id === "bell") count(); });
count();
// What changes by the clock alone (ending soon, stuck) has no hint: it is read again now and then.
setInterval(() => {
  for (const element of document.querySelectorAll("[data-tick]")) if (!document.hidden) refresh(element);
}, 20000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) hinted("*"); });
connect();
