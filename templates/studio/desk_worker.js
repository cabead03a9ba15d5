{% load static %}// Keeps the desk's page of today for reading without a connection, and with it what it is drawn with. Nothing else is
// kept, nothing is sent later. The copy goes when nobody is signed in any more, and is not shown when it is of another day.
const HOME = "{% url "desk" %}";
const DRAWN_WITH = "{% get_static_prefix %}";
const KEPT = "today";
const LASTS = 18 * 60 * 60 * 1000;

/** The copy with its line about having no connection, or nothing where there is none of today. */
async function copy(cache) {
  const kept = await cache.match(HOME);
  if (!kept) return null;
  if (!(Date.now() - Date.parse(kept.headers.get("Date")) < LASTS)) {
    await cache.delete(HOME);
    return null;
  }
  const headers = new Headers(kept.headers);
  for (const name of ["Content-Encoding", "Content-Length"]) headers.delete(name); // it is unpacked already
  return new Response((await kept.text()).replace("data-kept hidden", "data-kept"), { headers });
}

async function today(request) {
  const cache = await caches.open(KEPT);
  let answer;
  try {
    answer = await fetch(request);
  } catch (error) {
    const kept = await copy(cache);
    if (kept) return kept;
    throw error;
  }
  if (answer.ok) await cache.put(HOME, answer.clone());
  else if (answer.status < 500) await caches.delete(KEPT); // led to the sign-in: the day is nobody's any more
  return answer;
}

addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (request.mode === "navigate" && pathname === HOME) event.respondWith(today(request));
  else if (pathname.startsWith(DRAWN_WITH))
    event.respondWith(
      fetch(request).catch(async (error) => {
        const kept = await caches.match(request.url);
        if (kept) return kept;
        throw error;
      }),
    );
});
