// The desk's page of today can be read without a connection: a service worker keeps the last one that was loaded.
const line = document.querySelector("[data-kept]");
const isKept = !line.hidden; // the worker shows the line in a copy
const HOME = location.pathname;
const KEPT = "today";
const buttons = document.querySelectorAll("form button:enabled");

/** Without a connection nothing can be changed: the line says so, and no button pretends. */
function say() {
  if (isKept && navigator.onLine) return; // until it is loaded again
  line.hidden = navigator.onLine;
  for (const button of buttons) button.disabled = !line.hidden;
}

/** A copy makes way for the page itself as soon as the studio answers. */
async function again() {
  const answer = await fetch("/healthz").catch(() => null);
  if (answer?.ok) location.reload();
}

async function keep() {
  const worker = await navigator.serviceWorker.register(line.dataset.worker);
  if (!worker || isKept) return;
  await navigator.serviceWorker.ready;
  const cache = await caches.open(KEPT);
  const drawnWith = performance
    .getEntriesByType("resource")
    .map((entry) => entry.name.split("#")[0])
    .filter((name) => name.startsWith(`${location.origin}/static/`));
  for (const request of await cache.keys())
    if (new URL(request.url).pathname !== HOME && !drawnWith.includes(request.url)) await cache.delete(request);
  const missing = [];
  for (const name of new Set(drawnWith)) if (!(await cache.match(name))) missing.push(name);
  // The first visit was not the worker's yet: it is asked for once more.
  if (!navigator.serviceWorker.controller) missing.push(HOME);
  await cache.addAll(missing);
  line.dataset.kept = "yes";
}

addEventListener("offline", say);
addEventListener("online", say);
if (isKept) setInterval(again, 2000); // a device says "online" before anything answers
for (const button of buttons) button.disabled = isKept;
if (!navigator.onLine) say();
if ("serviceWorker" in navigator) keep().catch(() => {}); // no room, or a private window: the page works as before
