// Under each start time the client's own time, where their zone is another one than the studio's.
function own(root) {
  const note = root.querySelector("[data-own-zone]");
  if (!note) return;
  const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zone = note.dataset.ownZone;
  const read = (at, timeZone) =>
    new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", weekday: "short", timeZone }).format(at);
  const clock = (text) => text.split(/,? /).at(-1);
  const slots = [...root.querySelectorAll("button.slot")];
  const differs = slots.some((slot) => read(new Date(slot.value), mine) !== read(new Date(slot.value), zone));
  if (!differs) return;
  note.hidden = false;
  for (const slot of slots) {
    const small = document.createElement("small");
    const own = read(new Date(slot.value), mine);
    const here = read(new Date(slot.value), zone);
    small.textContent = own.slice(0, 3) === here.slice(0, 3) ? clock(own) : own; // the weekday only where it differs
    slot.append(small);
  }
}

document.documentElement.classList.add("has-script");
own(document);
document.addEventListener("htmx:afterSwap", (event) => own(event.target));
