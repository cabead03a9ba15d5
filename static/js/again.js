// A page that waits for something elsewhere: asks again quietly, and goes on when the answer is another page.
const EVERY = 2000;
const shown = document.querySelector("[data-again]").dataset.again;

async function ask() {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.querySelector("[data-again]")?.dataset.again !== shown) {
      location.replace(answer.url);
      return;
    }
  } catch {
    // no network: the next try may have one
  }
  setTimeout(ask, EVERY);
}

setTimeout(ask, EVERY);
