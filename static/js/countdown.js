// The time left of a hold. The instant is shown from the start, on the clock of whoever waits; the minutes only count
// down in the last five. Before their zone is known to the studio, their own time of the session is written here too.
import { clock, differs, mine, own } from "./clock.js";

const LAST = 5 * 60;

function show(box) {
  const left = Math.round((new Date(box.dataset.until) - Date.now()) / 1000);
  const time = box.querySelector("time");
  if (left <= 0) {
    box.classList.add("is-over");
    box.setAttribute("role", "alert");
    box.textContent = box.dataset.over;
    return;
  }
  if (left <= LAST) {
    box.classList.add("is-short");
    time.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  }
  setTimeout(() => show(box), 1000);
}

for (const box of document.querySelectorAll("[data-until]")) {
  box.querySelector("time").textContent = clock(new Date(box.dataset.until), mine);
  show(box);
}
for (const note of document.querySelectorAll("[data-own-time]")) {
  const at = new Date(note.dataset.ownTime);
  if (!differs(at, note.dataset.zoneHere)) continue;
  note.textContent = note.dataset.words.replace("%s", own(at, note.dataset.zoneHere));
  note.hidden = false;
}
for (const field of document.querySelectorAll("[data-zone]")) {
  field.value = mine ?? "";
}
