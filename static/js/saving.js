// Changes are shown at once, kept on this device, and sent one after the other until the studio has them.

const PAUSES = [1000, 2000, 4000, 8000, 15000, 30000];
const PATIENCE = 15000;
const OPPOSITES = { unpick: "pick", unhide: "hide", unrecommend: "recommend", unreject: "reject" };
const subject = (change) => `${OPPOSITES[change.verb] ?? change.verb} ${change.photo}`;

/**
 * A queue of changes `{verb, photo, value}` to one address. It survives a reload and a lost connection.
 * `took(state)` hears every answer, `refused(change, state)` a change that cannot be made, `say(word)` one of
 * "saved", "saving", "waiting", "dead".
 */
export class Saving {
  constructor({ url, token, name, took, refused, say }) {
    Object.assign(this, { url, token, took, refused, say, name: `likeness:${name}`, tries: 0, isSending: false });
    this.changes = this.read();
    addEventListener("online", () => this.send());
    addEventListener("pagehide", () => this.write());
    if (this.changes.length) this.send();
  }

  read() {
    try {
      return JSON.parse(localStorage.getItem(this.name)) ?? [];
    } catch {
      return [];
    }
  }

  write() {
    try {
      this.changes.length
        ? localStorage.setItem(this.name, JSON.stringify(this.changes))
        : localStorage.removeItem(this.name);
    } catch {
      // a browser that keeps nothing still sends
    }
  }

  /** What the page shows although the studio may not have it yet. */
  get waiting() {
    return this.changes;
  }

  /** Resolves when the studio has everything, or nothing more can be sent. */
  async settled() {
    while (this.changes.length && !this.isOver) await new Promise((resolve) => setTimeout(resolve, 100));
  }

  put(verb, photo, value = "") {
    const change = { verb, photo, value };
    const sending = this.isSending ? this.changes.slice(0, 1) : [];
    const later = this.changes.slice(sending.length).filter((each) => subject(each) !== subject(change));
    this.changes = [...sending, ...later, change];
    this.write();
    this.send();
  }

  async send() {
    if (this.isSending || !this.changes.length) return;
    clearTimeout(this.timer);
    this.isSending = true;
    this.say("saving");
    try {
      await this.sendFirst();
    } finally {
      this.isSending = false;
    }
    if (this.isOver) return;
    if (!this.changes.length) this.say("saved");
    else if (this.tries) this.later();
    else this.send();
  }

  async sendFirst() {
    const change = this.changes[0];
    let answer, state;
    try {
      answer = await fetch(this.url, {
        method: "POST",
        body: new URLSearchParams({ ...change, csrfmiddlewaretoken: this.token }),
        headers: { Accept: "application/json" },
        redirect: "manual",
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (answer.status === 200 || answer.status === 409) state = await answer.json();
    } catch {
      this.tries += 1;
      return;
    }
    if (answer.status >= 500 || answer.status === 429) {
      this.tries += 1;
      return;
    }
    this.tries = 0;
    this.changes.shift();
    this.write();
    if (!state) return this.end();
    if (answer.status === 409) this.refused(change, state);
    else this.took(state);
  }

  /** The link or the sign-in has ended: nothing more can be sent from this page. */
  end() {
    this.isOver = true;
    this.say("dead");
  }

  later() {
    this.say("waiting");
    this.timer = setTimeout(() => this.send(), PAUSES[Math.min(this.tries - 1, PAUSES.length - 1)]);
  }
}

/** Speak through an element that carries its words as data: data-saved, data-saving, data-waiting, data-dead. */
export const speaker = (element) => (word) => {
  if (!element) return;
  element.textContent = element.dataset[word] ?? "";
  element.dataset.state = word;
};
