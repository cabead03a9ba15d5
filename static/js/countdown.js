// The time left of a hold. The instant is shown from the start; the minutes only count down in the last five.
const LAST = 5 * 60;

function show(box) {
  const left = Math.round((new Date(box.dataset.until) - Date.now()) / 1000);
  const time = box.querySelector("time");
  if (left <= 0) {
    box.classList.add("is-over");
    box.setAttribute("role", "alert");
    box.textContent = box.dataset.over;
    return;
  }
  if (left <= LAST) {
    box.classList.add("is-short");
    time.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  }
  setTimeout(() => show(box), 1000);
}

for (const box of document.querySelectorAll("[data-until]")) show(box);
for (const field of document.querySelectorAll("[data-zone]")) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
}
