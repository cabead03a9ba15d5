// "Save to Photos" on phones: the first tap fetches the files, the second opens the share sheet (a browser allows that
// only right after a tap). At most ten files at a time. Without Web Share for files the plain links stay as they are.

const MOST = 10;

const probe = () => new File([new Uint8Array(1)], "a.jpg", { type: "image/jpeg" });

export const canSave = () => Boolean(navigator.share && navigator.canShare?.({ files: [probe()] }));

/** The files of the links, in batches the share sheet takes. */
export function batches(links, most = MOST) {
  const found = [];
  for (let at = 0; at < links.length; at += most) found.push(links.slice(at, at + most));
  return found;
}

async function fetched(link) {
  const address = new URL(link.href);
  address.searchParams.set("here", "1"); // from this site, not from the store
  const answer = await fetch(address, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  return new File([await answer.blob()], link.dataset.save, { type: "image/jpeg" });
}

class Saver {
  constructor(place) {
    this.button = place.querySelector("button");
    this.status = place.querySelector("[role=status]");
    this.say = place.dataset;
    const sizes = place.dataset.sizes.split(" ");
    const links = [...document.querySelectorAll("a[data-save]")].filter((a) => sizes.includes(a.dataset.size));
    this.waiting = batches(links);
    this.ready = [];
    this.button.addEventListener("click", () => this.tap());
    place.hidden = !links.length;
    this.label();
  }

  label() {
    const next = this.ready.length || this.waiting[0]?.length || 0;
    const words = this.ready.length ? this.say.sayNow : this.say.sayFetch;
    this.button.querySelector("[data-words]").textContent = words.replace("%1", next);
  }

  async tap() {
    if (this.ready.length) return this.share();
    if (!this.waiting.length) return undefined;
    this.button.disabled = true;
    try {
      const links = this.waiting[0];
      for (const [number, link] of links.entries()) {
        this.status.textContent = this.say.sayFetching.replace("%1", number + 1).replace("%2", links.length);
        this.ready.push(await fetched(link));
      }
      this.status.textContent = this.say.sayReady;
    } catch {
      this.ready = [];
      this.status.textContent = this.say.sayBroken;
    }
    this.button.disabled = false;
    this.label();
    return undefined;
  }

  async share() {
    try {
      await navigator.share({ files: this.ready });
    } catch (error) {
      if (error.name !== "AbortError") this.status.textContent = this.say.sayBroken;
      return; // closed without saving: the files are still here for another tap
    }
    this.waiting.shift();
    this.ready = [];
    this.status.textContent = this.waiting.length ? this.say.sayMore : this.say.sayDone;
    this.button.hidden = !this.waiting.length;
    this.label();
  }
}

if (canSave()) document.querySelectorAll("[data-saver]").forEach((place) => new Saver(place));
