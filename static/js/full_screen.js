// A delivered picture over the whole screen. Without this the link opens the picture by itself.

const dialog = document.querySelector("#full-screen");
const links = [...document.querySelectorAll("[data-full-screen]")];

if (dialog?.showModal && links.length) {
  const picture = dialog.querySelector("img");
  const words = dialog.querySelector("[role=status]");
  let at = 0;

  const show = (to) => {
    at = Math.min(Math.max(to, 0), links.length - 1);
    picture.src = links[at].querySelector("img").currentSrc; // what is here already, until the large one has come
    const large = new Image();
    const wanted = at;
    large.addEventListener("load", () => {
      if (wanted === at) picture.src = large.src;
    });
    large.src = links[at].href;
    words.textContent = links[at].dataset.name;
    for (const button of dialog.querySelectorAll("[data-step]")) {
      const next = at + Number(button.dataset.step);
      button.hidden = next < 0 || next >= links.length;
    }
  };

  links.forEach((link, place) =>
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      show(place);
      dialog.showModal();
    }),
  );
  for (const button of dialog.querySelectorAll("[data-step]"))
    button.addEventListener("click", () => show(at + Number(button.dataset.step)));
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(at - 1);
    if (event.key === "ArrowRight") show(at + 1);
  });
  picture.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => links[at].focus());
  let began = null;
  dialog.addEventListener("touchstart", (event) => (began = event.changedTouches[0].clientX), { passive: true });
  dialog.addEventListener("touchend", (event) => {
    const moved = event.changedTouches[0].clientX - (began ?? 0);
    if (began !== null && Math.abs(moved) > 50) show(at + (moved < 0 ? 1 : -1));
    began = null;
  });
  dialog.dataset.ready = "";
}
