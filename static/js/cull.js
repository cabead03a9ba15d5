// Culling by keyboard: one frame or up to four side by side, marks at once, every pixel on demand.
import { Zoom } from "./compare.js";
import { Marks } from "./marks.js";
import { isTyping } from "./room.js";

const MOST = 4;
const root = document.querySelector("[data-cull]");
const strip = root.querySelector(".viewer-strip");
const stage = root.querySelector(".viewer-stage");
const acts = root.querySelector("[data-acts]");

/** The frames on the stage: a window of the strip, or the frames of one stack; one of them takes the marks. */
class Table {
  constructor() {
    this.many = 1;
    this.start = 0;
    this.stack = null;
    this.loupes = new Map();
    this.at = Math.max(this.links.findIndex((link) => link.hasAttribute("aria-current")), 0);
    this.zoom = new Zoom(stage, {
      onSwipe: (way) => this.step(way),
      onChange: (isZoomed) => {
        document.querySelector("[data-zoom-button]").setAttribute("aria-pressed", isZoomed);
        if (isZoomed) this.sharpen();
      },
    });
    strip.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-photo]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.stack = null;
      this.go(this.links.indexOf(link));
    });
    stage.addEventListener("click", (event) => {
      const step = event.target.closest(".viewer-step");
      if (step && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        this.step(step.classList.contains("is-on") ? 1 : -1);
      }
      const figure = event.target.closest("figure[data-photo]");
      if (figure && !this.zoom.isZoomed && !this.zoom.hasMoved) {
        this.go(this.links.findIndex((link) => link.dataset.photo === figure.dataset.photo));
      }
    });
  }

  get links() {
    return [...strip.querySelectorAll("a[data-photo]")];
  }

  get link() {
    return this.links[this.at];
  }

  /** Those on the stage, in the order of the strip. */
  get shown() {
    const links = this.links;
    if (this.stack) return links.filter((link) => link.dataset.stack === this.stack).slice(0, MOST);
    this.start = Math.min(this.start, this.at);
    this.start = Math.max(this.start, this.at - this.many + 1);
    this.start = Math.max(Math.min(this.start, links.length - this.many), 0);
    return links.slice(this.start, this.start + this.many);
  }

  go(at) {
    const links = this.links;
    if (at < 0 || at >= links.length || at === this.at) return;
    this.at = at;
    if (this.stack && links[at].dataset.stack !== this.stack) this.stack = null;
    if (!this.shown.includes(links[at])) this.stack = null;
    this.draw();
    history.replaceState(null, "", `?show=${root.dataset.show}&at=${this.link.dataset.number}`);
  }

  step(way) {
    this.go(this.at + way);
  }

  /** One, two, three, four and back to one. */
  compare() {
    this.stack = null;
    const possible = Math.min(MOST, this.links.length);
    this.many = this.many >= possible ? 1 : this.many + 1;
    this.draw();
  }

  compareAlike() {
    if (!Number(this.link?.dataset.stack)) return;
    this.stack = this.stack ? null : this.link.dataset.stack;
    if (this.stack && !this.shown.includes(this.link)) this.at = this.links.indexOf(this.shown[0]);
    this.draw();
  }

  alone() {
    this.stack = null;
    this.many = 1;
    this.zoom.reset();
    this.draw();
  }

  draw() {
    const shown = this.shown;
    for (const extra of stage.querySelectorAll("figure[data-slot]")) {
      if (Number(extra.dataset.slot) >= shown.length && extra.dataset.slot !== "0") extra.remove();
    }
    shown.forEach((link, slot) => this.fill(slot, link, shown.length));
    stage.classList.toggle("is-many", shown.length > 1);
    document.querySelector("[data-compare-button]").setAttribute("aria-pressed", shown.length > 1);
    for (const link of this.links) {
      link === this.link ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
      link.classList.toggle("is-beside", shown.length > 1 && shown.includes(link));
    }
    stage.querySelector(".is-back").toggleAttribute("hidden", this.at <= 0);
    stage.querySelector(".is-on").toggleAttribute("hidden", this.at >= this.links.length - 1);
    const bar = strip.getBoundingClientRect();
    const box = this.link.getBoundingClientRect();
    strip.scrollLeft += box.left + box.width / 2 - bar.left - bar.width / 2;
    for (const near of [this.links[this.at + 1], this.links[this.at - 1]]) {
      if (near?.dataset.large) new Image().src = near.dataset.large;
    }
    if (this.zoom.isZoomed) this.sharpen();
    drawMarks();
  }

  fill(slot, link, total) {
    let figure = stage.querySelector(`[data-slot="${slot}"]`);
    if (!figure) {
      figure = stage.querySelector('[data-slot="0"]').cloneNode(true);
      figure.dataset.slot = slot;
      stage.querySelector(`[data-slot="${slot - 1}"]`).after(figure);
    }
    const picture = figure.querySelector("img");
    const large = this.loupes.get(link.dataset.photo) || link.dataset.large || link.querySelector("img")?.src || "";
    figure.dataset.photo = link.dataset.photo;
    picture.dataset.fullWidth = link.dataset.width;
    if (picture.getAttribute("src") !== large) picture.src = large;
    picture.hidden = !large;
    picture.alt = link.dataset.alt;
    figure.classList.toggle("is-active", total > 1 && link === this.link);
  }

  /** Zoomed in, the frames on the stage get the camera's own pixels: ordered, asked for, and put in their place. */
  sharpen() {
    for (const link of this.shown) {
      const photo = link.dataset.photo;
      if (this.loupes.has(photo)) continue;
      this.loupes.set(photo, "");
      this.fetchLoupe(photo).catch(() => this.loupes.delete(photo));
    }
  }

  async fetchLoupe(photo) {
    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    const body = new URLSearchParams({ photo });
    const ask = { method: "POST", body, headers: { "X-CSRFToken": token } };
    for (let tries = 0; tries < 40; tries += 1) {
      const answer = await fetch(tries ? `${root.dataset.loupeUrl}?${body}` : root.dataset.loupeUrl, tries ? {} : ask);
      if (!answer.ok) throw new Error(answer.status);
      const { url } = await answer.json();
      if (url) {
        const image = new Image();
        image.src = url;
        await image.decode();
        this.loupes.set(photo, url);
        const picture = stage.querySelector(`figure[data-photo="${CSS.escape(photo)}"] img`);
        if (picture) picture.src = url;
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    throw new Error("it took too long");
  }
}

let table = null;
const marks = new Marks(root, { changed: () => table && drawMarks() });
if (strip.querySelector("a[data-photo]")) {
  table = new Table();
  table.draw();
}

function drawMarks() {
  const link = table.link;
  if (!link) return;
  for (const button of acts.querySelectorAll("[data-flag]")) {
    button.setAttribute("aria-pressed", link.dataset[button.dataset.flag] === "true");
  }
  for (const button of acts.querySelectorAll("[data-rating]")) {
    button.setAttribute("aria-pressed", Number(button.dataset.rating) <= Number(link.dataset.rating));
  }
  acts.querySelector("[data-advice-words]").textContent = link.dataset.advice;
  acts.querySelector("[data-alike-words]").textContent = link.dataset.alike;
  const words = root.dataset.place.replace("%place", table.at + 1).replace("%total", table.links.length);
  document.querySelector("[data-place-words]").textContent = words;
  document.querySelector("[data-name-words]").textContent = link.dataset.name;
  for (const each of table.links) {
    each.querySelector(".strip-rating").textContent = Number(each.dataset.rating) || "";
  }
  count(table.links);
  for (const figure of stage.querySelectorAll("figure[data-photo]")) {
    const shown = table.links.find((each) => each.dataset.photo === figure.dataset.photo);
    if (shown) figure.querySelector("figcaption").textContent = caption(shown);
  }
}

/** With every frame on the page its marks can be counted here. */
function count(links) {
  if (root.dataset.show !== "all") return;
  const is = (link, flag) => link.dataset[flag] === "true";
  const isRated = (link) => Number(link.dataset.rating) > 0;
  const counts = {
    unmarked: (link) => !is(link, "recommended") && !is(link, "rejected") && !isRated(link),
    recommended: (link) => is(link, "recommended"),
    rated: isRated,
    rejected: (link) => is(link, "rejected"),
  };
  for (const [name, isSo] of Object.entries(counts)) {
    document.querySelector(`[data-tab-count=${name}]`).textContent = links.filter(isSo).length;
  }
}

function caption(link) {
  const stars = "★".repeat(Number(link.dataset.rating));
  const marked = link.dataset.recommended === "true" ? "P" : link.dataset.rejected === "true" ? "✕" : "";
  return [link.dataset.alt, stars, marked, link.dataset.advice].filter(Boolean).join(" · ");
}

const photo = () => table?.link?.dataset.photo;
const DEEDS = {
  rejected: () => photo() && marks.toggle(photo(), "rejected", "reject"),
  recommended: () => photo() && marks.toggle(photo(), "recommended", "recommend"),
};
const rate = (stars) => photo() && marks.set(photo(), "rate", marks.value(photo(), "rating") === stars ? "0" : stars);

function undo() {
  const undone = marks.undo();
  if (undone && undone !== photo()) table.go(table.links.findIndex((link) => link.dataset.photo === undone));
  if (table) drawMarks();
}

async function narrow() {
  const tabs = [...document.querySelectorAll(".cull-tabs a")];
  const here = tabs.findIndex((tab) => tab.hasAttribute("aria-current"));
  await marks.saving.settled();
  location.href = tabs[(here + 1) % tabs.length].href;
}

const WORK = {
  compare: () => table?.compare(),
  zoom: () => table?.zoom.toggle(),
  undo,
  help: showKeys,
};

acts?.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || button.hasAttribute("formaction")) return;
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

