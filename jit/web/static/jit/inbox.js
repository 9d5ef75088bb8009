// The inbox by keyboard: j and k move, a approves, d denies (with a reason), o opens.

const inbox = document.querySelector("[data-inbox]");
const cards = () => [...inbox.querySelectorAll("[data-ask-card]")];
const current = () => document.activeElement.closest?.("[data-ask-card]");

function move(by) {
  const all = cards();
  if (!all.length) return;
  const at = all.indexOf(current());
  const next = all[Math.min(Math.max(at + by, 0), all.length - 1)] ?? all[0];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

// The first card is at hand at once.
if (document.activeElement === document.body) cards()[0]?.focus({ preventScroll: true });

// After a decision by keyboard the next card is at hand.
let byKeys = false;
document.addEventListener("pointerdown", () => { byKeys = false; });
document.addEventListener("htmx:afterSettle", () => {
  if (byKeys && !inbox.contains(document.activeElement)) cards()[0]?.focus();
});

document.addEventListener("keydown", (event) => {
  byKeys = true;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select, [contenteditable]")) {
    if (event.key === "Escape") current()?.focus();
    return;
  }
  const card = current();
  const acts = {
    j: () => move(1),
    k: () => move(-1),
    a: () => {
      const otp = card?.querySelector("[data-otp]");
      if (otp && !otp.value) otp.focus();
      else card?.querySelector("[data-approve]")?.click();
    },
    d: () => {
      const reason = card?.querySelector("[data-comment]");
      if (reason && !reason.value.trim()) reason.focus();
      else card?.querySelector("[data-deny]")?.click();
    },
    o: () => card?.querySelector("[data-open]")?.click(),
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  // What a key would decide is marked first: nobody approves a card by guess.
  if (!card && !"jk".includes(event.key)) move(0); else acts[event.key]();
});
