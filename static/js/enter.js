// Enter in a field presses the button that is meant there (`data-enter` is its name), not the form's first one.
for (const field of document.querySelectorAll("[data-enter]")) {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    document.querySelector(`button[name="${field.dataset.enter}"]`).click();
  });
}
