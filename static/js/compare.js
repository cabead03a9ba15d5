// Looking closely: one zoom for all pictures of a stage, and the parting line between before and after.

const CLOSEST = 8;

/**
 * Zoom and pan every `[data-zoom]` picture of a stage together, by wheel, pinch, drag, double tap or key.
 * Writes --zoom, --pan-x and --pan-y on the stage. A swipe while nothing is zoomed calls `onSwipe(-1 | 1)`.
 */
export class Zoom {
  constructor(stage, { onSwipe = () => {}, onChange = () => {} } = {}) {
    Object.assign(this, { stage, onSwipe, onChange, scale: 1, x: 0, y: 0, pointers: new Map() });
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => this.up(event));
    stage.addEventListener("dblclick", (event) => this.toggle(event));
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("dragstart", (event) => event.preventDefault());
  }

  get isZoomed() {
    return this.scale > 1.001;
  }

  /** The scale at which one pixel of the file is one pixel of the screen. */
  get oneToOne() {
    const picture = this.stage.querySelector("[data-zoom]");
    if (!picture?.naturalWidth) return 2;
    const full = Number(picture.dataset.fullWidth) || picture.naturalWidth;
    const shown = Math.min(
      picture.clientWidth,
      (picture.clientHeight * picture.naturalWidth) / picture.naturalHeight,
    );
    return Math.min(Math.max(full / (shown * devicePixelRatio), 1.5), CLOSEST);
  }

  toggle(event) {
    if (event?.target.closest?.("a, button")) return;
    this.isZoomed ? this.reset() : this.to(this.oneToOne, event);
  }

  reset() {
    Object.assign(this, { scale: 1, x: 0, y: 0 });
    this.write();
  }

  /** Zoom to a scale and keep the point under the pointer where it is. */
  to(scale, point) {
    const next = Math.min(Math.max(scale, 1), CLOSEST);
    if (point?.clientX !== undefined) {
      const box = this.boxAt(point);
      const dx = point.clientX - (box.left + box.width / 2);
      const dy = point.clientY - (box.top + box.height / 2);
      this.x = dx - ((dx - this.x) / this.scale) * next;
      this.y = dy - ((dy - this.y) / this.scale) * next;
    } else {
      this.x *= next / this.scale;
      this.y *= next / this.scale;
    }
    this.scale = next;
    this.write();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.write();
  }

  boxAt(point) {
    const under = document.elementFromPoint(point.clientX, point.clientY)?.closest("[data-zoom-box]");
    return (under ?? this.stage.querySelector("[data-zoom-box]") ?? this.stage).getBoundingClientRect();
  }

  write() {
    const box = (this.stage.querySelector("[data-zoom-box]") ?? this.stage).getBoundingClientRect();
    const roomX = (box.width * (this.scale - 1)) / 2;
    const roomY = (box.height * (this.scale - 1)) / 2;
    this.x = Math.min(Math.max(this.x, -roomX), roomX);
    this.y = Math.min(Math.max(this.y, -roomY), roomY);
    this.stage.style.setProperty("--zoom", this.scale);
    this.stage.style.setProperty("--pan-x", `${this.x}px`);
    this.stage.style.setProperty("--pan-y", `${this.y}px`);
    this.stage.classList.toggle("is-zoomed", this.isZoomed);
    this.onChange(this.isZoomed);
  }

  wheel(event) {
    event.preventDefault();
    this.to(this.scale * Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0025)), event);
  }

  down(event) {
    if (event.button > 0 || event.target.closest("a, button, input, textarea")) return;
    this.pointers.set(event.pointerId, event);
    this.start = { x: event.clientX, y: event.clientY };
    this.hasMoved = false;
    if (this.pointers.size > 1 || this.isZoomed) this.stage.setPointerCapture(event.pointerId);
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    this.hasMoved ||= Math.hypot(event.clientX - this.start.x, event.clientY - this.start.y) > 6;
    if (this.pointers.size === 2) {
      const other = [...this.pointers.values()].find((each) => each.pointerId !== event.pointerId);
      const ratio = span(event, other) / Math.max(span(before, other), 1);
      this.to(this.scale * ratio, middle(event, other));
    } else if (this.isZoomed) {
      this.pan(event.clientX - before.clientX, event.clientY - before.clientY);
    }
    this.pointers.set(event.pointerId, event);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId) || this.pointers.size || this.isZoomed) return;
    const dx = event.clientX - this.start.x;
    const dy = event.clientY - this.start.y;
    if (event.type === "pointerup" && Math.abs(dx) > 48 && Math.abs(dx) > 1.5 * Math.abs(dy)) this.onSwipe(dx < 0 ? 1 : -1);
  }
}

const span = (one, two) => Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY);
const middle = (one, two) => ({
  clientX: (one.clientX + two.clientX) / 2,
  clientY: (one.clientY + two.clientY) / 2,
});

/** Let a `.compare` be parted by its range input; the position is --at, 0 to 1. */
export function part(compare) {
  const range = compare.querySelector("input[type=range]");
  if (!range) return;
  const write = () => compare.style.setProperty("--at", range.value);
  range.addEventListener("input", write);
  compare.classList.add("is-live");
  write();
}

for (const compare of document.querySelectorAll("[data-compare]")) part(compare);
