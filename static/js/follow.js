// The client's phone shows what is on the big screen; asked for every second and a half, answered when it has changed.
const root = document.querySelector("[data-follow]");

setInterval(async () => {
  if (document.hidden) return;
  const have = root.querySelector("[data-tally]").dataset.tally;
  const answer = await fetch(`?have=${encodeURIComponent(have)}`).catch(() => null);
  if (answer?.status === 200) root.innerHTML = await answer.text();
  else if (answer && answer.status !== 204) location.reload(); // it is over: the page says what comes next
}, 1500);

// The heart answers at once and is saved behind; without a connection the page says so by taking it back.
root.addEventListener("submit", async (event) => {
  event.preventDefault();
  const heart = event.submitter;
  const isOn = heart.name === "pick";
  heart.setAttribute("aria-pressed", isOn);
  const body = new URLSearchParams(new FormData(event.target));
  body.set(heart.name, heart.value);
  const answer = await fetch(event.target.action, { method: "POST", body, headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok) heart.setAttribute("aria-pressed", !isOn);
  const state = await answer?.json().catch(() => null);
  if (state?.sentence) root.querySelector("[role=status]").textContent = state.sentence;
});
