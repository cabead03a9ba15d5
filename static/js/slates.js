// The clock page: a fresh face each second, from the studio's clock, not this device's. Printing a day's slates.

const face = document.querySelector("[data-clock]");

async function tick() {
  try {
    const answer = await fetch(face.dataset.clock);
    if (answer.ok && !answer.redirected) {
      const place = document.createElement("template");
      place.innerHTML = await answer.text();
      face.replaceChildren(place.content);
      face.classList.remove("is-stale");
    } else {
      face.classList.add("is-stale");
    }
  } catch {
    face.classList.add("is-stale"); // a stopped clock must not be photographed
  }
  setTimeout(tick, 1000);
}

if (face) tick();
document.querySelector("[data-print]")?.addEventListener("click", () => print());
