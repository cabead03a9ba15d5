// Asking for a change: a tap on the picture, or "Add a pin", makes a pin and its line of words. What is written is kept
// on this device until the studio has it, so a lost line, a closed page or a refusal costs no word.
import { putAt } from "./pins.js";

const PATIENCE = 20000; // milliseconds for an answer on a slow line
const form = document.querySelector("[data-change]");
if (form) begin();

function begin() {
  const picture = form.querySelector("[data-picture]");
  const pins = form.querySelector("[data-pins]");
  const rows = form.querySelector("[data-rows]");
  const sentence = form.querySelector("[data-sentence]");
  const blank = rows.querySelector(".pin-row").cloneNode(true);
  for (const field of blank.querySelectorAll("[name]")) field.value = field.defaultValue = "";
  let made = 0; // rows so far: each field has an id of its own
  const kept = `change ${form.getAttribute("action")}`;

  const valuesOf = (row) =>
    Object.fromEntries(["words", "x", "y"].map((name) => [name, row.querySelector(`[name=${name}]`).value]));
  const wishes = () => [...rows.children].map(valuesOf).filter((wish) => wish.words.trim());
  const keep = () => wishes().length ? stored("setItem", kept, JSON.stringify(wishes())) : stored("removeItem", kept);

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

  function addRow(words = "") {
    const row = blank.cloneNode(true);
    const number = ++made;
    for (const field of row.querySelectorAll("[id]")) {
      row.querySelector(`label[for="${field.id}"]`).htmlFor = `${field.name}-pin-${number}`;
      field.id = `${field.name}-pin-${number}`;
    }
    row.querySelector("[name=words]").value = words;
    rows.append(row);
    return row;
  }

  function add(x, y, words) {
    const row = addRow(words);
    row.classList.add("is-pinned");
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
      keep();
    });
    pin.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 0.05 : 0.01;
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!way) return;
      event.preventDefault();
      place(pin, pin.at.x + way[0] * step, pin.at.y + way[1] * step);
      keep();
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
      pin.addEventListener(name, () => (pin.removeEventListener("pointermove", move), keep()), { once: true });
    }
  }

  function restore() {
    const shown = wishes(); // after a refusal the page has them
    rows.replaceChildren();
    addRow();
    for (const { words, x, y } of shown.length ? shown : JSON.parse(stored("getItem", kept) ?? "[]")) {
      if (x !== "" && y !== "") add(x / 100, y / 100, words);
      else if (rows.firstElementChild.querySelector("textarea").value) addRow(words);
      else rows.firstElementChild.querySelector("textarea").value = words;
    }
  }

  async function send(event) {
    event.preventDefault();
    const button = form.querySelector("[data-send]");
    button.disabled = true;
    sentence.hidden = true;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new FormData(form),
        headers: { Accept: "application/json" },
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (!answer.ok || !answer.headers.get("content-type").includes("json")) {
        form.submit(); // the page says why, with the words in it
        return;
      }
      const { next } = await answer.json();
      stored("removeItem", kept);
      location.assign(next);
    } catch {
      sentence.textContent = form.dataset.offline;
      sentence.hidden = false;
    } finally {
      button.disabled = false;
    }
  }

  restore();
  form.addEventListener("input", keep);
  form.addEventListener("submit", send);
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

/** A browser may refuse storage altogether; the form works without. */
function stored(verb, ...words) {
  try {
    return localStorage[verb](...words);
  } catch {
    return null;
  }
}
