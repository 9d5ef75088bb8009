// The web terminal: xterm.js before one line to the gateway, which outlives this page by a minute.
// Bytes are binary frames; all else is JSON (see sessions/consumers/terminal.py).

import { say } from "./page.js";

const sheet = document.querySelector("[data-terminal]");
const screen = sheet.querySelector("[data-screen]");
const light = document.querySelector("[data-line]");
const overSheet = sheet.querySelector("[data-over-sheet]");
const key = `terminal:${sheet.dataset.terminal}:${sheet.dataset.host}`;
const OVER = 4410, ELSEWHERE = 4421, TAKEN_OVER = 4409, SIGNED_OUT = 4401;
const KEPT = 60_000, ACKNOWLEDGE = 32 * 1024, LONGEST = 64 * 1024;
const KEYS = { escape: "\x1b", tab: "\t", "ctrl-c": "\x03", "ctrl-d": "\x04", up: "\x1b[A", down: "\x1b[B", left: "\x1b[D", right: "\x1b[C" };

const terminal = new window.Terminal({
  cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  fontSize: innerWidth < 600 ? 12 : 14,
  lineHeight: 1.2, // Without it DejaVu's underscores fall below the row and can't be seen.
  scrollback: 5000,
  screenReaderMode: false,
  theme: { background: "#101418", foreground: "#e6e8eb", cursor: "#76b6fa" },
});
const fit = new window.FitAddon.FitAddon();
terminal.loadAddon(fit);
terminal.open(screen);
fit.fit();
terminal.focus();

let socket, received = 0, drawn = 0, told = 0, downSince = 0, finished = false;
let ticket = "";
let fresh = true; // A page just loaded shows nothing of what was said before.
const encoder = new TextEncoder();

function show(text) { light.textContent = text; }

function remember() {
  try {
    if (ticket) sessionStorage.setItem(key, ticket); else sessionStorage.removeItem(key);
  } catch { /* Without storage a reload opens a new terminal; nothing else is lost. */ }
}

function send(data) { if (socket?.readyState === WebSocket.OPEN) socket.send(data); }

function over(why) {
  finished = true;
  ticket = "";
  remember();
  show("Closed");
  overSheet.querySelector("[data-why]").textContent = why;
  overSheet.hidden = false;
  // Not its button: a key that was meant for the shell must not open a new one.
  overSheet.firstElementChild.focus();
}

function address() {
  const asked = new URLSearchParams({ host: sheet.dataset.host, columns: terminal.cols, rows: terminal.rows });
  if (ticket) { asked.set("ticket", ticket); if (!fresh) asked.set("have", received); }
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/terminal/${sheet.dataset.terminal}/?${asked}`;
}

function drew(bytes) {
  drawn += bytes;
  if (drawn - told >= ACKNOWLEDGE || drawn === received) { told = drawn; send(JSON.stringify({ have: drawn })); }
}

function heard(message) {
  if (message.data instanceof ArrayBuffer) {
    const bytes = new Uint8Array(message.data);
    received += bytes.length;
    terminal.write(bytes, () => drew(bytes.length));
    return;
  }
  const said = JSON.parse(message.data);
  if (said.ticket) { ticket = said.ticket; remember(); }
  if ("from" in said) { received = drawn = told = said.from; fresh = false; }
  if (said.over) over(said.over);
}

function connect() {
  socket = new WebSocket(address());
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    show("Connected");
    downSince = 0;
    sheet.dataset.state = "on";
    sheet.dataset.times = Number(sheet.dataset.times || 0) + 1;
  };
  socket.onmessage = heard;
  socket.onclose = (event) => {
    sheet.dataset.state = "off";
    if (finished) return;
    if (event.code === SIGNED_OUT) { over("You are signed out. Sign in, then open a new terminal."); return; }
    if (event.code === TAKEN_OVER) { over("Another page of yours took this terminal up."); return; }
    if (event.code === OVER) return;
    downSince ||= Date.now();
    if (!ticket || Date.now() - downSince > KEPT) { over("The line to the server broke and did not come back in time."); return; }
    show(event.code === ELSEWHERE ? "Looking for your terminal…" : "The line is away. Reconnecting to the same session…");
    setTimeout(connect, event.code === ELSEWHERE ? 250 : 1000);
  };
}

terminal.onData((text) => {
  if (socket?.readyState !== WebSocket.OPEN) { if (!finished) say("The line is away: nothing was typed."); return; }
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length; at += LONGEST) send(bytes.subarray(at, at + LONGEST));
});
terminal.onBinary((text) => send(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
terminal.onResize(({ cols, rows }) => send(JSON.stringify({ size: [cols, rows] })));
terminal.attachCustomKeyEventHandler((event) => {
  if (event.type === "keydown" && event.ctrlKey && event.shiftKey && event.key === "ArrowUp") {
    document.querySelector("#bar a, #bar button")?.focus();
    return false;
  }
  return true;
});
new ResizeObserver(() => { if (screen.clientWidth) fit.fit(); }).observe(screen);

document.addEventListener("click", (event) => {
  const pressed = event.target.closest("[data-key]");
  if (pressed) { terminal.input(KEYS[pressed.dataset.key]); terminal.focus(); }
  if (event.target.closest("[data-again]")) {
    overSheet.hidden = true;
    finished = false;
    fresh = true;
    downSince = 0;
    terminal.reset();
    terminal.focus();
    connect();
  }
});

// What a person at another window must hear: the two warnings, once each.
let last = Infinity;
setInterval(() => {
  const ends = document.querySelector("#bar time[data-countdown]");
  if (!ends || finished) return;
  const left = (new Date(ends.dateTime) - Date.now()) / 1000;
  for (const [seconds, words] of [[300, "5 minutes"], [60, "1 minute"]]) {
    if (left <= seconds && last > seconds && left > seconds - 30) say(`${words} left: extend, or finish what you do.`);
  }
  last = left;
}, 1000);

try { ticket = sessionStorage.getItem(key) ?? ""; } catch { ticket = ""; }
// For the browser's own tools, and the tests: what is shown, and the line it comes by.
window.jitTerminal = terminal;
window.jitSocket = () => socket;
connect();
