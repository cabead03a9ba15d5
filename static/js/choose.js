// Choosing together on the big screen: frames appear as they arrive, marks by key, touch or mouse.
import { Marks } from "./marks.js";
import { isOnControl, isTyping, Room } from "./room.js";

const root = document.querySelector("[data-choose]");
const strip = root.querySelector(".viewer-strip");
const stage = root.querySelector(".viewer-stage");
const acts = root.querySelector("[data-acts]");
let room = null;
let telling;
const marks = new Marks(root, { changed: (photo) => photo === room?.link?.dataset.photo && drawMarks() });
room = new Room({ stage, strip, onShow: show, address: (link) => `?at=${link.dataset.number}` });
drawMarks();
let tally = root.dataset.tally;

function show(link, place, total) {
  const words = root.dataset.place.replace("%place", place).replace("%total", total);
  document.querySelector("[data-place-words]").textContent = words;
  document.querySelector("[data-name-words]").textContent = link.dataset.name;
  drawMarks();
  tellPhone(link.dataset.photo);
}

/** The client's phone follows: it is told which frame stands here, once the photographer stays with it for a moment. */
function tellPhone(photo) {
  if (!root.dataset.stageUrl) return;
  clearTimeout(telling);
  telling = setTimeout(() => {
    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    const body = new URLSearchParams({ photo, csrfmiddlewaretoken: token });
    fetch(root.dataset.stageUrl, { method: "POST", body }).catch(() => {});
  }, 150);
}

function drawMarks() {
  const link = room?.link;
  if (!link || !acts) return;
  for (const button of acts.querySelectorAll("[data-flag]")) {
    button.setAttribute("aria-pressed", link.dataset[button.dataset.flag] === "true");
  }
  for (const button of acts.querySelectorAll("[data-rating]")) {
    button.setAttribute("aria-pressed", Number(button.dataset.rating) <= Number(link.dataset.rating));
  }
  for (const [slot, shown] of room.shown) {
    const figure = stage.querySelector(`[data-slot=${slot}]`);
    if (figure && shown) figure.classList.toggle("is-picked", shown.dataset.picked === "true");
  }
}

const photo = () => room.link?.dataset.photo;
const toggle = (flag, verb) => photo() && marks.toggle(photo(), flag, verb);
const rate = (stars) => photo() && marks.set(photo(), "rate", marks.value(photo(), "rating") === stars ? "0" : stars);

function undo() {
  const undone = marks.undo();
  if (undone && undone !== photo()) room.show(room.of(undone));
  drawMarks();
}

const DEEDS = {
  picked: () => toggle("picked", "pick"),
  rejected: () => toggle("rejected", "reject"),
  recommended: () => toggle("recommended", "recommend"),
};

acts?.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  event.preventDefault();
  if (button.dataset.flag) DEEDS[button.dataset.flag]();
  else if (button.dataset.rating) rate(button.dataset.rating);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  event.preventDefault();
  WORK[button.dataset.do]();
});

const WORK = {
  compare: () => room.compare((link) => link.dataset.picked === "true"),
  zoom: () => room.zoom.toggle(),
  undo,
  help: showKeys,
  screen: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
};

const KEYS = {
  ArrowLeft: () => room.step(-1),
  ArrowRight: () => room.step(1),
  Home: () => room.ends(-1),
  End: () => room.ends(1),
  p: DEEDS.picked,
  x: DEEDS.rejected,
  r: DEEDS.recommended,
  c: WORK.compare,
  z: WORK.zoom,
  u: undo,
  f: WORK.screen,
  Escape: () => room.alone(),
  "?": WORK.help,
  Enter: () => document.querySelector("[data-review]").click(),
};

document.addEventListener("keydown", (event) => {
  if (isTyping(event) || (event.key === "Enter" && isOnControl(event))) return;
  const deed = KEYS[event.key] ?? (/^[0-5]$/.test(event.key) ? () => rate(event.key) : null);
  if (!deed) return;
  event.preventDefault();
  deed();
});

// New frames: the strip is asked for again, and answered only when something has changed.
async function look() {
  if (document.hidden || marks.saving.waiting.length) return;
  const answer = await fetch(`${root.dataset.stripUrl}?have=${tally}`, { signal: AbortSignal.timeout(10000) });
  if (answer.status !== 200) return;
  const html = await answer.text();
  if (marks.saving.waiting.length) return;
  const wasLast = !room.link || room.links.indexOf(room.link) === room.links.length - 1;
  const before = room.links.length;
  if (!before) location.reload();
  room.renew(html);
  tally = strip.querySelector("[data-tally]").dataset.tally;
  if (wasLast && room.links.length > before && !room.besides.length && !room.zoom.isZoomed) room.ends(1);
  marks.count();
}

setInterval(() => look().catch(() => {}), Number(root.dataset.poll) * 1000);

// The list of keys gives the focus back to the page, so that the next key means the picture and not a button.
function showKeys() {
  const keys = document.querySelector("#keys");
  keys.addEventListener("close", () => document.activeElement?.blur(), { once: true });
  keys.showModal();
}
