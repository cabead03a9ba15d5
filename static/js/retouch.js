// The retouch desk: before and after, live strengths, pins, keys; the page loads again when a worker has finished.
import { Zoom } from "./compare.js";
import { layOver } from "./pins.js";
import { isTyping } from "./room.js";
import { writeSliders } from "./sliders.js";

const root = document.querySelector("[data-retouch]");
const stage = root.querySelector(".viewer-stage");
const after = root.querySelector("[data-after]");
const form = root.querySelector("[data-sliders]");
const pressed = (name, isOn) => document.querySelector(`[data-do=${name}]`)?.setAttribute("aria-pressed", isOn);

const zoom = new Zoom(stage, {
  onChange: (isZoomed) => {
    pressed("zoom", isZoomed);
    if (isZoomed) sharpen();
  },
});

/** From fitted to one to one the full files take the place of the screen-sized ones. */
function sharpen() {
  for (const picture of stage.querySelectorAll("img[data-full]")) {
    const full = picture.dataset.full;
    delete picture.dataset.full;
    const loading = new Image();
    loading.src = full;
    loading.decode().then(() => picture.dataset.isPreview || (picture.src = full), () => {});
  }
}

const show = (name, isOn = !stage.classList.contains(`is-${name}`)) => {
  stage.classList.toggle(`is-${name}`, isOn);
  pressed(name, isOn);
};
const WORK = { before: () => show("before"), heat: () => show("heat"), zoom: () => zoom.toggle() };

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) WORK[button.dataset.do]();
  const pin = event.target.closest(".pin[data-note]");
  if (pin) document.getElementById(pin.dataset.note).scrollIntoView({ block: "center" });
});

const KEYS = {
  ArrowLeft: () => document.querySelector("a[rel=prev]")?.click(),
  ArrowRight: () => document.querySelector("a[rel=next]")?.click(),
  a: () => document.querySelector("[data-approve]:not(:disabled)")?.click(),
  b: WORK.before,
  h: () => root.querySelector(".heat") && WORK.heat(),
  z: WORK.zoom,
  s: () => form?.querySelector("input[type=range]").focus(),
  "+": () => zoom.to(zoom.scale * 1.4),
  "-": () => zoom.to(zoom.scale / 1.4),
  Escape: () => (zoom.isZoomed ? zoom.reset() : document.activeElement.blur()),
};
document.addEventListener("keydown", (event) => {
  const isRange = event.target.matches("input[type=range]");
  if ((isTyping(event) && !isRange) || (isRange && event.key.startsWith("Arrow"))) return;
  const deed = KEYS[event.key];
  if (!deed) return;
  event.preventDefault();
  deed();
});

const layer = root.querySelector("[data-pins]");
if (layer) layOver(layer, after ?? stage.querySelector("img"));

// --- strengths: one preview at a time, always the newest
let isAsking = false;
let isStale = false;

const write = () => writeSliders(form);

const strengths = () =>
  new URLSearchParams([...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken"));

async function preview() {
  if (isAsking) {
    isStale = true;
    return;
  }
  isAsking = true;
  try {
    const answer = await fetch(`${root.dataset.previewUrl}?${strengths()}`);
    if (answer.ok) put(URL.createObjectURL(await answer.blob()));
  } finally {
    isAsking = false;
    if (isStale) {
      isStale = false;
      preview();
    }
  }
}

function put(address) {
  const old = after.dataset.isPreview && after.src;
  after.dataset.isPreview = "true";
  after.src = address;
  if (old) URL.revokeObjectURL(old);
  const label = root.querySelector("[data-after-label]");
  label.textContent = label.dataset.preview;
}

if (form) {
  write();
  // The first preview of a picture takes a moment on the server: asked for when hand or key comes near a slider.
  const makeReady = new AbortController();
  const near = () => {
    makeReady.abort();
    fetch(`${root.dataset.previewUrl}?${strengths()}`).catch(() => null);
  };
  for (const sign of after ? ["pointerenter", "focusin"] : []) {
    form.addEventListener(sign, near, { signal: makeReady.signal });
  }
  form.addEventListener("input", () => {
    write();
    if (after) preview();
  });
  form.addEventListener("reset", () => setTimeout(() => location.reload()));
}

// --- news from the workers
if ("working" in root.dataset) {
  const ask = setInterval(async () => {
    if (document.hidden || document.activeElement?.matches("textarea, input:not([type=range])")) return;
    const answer = await fetch(`${root.dataset.newsUrl}?have=${root.dataset.have}`).catch(() => null);
    if (answer?.status !== 200) return;
    clearInterval(ask);
    location.replace(location.pathname);
  }, 1200);
}