const KEYS = {
  arrowleft: () => table?.step(-1),
  arrowright: () => table?.step(1),
  home: () => table?.go(0),
  end: () => table?.go(table.links.length - 1),
  p: DEEDS.recommended,
  x: DEEDS.rejected,
  z: WORK.zoom,
  c: WORK.compare,
  s: () => table?.compareAlike(),
  escape: () => table?.alone(),
  f: narrow,
  u: undo,
  "?": showKeys,
};

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const key = event.key.toLowerCase();
  const deed = KEYS[key] ?? (/^[0-5]$/.test(key) ? () => rate(key) : null);
  if (!deed) return;
  event.preventDefault();
  deed();
});

// New frames and new advice: the strip is asked for again, and answered only when something has changed.
let tally = root.dataset.tally;

async function look() {
  if (document.hidden || marks.saving.waiting.length) return;
  const address = `${root.dataset.stripUrl}?show=${root.dataset.show}&have=${tally}`;
  const answer = await fetch(address, { signal: AbortSignal.timeout(10000) });
  if (answer.status !== 200) return;
  const html = await answer.text();
  if (marks.saving.waiting.length) return;
  if (!table) location.reload();
  const here = photo();
  strip.innerHTML = html;
  tally = strip.querySelector("[data-tally]").dataset.tally;
  const at = table.links.findIndex((link) => link.dataset.photo === here);
  if (!table.links.length) location.reload();
  table.at = Math.max(at, Math.min(table.at, table.links.length - 1), 0);
  if (at >= 0) table.at = at;
  document.querySelector("[data-waiting-words]")?.remove();
  table.draw();
}

setInterval(() => look().catch(() => {}), Number(root.dataset.poll) * 1000);

// The list of keys gives the focus back to the page, so that the next key means the picture and not a button.
function showKeys() {
  const keys = document.querySelector("#keys");
  keys.addEventListener("close", () => document.activeElement?.blur(), { once: true });
  keys.showModal();
}
