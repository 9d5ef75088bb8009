// The request page: a changed field asks for the ruling again; a picked role folds the others away.

const form = document.getElementById("ask");
const ruling = document.getElementById("ruling");
const ignored = new Set(["role_search"]);

function askAgain(event) {
  if (ruling && !ignored.has(event.target.name)) window.htmx.trigger(ruling, "ruling");
}
form.addEventListener("input", askAgain);
form.addEventListener("change", (event) => {
  // An answer to a search that is still under way would sweep the choice away.
  if (event.target.name === "role") window.htmx.trigger(form.elements.role_search, "htmx:abort");
  if (event.target.name === "duration_seconds") form.elements.other_minutes.value = "";
  askAgain(event);
});
// Minutes that were typed are what is asked for: no chip looks chosen beside them.
let unchosen = "";
form.elements.other_minutes.addEventListener("input", (event) => {
  for (const chip of form.querySelectorAll("#durations input[type=radio]")) {
    if (event.target.value === "") chip.checked ||= chip.value === unchosen;
    else if (chip.checked) { unchosen = chip.value; chip.checked = false; }
  }
});
// Enter in the search must not send the form: it moves to the first role found.
form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.target.name !== "role_search") return;
  event.preventDefault();
  const first = form.querySelector("#roles input[type=radio]:not(:disabled)");
  if (first) { first.checked = true; first.focus(); first.dispatchEvent(new Event("change", { bubbles: true })); }
});
// A click (not an arrow key) on a role folds the list to it.
form.addEventListener("click", (event) => {
  const radio = event.target.closest("#roles input[type=radio]");
  if (!radio || event.detail === 0) return;
  for (const choice of form.querySelectorAll("#roles .choice")) choice.hidden = choice !== radio.closest(".choice");
  if (!form.querySelector("[data-unfold]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm mt-2";
    button.dataset.unfold = "";
    button.textContent = "Show the other roles";
    form.querySelector("#roles").append(button);
  }
});
form.addEventListener("click", (event) => {
  const button = event.target.closest("[data-unfold]");
  if (!button) return;
  for (const choice of form.querySelectorAll("#roles .choice")) choice.hidden = false;
  button.remove();
  form.querySelector("#roles input:checked")?.focus();
});
