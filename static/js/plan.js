// The desk's day plan: a booking dragged to another time leads to the page that looks whether everybody is free; a tap
// on free time offers to book or block it. The same pages are reached by keyboard from the booking and the buttons above.
const table = document.querySelector(".plan[data-zone]");
const QUARTER = 15 * 60 * 1000;
const ROW = 5 * 60 * 1000;

/** The quarter hour under the pointer in a cell of free time. */
function under(cell, event) {
  const box = cell.getBoundingClientRect();
  const share = Math.min(0.999, Math.max(0, (event.clientY - box.top) / box.height));
  const at = Date.parse(cell.dataset.at) + share * Number(cell.dataset.rows) * ROW;
  return new Date(Math.floor(at / QUARTER) * QUARTER);
}

const spoken = (at) =>
  new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: table.dataset.zone }).format(at);

function clear() {
  for (const cell of table.querySelectorAll(".is-over")) {
    cell.classList.remove("is-over");
    cell.removeAttribute("data-drop");
  }
}

let dragged = null;

if (table) {
  table.addEventListener("dragstart", (event) => {
    const cell = event.target.closest?.("[data-move]");
    if (!cell) return;
    // Where in the claim it was taken: the claim's beginning goes to the drop, not the pointer.
    dragged = { move: cell.dataset.move, offset: Number(cell.dataset.offset) };
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", cell.dataset.move);
    cell.classList.add("is-dragged");
  });
  table.addEventListener("dragend", () => {
    dragged = null;
    clear();
    table.querySelector(".is-dragged")?.classList.remove("is-dragged");
  });
  table.addEventListener("dragover", (event) => {
    const cell = event.target.closest?.("[data-at]");
    if (!dragged || !cell) return;
    event.preventDefault();
    clear();
    cell.classList.add("is-over");
    cell.dataset.drop = spoken(under(cell, event));
  });
  table.addEventListener("drop", (event) => {
    const cell = event.target.closest?.("[data-at]");
    if (!dragged || !cell) return;
    event.preventDefault();
    const arrival = new Date(under(cell, event).getTime() - dragged.offset * 60 * 1000);
    location.assign(`${dragged.move}?to=${encodeURIComponent(arrival.toISOString())}`);
  });

  const dialog = document.querySelector("#plan-free");
  table.addEventListener("click", (event) => {
    const cell = event.target.closest(".plan-free");
    if (!cell || !dialog) return;
    const at = under(cell, event);
    dialog.querySelector("#plan-free-at").textContent = spoken(at);
    for (const link of dialog.querySelectorAll("[data-go]")) {
      const query = new URLSearchParams({ location: table.dataset.location });
      if (link.dataset.go === "book") query.set("starts_at", at.toISOString());
      else {
        query.set("at", at.toISOString());
        query.set("resource", cell.dataset.resource);
      }
      link.href = `${link.dataset.href}?${query}`;
    }
    dialog.showModal();
  });
}

// Today opens at this hour: in the evening the morning is scrolled away.
const hours = [...document.querySelectorAll(".plan[data-zone] .plan-time time")];
const begun = hours.filter((time) => Date.parse(time.dateTime) <= Date.now());
if (begun.length > 1 && begun.length < hours.length) {
  const row = begun.at(-2).closest("tr");
  row.closest(".plan-scroll").scrollTop = row.offsetTop - row.closest("table").tHead.offsetHeight;
}
