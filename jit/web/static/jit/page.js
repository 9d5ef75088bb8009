// What every page does: keep times true, run countdowns, switch the theme, copy, mask, counters.

const zone = document.body.dataset.zone || undefined;
const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" });

function clockText(at) {
  const day = (date) => date.toLocaleDateString("en-CA", { timeZone: zone });
  const today = day(at) === day(new Date());
  const options = today
    ? { hour: "2-digit", minute: "2-digit", second: "2-digit" }
    : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
        ...(at.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" }) };
  return at.toLocaleString("en-GB", { ...options, hourCycle: "h23", timeZone: zone, timeZoneName: "short" });
}

function relativeText(at) {
  const seconds = Math.round((at - Date.now()) / 1000);
  if (Math.abs(seconds) < 5) return "now";
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) || units[3];
  // "in 5 min. if nobody answers" would read as two sentences.
  return relative.format(Math.trunc(seconds / size), unit).replace(".", "");
}

function left(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

function tick() {
  for (const element of document.querySelectorAll("time[data-when]")) {
    const at = new Date(element.dateTime);
    const style = element.dataset.when;
    const text = style === "clock" ? clockText(at)
      : style === "relative" ? relativeText(at)
      : `${clockText(at)} · ${relativeText(at)}`;
    if (element.textContent !== text) element.textContent = text;
  }
  for (const element of document.querySelectorAll("time[data-countdown]")) {
    const seconds = Math.max(Math.ceil((new Date(element.dateTime) - Date.now()) / 1000), 0);
    const text = seconds ? left(seconds) : "over";
    if (element.textContent !== text) element.textContent = text;
    element.toggleAttribute("data-soon", seconds > 0 && seconds <= Number(element.dataset.countdown));
    element.toggleAttribute("data-over", seconds === 0);
  }
}
setInterval(tick, 1000);
tick();
document.addEventListener("htmx:load", tick);

export function say(text) {
  const line = document.createElement("div");
  line.className = "toast-line";
  line.textContent = text;
  document.getElementById("toasts").append(line);
  setTimeout(() => line.remove(), Math.max(4000, text.length * 80));
}

// A phone has no pointer to rest on a time: a tap says it in full.
document.addEventListener("click", (event) => {
  const time = event.target.closest("time[title]");
  if (time && !time.closest("a, button, summary, label")) say(time.title);
});

// The browser's own zone is offered once, where it is another than the one that times are shown in.
const zoneOffer = document.querySelector("[data-zone-offer]");
const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
const canonical = (name) => Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone;
function kept(value) {
  try { return value === undefined ? localStorage.getItem("zone") : localStorage.setItem("zone", value); } catch { return "unknown"; }
}
if (zoneOffer && here && canonical(zone) !== here && kept() === null) {
  zoneOffer.elements.timezone.value = here;
  zoneOffer.querySelector("[data-zone-here]").textContent = here;
  zoneOffer.hidden = false;
  zoneOffer.addEventListener("submit", () => kept(here));
}

// Theme: system → light → dark → system. A cookie, so that the server draws the right one.
const themes = ["system", "light", "dark"];
function showTheme(name) {
  if (name === "system") document.documentElement.removeAttribute("data-bs-theme");
  else document.documentElement.setAttribute("data-bs-theme", name);
  for (const label of document.querySelectorAll("[data-theme-switch] span")) label.textContent = `Theme: ${name}`;
}

const DOTS = "•".repeat(16);

const actions = {
  themeSwitch() {
    const now = document.documentElement.getAttribute("data-bs-theme") || "system";
    const next = themes[(themes.indexOf(now) + 1) % themes.length];
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `theme=${next}; path=/; max-age=31536000; SameSite=Lax${secure}`;
    showTheme(next);
  },
  menu(button) {
    const open = button.closest("[data-side]").classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
  },
  async copy(button) {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.dataset.value ?? source.textContent.trim());
      say("Copied");
    } catch {
      if (source.dataset.value) { source.textContent = source.dataset.value; source.removeAttribute("data-masked"); }
      getSelection().selectAllChildren(source);
      say("Press Ctrl+C to copy");
    }
  },
  reveal(button) {
    const source = document.getElementById(button.dataset.reveal);
    const masked = !source.toggleAttribute("data-masked");
    source.textContent = masked ? source.dataset.value : DOTS;
    source.tabIndex = masked ? 0 : -1;
    button.setAttribute("aria-pressed", String(masked));
    button.textContent = masked ? "Hide" : "Show";
  },
  zoneKeep() { kept(zone ?? ""); zoneOffer.hidden = true; },
  prints() { whole(); },
  opens(button) { document.getElementById(button.dataset.opens)?.showModal(); },
  closes(button) { button.closest("dialog")?.close(); },
};

