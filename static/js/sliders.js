// Sliders of strengths say their value beside them: shares in percent, the others in stops.

/** Write every output of the form now; call again after a change. */
export function writeSliders(form) {
  for (const output of form.querySelectorAll("output")) {
    const value = Number(form.elements[output.htmlFor[0]].value);
    output.textContent =
      output.dataset.share === "true" ? `${Math.round(value * 100)} %` : `${value > 0 ? "+" : ""}${value.toFixed(2)}`;
  }
}

export function labelSliders(form) {
  writeSliders(form);
  form.addEventListener("input", () => writeSliders(form));
}
