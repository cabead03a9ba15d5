// The crop tool: the frame follows the sliders, the pointer and the keys; guides say how the head stands in it.
import { isTyping } from "./room.js";

const root = document.querySelector("[data-crop]");
const form = root.querySelector("[data-fields]");
const frame = root.querySelector("[data-frame]");
if (form && frame) begin();

function begin() {
  const fact = Object.fromEntries(
    Object.entries(root.dataset).map(([name, value]) => [name, Number.isNaN(Number(value)) ? value : Number(value)]),
  );
  const field = (name) => form.elements[name];
  const get = (name) => Number(field(name).value);

  /** Keep the crop inside the picture, draw it, and say what is wrong with it. */
  function draw() {
    const widest = Math.min(100, 100 * fact.aspect); // as high as the picture
    if (get("width") > widest) field("width").value = widest;
    const width = get("width");
    const height = width / fact.aspect;
    field("left").value = Math.min(get("left"), 100 - width);
    field("top").value = Math.min(get("top"), 100 - height);
    const values = { x: get("left"), y: get("top"), w: width, h: height };
    for (const [name, value] of Object.entries(values)) frame.style.setProperty(`--crop-${name}`, `${value}%`);
    frame.style.setProperty("--crop-turn", `${get("rotation")}deg`);
    const band = root.querySelector("[data-band]");
    band.style.setProperty("--band-top", `${fact.low * 100}%`);
    band.style.setProperty("--band-size", `${(fact.high - fact.low) * 100}%`);
    for (const output of form.querySelectorAll("output")) {
      const name = output.htmlFor[0].slice(2);
      output.textContent = name === "rotation" ? `${get(name).toFixed(1)}°` : `${get(name).toFixed(1)} %`;
    }
    advise(get("top") / 100, height / 100);
  }

  function advise(top, height) {
    const eyes = root.querySelector("[data-eyes]");
    const warning = root.querySelector("[data-warning]");
    if (!("eyes" in fact)) return;
    const line = (fact.eyes - top) / height;
    eyes.hidden = line < 0 || line > 1;
    eyes.style.setProperty("--eyes", `${line * 100}%`);
    const missing = Math.round((fact.roomy * height - (fact.crown - top)) * fact.pixels);
    const said = [];
    if (missing > 0) said.push(root.dataset.sayMissing.replace("%n", missing));
    if (line < fact.low - 0.005) said.push(root.dataset.sayHigh);
    if (line > fact.high + 0.005) said.push(root.dataset.sayLow);
    warning.textContent = said.join(" ");
    warning.hidden = !said.length;
  }

  function set(values) {
    for (const [name, value] of Object.entries(values)) field(name).value = value;
    if (!("preset" in values)) field("preset").value = "";
    draw();
  }

  form.addEventListener("input", () => set({}));

  // --- the pointer
  frame.addEventListener("pointerdown", (start) => {
    start.preventDefault();
    const isCorner = start.target.closest("[data-corner]");
    const box = root.querySelector("[data-picture]").getBoundingClientRect();
    const before = { left: get("left"), top: get("top"), width: get("width") };
    frame.setPointerCapture(start.pointerId);
    const move = (event) => {
      const dx = ((event.clientX - start.clientX) / box.width) * 100;
      const dy = ((event.clientY - start.clientY) / box.height) * 100;
      if (isCorner) {
        const room = Math.min(100 - before.left, (100 - before.top) * fact.aspect);
        set({ width: Math.min(before.width + Math.max(dx, dy * fact.aspect), room) });
      } else set({ left: Math.max(0, before.left + dx), top: Math.max(0, before.top + dy) });
    };
    frame.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) {
      frame.addEventListener(name, () => frame.removeEventListener("pointermove", move), { once: true });
    }
  });

  // --- the keys
  const nudge = (name, by) => () => set({ [name]: get(name) + by });
  const grow = (by) => () => {
    const width = get("width") + by;
    set({ width, left: Math.max(0, get("left") - by / 2), top: Math.max(0, get("top") - by / 2 / fact.aspect) });
  };
  const KEYS = {
    ArrowLeft: nudge("left", -0.3),
    ArrowRight: nudge("left", 0.3),
    ArrowUp: nudge("top", -0.3),
    ArrowDown: nudge("top", 0.3),
    "+": grow(0.6),
    "-": grow(-0.6),
    "[": nudge("rotation", -0.1),
    "]": nudge("rotation", 0.1),
  };
  document.addEventListener("keydown", (event) => {
    const deed = KEYS[event.key];
    if (!deed || isTyping(event)) return;
    event.preventDefault();
    deed();
  });

  // --- presets: worked out on the server now, kept nowhere
  for (const chip of root.querySelectorAll("[data-preset]")) {
    chip.addEventListener("click", async (event) => {
      event.preventDefault();
      const answer = await fetch(`${root.dataset.placeUrl}&preset=${chip.dataset.preset}`).catch(() => null);
      if (!answer?.ok) return location.assign(chip.href);
      const { notes, ...place } = await answer.json();
      set({ width: place.width, left: place.left, top: place.top, rotation: place.rotation, preset: chip.dataset.preset });
      root.querySelector("[data-notes]").replaceChildren(
        ...notes.map((note) => Object.assign(document.createElement("p"), { className: "notice is-warn small", textContent: note })),
      );
      return undefined;
    });
  }

  draw();
}