document.addEventListener("click", (event) => {
  for (const [name, act] of Object.entries(actions)) {
    const attribute = `data-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    const button = event.target.closest(`[${attribute}]`);
    if (button) act(button);
  }
});

// Counters under long texts, and what a refusal points at gets the focus.
function count(area) {
  const counter = document.getElementById(`${area.id}-count`);
  if (counter) counter.textContent = `${[...area.value].length} / ${area.dataset.longest}`;
}
document.addEventListener("input", (event) => { if (event.target.dataset?.longest) count(event.target); });
document.addEventListener("htmx:load", (event) => {
  for (const area of event.target.querySelectorAll?.("[data-longest]") ?? []) count(area);
  event.target.querySelector?.("[data-problem]")?.focus?.();
});
for (const area of document.querySelectorAll("[data-longest]")) count(area);
document.querySelector("[data-problem]")?.focus();

// What somebody unfolded to read stays so in what replaces it. Forms don't: theirs may be another's.
const unfolded = new WeakMap();
const folds = (place) => [...place.querySelectorAll("details")]
  .filter((fold) => !fold.querySelector("form") && !fold.closest("form"));
document.addEventListener("htmx:beforeSwap", ({ detail: { target } }) => {
  if (target) unfolded.set(target, folds(target).map((fold) => fold.open));
});
document.addEventListener("htmx:afterSwap", ({ detail: { target } }) => {
  const were = unfolded.get(target) ?? [];
  if (were.some(Boolean)) folds(target).forEach((fold, place) => { fold.open ||= Boolean(were[place]); });
});

// On paper nothing can be unfolded: all is, and what that loads is waited for.
let folded = [];
function unfold() {
  folded = [...folded, ...folds(document).filter((fold) => !fold.open)];
  for (const fold of folded) fold.open = true;
}
async function whole() {
  unfold();
  const until = Date.now() + 10_000;
  do await new Promise((done) => setTimeout(done, 100));
  while (document.querySelector("main .htmx-request") && Date.now() < until);
  window.print();
}
addEventListener("beforeprint", unfold);
addEventListener("afterprint", () => { for (const fold of folded) fold.open = false; folded = []; });
document.addEventListener("keydown", (event) => {
  if (event.key !== "p" || !(event.ctrlKey || event.metaKey) || !document.querySelector("[data-prints]")) return;
  event.preventDefault();
  whole();
});

// A form is sent once; a second click while it is under way does nothing.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[hx-post],[hx-get]") || form.method === "get" || form.method === "dialog") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// htmx sends the CSRF mark as a header; a lost session leads to the sign-in page.
document.addEventListener("htmx:configRequest", (event) => {
  const mark = document.querySelector("[name=csrfmiddlewaretoken]")?.value || document.body.dataset.csrf;
  if (mark) event.detail.headers["X-CSRFToken"] = mark;
});
// A line that broke, or a fault on the way, tells nothing of what became of a change.
function unknown(event, happened) {
  const reading = event.detail.requestConfig.verb === "get";
  say(`${happened} ${reading ? "Try again." : "It is not known whether it arrived: look before you try again."}`);
}
document.addEventListener("htmx:sendError", (event) => unknown(event, "No answer from the server."));
document.addEventListener("htmx:responseError", (event) => {
  const reference = event.detail.xhr.getResponseHeader("X-Request-Id");
  unknown(event, `Something failed on our side${reference ? ` (reference ${reference})` : ""}.`);
});

// A refusal belongs beside what was refused: into the form's own place for it.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!event.detail.xhr.getResponseHeader("JIT-Problem")) return;
  const source = event.detail.requestConfig.elt;
  const place = source.querySelector("[data-problem-here]")
    ?? source.closest("article, section, li, .sheet, main")?.querySelector("[data-problem-here]");
  if (place) { event.detail.shouldSwap = true; event.detail.target = place; event.detail.swapOverride = "innerHTML"; }
});

// What was done is said by the answer that knows it (HX-Trigger): its card may be gone at once.
document.addEventListener("said", (event) => say(event.detail.value));
