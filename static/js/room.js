// The dark room: one frame of the strip on the stage, or two to four side by side.
import { Zoom } from "./compare.js";

const SLOTS = ["two", "three", "four"]; // beside the first one

/**
 * `onShow(link)` hears which frame is on the stage. The frames are the strip's links; each carries what is known
 * about it in data attributes (photo, number, large, picked, …), which the caller may change and then call `mark()`.
 */
export class Room {
  constructor({ stage, strip, onShow = () => {}, address = (link) => link.href }) {
    Object.assign(this, { stage, strip, onShow, address, besides: [] });
    this.zoom = new Zoom(stage, {
      onSwipe: (way) => this.step(way),
      onChange: (isZoomed) => document.querySelector("[data-zoom-button]")?.setAttribute("aria-pressed", isZoomed),
    });
    this.link = strip.querySelector("[aria-current]") ?? strip.querySelector("a");
    strip.addEventListener("click", (event) => this.taken(event));
    stage.addEventListener("click", (event) => {
      const figure = event.target.closest("[data-slot]:not([data-slot=one])");
      if (figure && !this.zoom.isZoomed && !this.zoom.hasMoved) this.show(this.of(figure.dataset.photo));
      const step = event.target.closest(".viewer-step");
      if (!step || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.step(step.classList.contains("is-on") ? 1 : -1);
    });
    this.besides = SLOTS.map((slot) => stage.querySelector(`[data-slot=${slot}]`))
      .map((figure) => figure && this.of(figure.dataset.photo))
      .filter(Boolean);
    if (this.link) this.draw();
  }

  get links() {
    return [...this.strip.querySelectorAll("a[data-photo]")];
  }

  of(photo) {
    return this.links.find((link) => link.dataset.photo === photo) ?? null;
  }

  taken(event) {
    const link = event.target.closest("a[data-photo]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.show(link);
  }

  /** Other links with the same photos: after a frame arrived. */
  renew(html) {
    const photo = this.link?.dataset.photo;
    const besides = this.besides.map((link) => link.dataset.photo);
    const left = this.strip.scrollLeft;
    this.strip.innerHTML = html;
    this.link = this.of(photo) ?? this.links[0] ?? null;
    this.besides = besides.map((each) => this.of(each)).filter((link) => link && link !== this.link);
    this.strip.scrollLeft = left;
    if (this.link) this.draw();
  }

  step(way) {
    const links = this.links;
    const next = links[links.indexOf(this.link) + way];
    if (next) this.show(next);
  }

  ends(way) {
    const links = this.links;
    this.show(way < 0 ? links[0] : links[links.length - 1]);
  }

  show(link) {
    if (!link || link === this.link) return;
    this.besides = this.besides.map((each) => (each === link ? this.link : each));
    this.link = link;
    this.zoom.reset();
    this.draw();
    history.replaceState(null, "", this.address(link));
  }

  /** One more frame beside the first, up to four in all, then one alone again. Those `liked` come first. */
  compare(liked = () => false) {
    if (this.besides.length === SLOTS.length) this.besides = [];
    else {
      const links = this.links;
      const here = links.indexOf(this.link);
      const around = [...links.slice(here + 1), ...links.slice(0, here).reverse()];
      const free = around.filter((link) => !this.besides.includes(link));
      const next = free.find(liked) ?? free[0];
      this.besides = next ? [...this.besides, next] : [];
    }
    this.zoom.reset();
    this.draw();
  }

  /** One frame alone again. False when it was. */
  alone() {
    if (!this.besides.length) return false;
    this.besides = [];
    this.zoom.reset();
    this.draw();
    return true;
  }

  /** Every frame on the stage with its slot. */
  get shown() {
    return [["one", this.link], ...SLOTS.map((slot, index) => [slot, this.besides[index] ?? null])];
  }

  draw() {
    for (const [slot, link] of this.shown) this.fill(slot, link);
    this.stage.classList.toggle("is-many", this.besides.length > 0);
    this.stage.dataset.many = this.besides.length + 1;
    const links = this.links;
    const here = links.indexOf(this.link);
    for (const each of links) {
      each === this.link ? each.setAttribute("aria-current", "true") : each.removeAttribute("aria-current");
      each.classList.toggle("is-beside", this.besides.includes(each));
    }
    this.stage.querySelector(".viewer-step.is-back")?.toggleAttribute("hidden", here <= 0);
    this.stage.querySelector(".viewer-step.is-on")?.toggleAttribute("hidden", here >= links.length - 1);
    const strip = this.strip.getBoundingClientRect();
    const box = this.link.getBoundingClientRect();
    this.strip.scrollLeft += box.left + box.width / 2 - strip.left - strip.width / 2;
    for (const near of [links[here + 1], links[here - 1]]) if (near?.dataset.large) new Image().src = near.dataset.large;
    for (const button of document.querySelectorAll("[data-compare-button]")) {
      button.setAttribute("aria-pressed", this.besides.length > 0);
    }
    this.onShow(this.link, here + 1, links.length);
  }

  fill(slot, link) {
    let figure = this.stage.querySelector(`[data-slot=${slot}]`);
    if (!link) {
      figure?.remove();
      return;
    }
    if (!figure) {
      figure = this.stage.querySelector("[data-slot]").cloneNode(true);
      figure.dataset.slot = slot;
      [...this.stage.querySelectorAll("[data-slot]")].at(-1).after(figure);
    }
    const large = link.dataset.large || link.querySelector("img")?.src || "";
    const picture = figure.querySelector("img");
    figure.dataset.photo = link.dataset.photo;
    if (picture.getAttribute("src") !== large) {
      picture.removeAttribute("srcset");
      picture.src = large;
    }
    picture.hidden = !large;
    picture.alt = link.dataset.alt ?? "";
    figure.querySelector("figcaption").textContent = link.dataset.caption ?? "";
    figure.classList.toggle("is-picked", link.dataset.picked === "true");
  }
}

/** Whether a key press belongs to a field and not to the room. */
export const isTyping = (event) =>
  event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select, dialog[open]");

/** Whether a key press means the link or button that has the focus. A closed dialog's button keeps it for a moment. */
export const isOnControl = (event) => event.target.closest("a, button")?.checkVisibility() ?? false;
