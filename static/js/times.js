// Under each start time the client's own time, where their zone is another one than the studio's.
import { differs, own } from "./clock.js";

function show(root) {
  const note = root.querySelector("[data-own-zone]");
  if (!note) return;
  const zone = note.dataset.ownZone;
  const slots = [...root.querySelectorAll("button.slot")];
  if (!slots.some((slot) => differs(new Date(slot.value), zone))) return;
  note.hidden = false;
  for (const slot of slots) {
    const small = document.createElement("small");
    small.textContent = own(new Date(slot.value), zone);
    slot.append(small);
  }
}

document.documentElement.classList.add("has-script");
show(document);
document.addEventListener("htmx:afterSwap", (event) => show(event.target));
