// Asking for a change: a tap on the picture, or "Add a pin", makes a pin and its line of words.
import { putAt } from "./pins.js";

const form = document.querySelector("[data-change]");
if (form) begin();

function begin() {
  const picture = form.querySelector("[data-picture]");
  const pins = form.querySelector("[data-pins]");
  const rows = form.querySelector("[data-rows]");
  const blank = rows.querySelector(".pin-row").cloneNode(true);
  for (const spare of rows.querySelectorAll("[data-spare]")) spare.remove();

  const renumber = () => {
    [...pins.children].forEach((pin, index) => {
      pin.dataset.number = index + 1;
      pin.setAttribute("aria-label", form.dataset.pinWords.replace("%number", index + 1));
      const label = pin.row.querySelector("[data-row-label]");
      label.textContent = label.dataset.rowLabel.replace("%number", index + 1);
    });
  };

  function place(pin, x, y) {
    const inside = (value) => Math.min(Math.max(value, 0), 1);
    Object.assign(pin, { at: { x: inside(x), y: inside(y) } });
    putAt(pin, pin.at.x, pin.at.y);
    pin.row.querySelector("[name=x]").value = (pin.at.x * 100).toFixed(2);
    pin.row.querySelector("[name=y]").value = (pin.at.y * 100).toFixed(2);
  }

  function add(x, y) {
    const row = blank.cloneNode(true);
    const number = rows.children.length + 1;
    for (const field of row.querySelectorAll("[id]")) {
      row.querySelector(`label[for="${field.id}"]`).htmlFor = `${field.name}-pin-${number}`;
      field.id = `${field.name}-pin-${number}`;
    }
    row.classList.add("is-pinned");
    rows.append(row);
    const pin = document.createElement("button");
    pin.type = "button";
    pin.className = "pin";
    pin.row = row;
    pins.append(pin);
    place(pin, x, y);
    const remove = row.querySelector("[data-remove]");
    remove.hidden = false;
    remove.addEventListener("click", () => {
      pin.remove();
      row.remove();
      renumber();
    });
    pin.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 0.05 : 0.01;
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!way) return;
      event.preventDefault();
      place(pin, pin.at.x + way[0] * step, pin.at.y + way[1] * step);
    });
    pin.addEventListener("click", () => row.querySelector("textarea").focus());
    pin.addEventListener("pointerdown", (event) => drag(pin, event));
    renumber();
    return pin;
  }

  function drag(pin, start) {
    pin.setPointerCapture(start.pointerId);
    const move = (event) => {
      const box = picture.getBoundingClientRect();
      place(pin, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    };
    pin.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) {
      pin.addEventListener(name, () => pin.removeEventListener("pointermove", move), { once: true });
    }
  }

  picture.addEventListener("click", (event) => {
    if (event.target.closest(".pin")) return;
    const box = picture.getBoundingClientRect();
    const pin = add((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    pin.row.querySelector("textarea").focus({ preventScroll: matchMedia("(min-width: 60rem)").matches });
  });
  const button = form.querySelector("[data-add]");
  button.addEventListener("click", () => add(0.5, 0.4).focus());
  button.hidden = false; // shown once it does something
}
