// The tray: a click with Shift ticks everything between two frames, so that a row of frames is three taps.

for (const form of document.querySelectorAll("[data-tray]")) {
  const ticks = [...form.querySelectorAll("[name=file]")];
  let last = null;
  form.addEventListener("click", (event) => {
    const tick = event.target.closest("[name=file]");
    if (!tick) return;
    if (event.shiftKey && last) {
      const [from, to] = [ticks.indexOf(last), ticks.indexOf(tick)].sort((a, b) => a - b);
      for (const one of ticks.slice(from, to + 1)) one.checked = tick.checked;
    }
    last = tick;
  });
}
