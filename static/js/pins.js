// Pins lie exactly over a picture, however it is fitted into its place.

/** Write the picture's box onto the pins' layer, now and whenever the place changes. */
export function layOver(layer, picture) {
  const place = layer.parentElement;
  const write = () => {
    const outer = place.getBoundingClientRect();
    const width = place.clientWidth;
    const height = place.clientHeight;
    const ratio = (picture.naturalWidth || picture.width) / (picture.naturalHeight || picture.height) || 0.8;
    const box = picture.parentElement.getBoundingClientRect();
    const roomX = (box.left + box.right) / 2 - outer.left;
    const roomY = (box.top + box.bottom) / 2 - outer.top;
    const w = Math.min(box.width || width, (box.height || height) * ratio);
    const h = w / ratio;
    const values = { x: roomX - w / 2, y: roomY - h / 2, w, h };
    for (const [name, value] of Object.entries(values)) layer.style.setProperty(`--box-${name}`, `${value}px`);
  };
  for (const pin of layer.querySelectorAll(".pin")) putAt(pin, pin.dataset.x, pin.dataset.y);
  new ResizeObserver(write).observe(place);
  picture.addEventListener("load", write);
  write();
}

export function putAt(pin, x, y) {
  pin.style.setProperty("--x", x);
  pin.style.setProperty("--y", y);
}
