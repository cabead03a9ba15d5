// Choosing at home: hearts on the grid, and one picture large with swipe, keys, note and comparison.
import { Marks, pressed } from "./marks.js";
import { isTyping, Room } from "./room.js";

const root = document.querySelector("[data-proofs]");
const strip = root.querySelector(".viewer-strip");
let room = null;
const marks = new Marks(root, { changed: (photo) => photo === room?.link?.dataset.photo && drawSide() });

// --- the grid: one tap on the heart
root.addEventListener("click", (event) => {
  const heart = event.target.closest("button.pick");
  if (!heart || event.defaultPrevented) return;
  event.preventDefault();
  const photo = heart.closest("[data-photo]")?.dataset.photo ?? room?.link.dataset.photo;
  marks.toggle(photo, "picked", "pick");
});

// --- to the review only when the studio has every change: the selection sent there is final
for (const link of document.querySelectorAll("[data-needs-choice]")) {
  link.addEventListener("click", async (event) => {
    if (!marks.saving.waiting.length) return;
    event.preventDefault();
    await marks.saving.settled();
    location.assign(link.href);
  });
}

// --- one picture large
if (strip) {
  room = new Room({ stage: root.querySelector(".viewer-stage"), strip, onShow: show });
  const side = root.querySelector(".viewer-side");
  // Written words are kept after a pause, and at once when the client leaves the field or the page.
  let typing;
  let written = null;
  const keepNote = () => {
    clearTimeout(typing);
    if (written) marks.set(written.photo, "note", written.words);
    written = null;
  };
  side.querySelector("textarea").addEventListener("input", (event) => {
    written = { photo: room.link.dataset.photo, words: event.target.value };
    clearTimeout(typing);
    typing = setTimeout(keepNote, 600);
    room.link.dataset.note = written.words;
  });
  side.querySelector("textarea").addEventListener("change", keepNote);
  addEventListener("pagehide", keepNote);
  side.querySelector("[data-use-field]").addEventListener("change", (event) => marks.set(room.link.dataset.photo, "use", event.target.value));
  side.addEventListener("submit", (event) => event.preventDefault());

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    event.preventDefault();
    WORK[button.dataset.do]();
  });
  document.addEventListener("keydown", (event) => {
    if (isTyping(event)) return;
    const deed = KEYS[event.key];
    if (!deed) return;
    event.preventDefault();
    deed();
  });
}

const WORK = {
  pick: () => marks.toggle(room.link.dataset.photo, "picked", "pick"),
  compare: () => room.compare((link) => link.dataset.picked === "true"),
  zoom: () => room.zoom.toggle(),
  undo: () => {
    const undone = marks.undo();
    if (undone) room.show(room.of(undone));
    drawSide();
  },
  hide: () => {
    const link = room.link;
    marks.toggle(link.dataset.photo, "hidden", "hide");
  },
};

const KEYS = {
  ArrowLeft: () => room.step(-1),
  ArrowRight: () => room.step(1),
  Home: () => room.ends(-1),
  End: () => room.ends(1),
  p: WORK.pick,
  h: WORK.pick,
  c: WORK.compare,
  z: WORK.zoom,
  u: WORK.undo,
  Escape: () => room.alone() || document.querySelector("[data-home]").click(),
};

function show(link, place, total) {
  document.querySelector("[data-place-words]").textContent = root.dataset.place
    .replace("%place", place)
    .replace("%total", total);
  const home = document.querySelector("[data-home]");
  home.hash = `p${link.dataset.number}`;
  drawSide();
}

function drawSide() {
  const link = room?.link;
  if (!link) return;
  const isPicked = link.dataset.picked === "true";
  for (const button of root.querySelectorAll("[data-do=pick]")) {
    pressed(button, isPicked);
    button.querySelector("[data-label]").textContent = isPicked ? button.dataset.on : button.dataset.off;
  }
  const isHidden = link.dataset.hidden === "true";
  for (const button of root.querySelectorAll("[data-do=hide]")) {
    button.setAttribute("aria-pressed", isHidden);
    button.querySelector("[data-label]").textContent = isHidden ? button.dataset.on : button.dataset.off;
  }
  const note = root.querySelector(".viewer-side textarea");
  if (document.activeElement !== note) note.value = link.dataset.note ?? "";
  const use = root.querySelector(".viewer-side [data-use-field]");
  use.disabled = !isPicked;
  if (document.activeElement !== use) use.value = link.dataset.use ?? "";
  for (const [slot, shown] of room.shown) {
    const figure = room.stage.querySelector(`[data-slot=${slot}]`);
    if (figure && shown) figure.classList.toggle("is-picked", shown.dataset.picked === "true");
  }
}

drawSide();
