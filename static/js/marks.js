// Marks on pictures, shown at once on everything that carries `data-photo`, saved behind, and undone one by one.
import { Saving, speaker } from "./saving.js";

const INVERSE = {
  pick: "unpick",
  unpick: "pick",
  hide: "unhide",
  unhide: "hide",
  recommend: "unrecommend",
  unrecommend: "recommend",
  reject: "unreject",
  unreject: "reject",
};
const FLAGS = {
  pick: ["picked", true],
  unpick: ["picked", false],
  hide: ["hidden", true],
  unhide: ["hidden", false],
  recommend: ["recommended", true],
  unrecommend: ["recommended", false],
  reject: ["rejected", true],
  unreject: ["rejected", false],
};
const VALUES = { rate: "rating", note: "note", use: "use" };

/**
 * `root` carries data-mark-url, data-name, data-chosen, data-included, data-full (the sentence when all are chosen)
 * and data-count (words with %chosen and %included);
 * where more are sold, data-extra (with %extra) and data-beyond, said at the first one beyond. `changed(photo)` hears what must be drawn again.
 */
export class Marks {
  constructor(root, { changed = () => {} } = {}) {
    Object.assign(this, { root, changed, past: [], elsewhere: 0 });
    this.elsewhere = Number(root.dataset.chosen) - this.chosen;
    this.saving = new Saving({
      url: root.dataset.markUrl,
      token: document.querySelector("[name=csrfmiddlewaretoken]").value,
      name: root.dataset.name,
      took: (state) => this.took(state),
      refused: (change, state) => this.refused(change, state),
      say: speaker(document.querySelector("[data-saving-words]")),
    });
    for (const change of this.saving.waiting) this.draw(change.verb, change.photo, change.value);
    this.count();
  }

  cards(photo) {
    return document.querySelectorAll(`[data-photo="${CSS.escape(photo)}"]:not([data-slot])`);
  }

  is(photo, flag) {
    return this.cards(photo)[0]?.dataset[flag] === "true";
  }

  value(photo, name) {
    return this.cards(photo)[0]?.dataset[name] ?? "";
  }

  /** How many are chosen, those included that this page does not show. */
  get chosen() {
    const picked = [...document.querySelectorAll('[data-photo][data-picked="true"]')].map((each) => each.dataset.photo);
    return new Set(picked).size + this.elsewhere;
  }

  get included() {
    return Number(this.root.dataset.included);
  }

  /** Whether more than the included pictures may be chosen, at a price. */
  get sellsExtra() {
    return "extra" in this.root.dataset;
  }

  /** Set a mark, or take it back. False when all included pictures are chosen already. */
  set(photo, verb, value = "") {
    const isBeyond = verb === "pick" && !this.is(photo, "picked") && this.chosen >= this.included;
    if (isBeyond && !this.sellsExtra) {
      this.tell(this.root.dataset.full);
      return false;
    }
    this.tell(isBeyond ? this.root.dataset.beyond : "");
    const name = VALUES[verb];
    this.past.push(name ? [verb, photo, this.value(photo, name)] : [INVERSE[verb], photo, ""]);
    this.draw(verb, photo, value);
    this.saving.put(verb, photo, value);
    this.count();
    return true;
  }

  toggle(photo, flag, verb) {
    return this.set(photo, this.is(photo, flag) ? INVERSE[verb] : verb);
  }

  /** Take the last change back; the photo it was about, or null. */
  undo() {
    const last = this.past.pop();
    if (!last) return null;
    const [verb, photo, value] = last;
    this.set(photo, verb, value);
    this.past.pop();
    return photo;
  }

  draw(verb, photo, value) {
    const [flag, isOn] = FLAGS[verb] ?? [];
    for (const card of this.cards(photo)) {
      if (flag) card.dataset[flag] = isOn;
      else card.dataset[VALUES[verb]] = value;
      if (verb === "recommend") card.dataset.rejected = false;
      if (verb === "reject") card.dataset.recommended = false;
      if (verb === "hide") card.dataset.picked = false;
      card.classList.toggle("is-picked", card.dataset.picked === "true");
      card.classList.toggle("is-rejected", card.dataset.rejected === "true");
      const heart = card.querySelector("button.pick");
      if (heart) pressed(heart, card.dataset.picked === "true");
    }
    this.changed(photo);
  }

  count() {
    const extra = this.chosen - this.included;
    const words = ((extra > 0 && this.root.dataset.extra) || this.root.dataset.count || "")
      .replace("%chosen", this.chosen)
      .replace("%included", this.included)
      .replace("%extra", extra);
    for (const place of document.querySelectorAll("[data-count-words]")) place.textContent = words;
    for (const place of document.querySelectorAll("[data-needs-choice]")) {
      place.setAttribute("aria-disabled", this.chosen === 0);
    }
    document.documentElement.classList.toggle("is-full", this.chosen >= this.included && !this.sellsExtra);
  }

  /** The studio's answer: what it says counts, except for changes that still wait here. */
  took(state) {
    const waiting = new Set(this.saving.waiting.filter((each) => /pick|hide/.test(each.verb)).map((each) => each.photo));
    const picked = new Set(state.picked);
    const seen = new Set();
    for (const card of document.querySelectorAll("[data-photo][data-picked]:not([data-slot])")) {
      const photo = card.dataset.photo;
      seen.add(photo);
      if (waiting.has(photo) || (card.dataset.picked === "true") === picked.has(photo)) continue;
      this.draw(picked.has(photo) ? "pick" : "unpick", photo);
    }
    this.elsewhere = state.picked.filter((photo) => !seen.has(photo)).length;
    this.root.dataset.included = state.included;
    this.count();
  }

  refused(change, state) {
    this.past = this.past.filter(([, photo]) => photo !== change.photo);
    this.took(state);
    this.tell(state.sentence);
    if (state.closed) {
      this.saving.changes = [];
      this.saving.write();
      document.documentElement.classList.add("is-closed");
    }
    this.changed(change.photo);
  }

  tell(sentence) {
    const place = document.querySelector("[data-sentence]");
    if (!place) return;
    place.textContent = sentence ?? "";
    place.hidden = !sentence;
  }
}

/** A heart or another two-state button: pressed, and named by what it does. */
export function pressed(button, isOn) {
  button.setAttribute("aria-pressed", isOn);
  button.name = isOn ? "unpick" : "pick";
}
