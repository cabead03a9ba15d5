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

// What was ticked before htmx listened, on a slow line, or put back by the browser after a reload, counts as well: else
// the times, the price and the booking would be those without it.
function catchUp() {
  const form = document.querySelector("#choice");
  const isTicked = [...form.querySelectorAll("input")].some((box) => box.checked !== box.defaultChecked);
  const asItCame = (list) => Math.max(0, [...list.options].findIndex((count) => count.defaultSelected));
  const isCounted = [...form.querySelectorAll("select")].some((list) => list.selectedIndex !== asItCame(list));
  if (isTicked || isCounted) form.dispatchEvent(new Event("change", { bubbles: true }));
}

document.documentElement.classList.add("has-script");
show(document);
document.addEventListener("DOMContentLoaded", catchUp); // htmx, which stands before, listens by then
document.addEventListener("htmx:afterSwap", (event) => show(event.target));
