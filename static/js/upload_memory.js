// Which files of a drop have not arrived yet, kept on this device: after a reload the page can name those too that were
// never begun, and asks for their folder once.

const MOST = 20000; // names; a card has some thousands
const markOf = ({ name, size }) => `${name}/${size}`;

export class Memory {
  /** `place`: what the files are for. A browser may refuse storage altogether; then nothing is remembered. */
  constructor(place) {
    this.key = `missing ${place}`;
    this.files = new Map();
    try {
      for (const [name, size] of JSON.parse(localStorage.getItem(this.key) ?? "[]")) this.expect({ name, size });
    } catch {
      this.files.clear();
    }
  }

  expect(file) {
    if (this.files.size < MOST) this.files.set(markOf(file), { name: file.name, size: file.size });
  }

  arrived(file) {
    this.files.delete(markOf(file));
  }

  forget() {
    this.files.clear();
    this.keep();
  }

  keep() {
    try {
      if (!this.files.size) localStorage.removeItem(this.key);
      else localStorage.setItem(this.key, JSON.stringify([...this.files.values()].map(({ name, size }) => [name, size])));
    } catch {
      // no room or no leave: only the files that were begun are named after a reload
    }
  }
}
