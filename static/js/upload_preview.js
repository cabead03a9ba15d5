// The JPEG inside a camera RAW file, found by reading a few kilobytes of it: proofs appear from it long before the
// original has come. TIFF-based RAW (CR2, NEF, ARW, DNG, RW2, PEF), RAF and CR3. Of those large enough the smallest is
// taken; where there is none, or anything looks odd, the answer is null and the file is sent whole.

const ENOUGH = 1600; // long edge, as the server wants it for proofs
const LIKELY = /\.(cr2|cr3|nef|nrw|arw|dng|raf|rw2|pef|srw)$/i;
const PREVIEW_BOX = "eaf42b5e1c984b88b9fbb7dc406e4d16"; // Canon's, in CR3
const MOST_DIRECTORIES = 24;

export async function previewIn(file) {
  if (!LIKELY.test(file.name)) return null;
  try {
    const found = [];
    for (const part of await candidates(file)) {
      if (part.length < 20_000 || part.at + part.length > file.size) continue;
      const edge = await edgeOf(file, part);
      if (edge >= ENOUGH) found.push(part);
    }
    found.sort((a, b) => a.length - b.length);
    const best = found[0];
    return best && best.length < file.size * 0.8 ? best : null;
  } catch {
    return null;
  }
}

async function read(file, at, length) {
  return new DataView(await file.slice(at, at + length).arrayBuffer());
}

function text(view, at, length) {
  let word = "";
  for (let n = 0; n < length && at + n < view.byteLength; n += 1) word += String.fromCharCode(view.getUint8(at + n));
  return word;
}

async function candidates(file) {
  const head = await read(file, 0, 128);
  if (text(head, 0, 15) === "FUJIFILMCCD-RAW") return [{ at: head.getUint32(84), length: head.getUint32(88) }];
  if (text(head, 4, 8) === "ftypcrx ") return canon(file);
  if (["II", "MM"].includes(text(head, 0, 2))) return tiff(file, head);
  return [];
}

async function canon(file) {
  for (let at = 0, boxes = 0; at + 32 < file.size && boxes < 40; boxes += 1) {
    const box = await read(file, at, 72);
    let size = box.getUint32(0);
    if (size === 1) size = Number(box.getBigUint64(8));
    if (text(box, 4, 4) === "uuid" && hex(box, 8, 16) === PREVIEW_BOX && text(box, 36, 4) === "PRVW") {
      return [{ at: at + 56, length: box.getUint32(52) }];
    }
    if (size < 8) break;
    at += size;
  }
  return [];
}

function hex(view, at, length) {
  return Array.from({ length }, (_, n) => view.getUint8(at + n).toString(16).padStart(2, "0")).join("");
}

async function tiff(file, head) {
  const little = text(head, 0, 2) === "II";
  const waiting = [head.getUint32(4, little)];
  const seen = new Set();
  const found = [];
  while (waiting.length && seen.size < MOST_DIRECTORIES) {
    const start = waiting.shift();
    if (!start || seen.has(start) || start + 2 > file.size) continue;
    seen.add(start);
    const count = (await read(file, start, 2)).getUint16(0, little);
    if (count === 0 || count > 512) continue;
    const table = await read(file, start + 2, count * 12 + 4);
    const tags = new Map();
    for (let n = 0; n < count && n * 12 + 12 <= table.byteLength; n += 1) {
      const size = { 1: 1, 3: 2, 4: 4, 7: 1, 13: 4 }[table.getUint16(n * 12 + 2, little)] ?? 0;
      tags.set(table.getUint16(n * 12, little), { size, count: table.getUint32(n * 12 + 4, little), place: n * 12 + 8 });
    }
    const one = (tag) => {
      const entry = tags.get(tag);
      if (!entry || entry.count !== 1) return 0;
      return entry.size === 2 ? table.getUint16(entry.place, little) : table.getUint32(entry.place, little);
    };
    if (table.byteLength >= count * 12 + 4) waiting.push(table.getUint32(count * 12, little));
    const children = tags.get(330);
    if (children?.count === 1) waiting.push(one(330));
    else if (children && children.count <= 16) {
      const list = await read(file, table.getUint32(children.place, little), children.count * 4);
      for (let n = 0; n * 4 + 4 <= list.byteLength; n += 1) waiting.push(list.getUint32(n * 4, little));
    }
    if (one(513) && one(514)) found.push({ at: one(513), length: one(514) }); // JPEGInterchangeFormat
    if ([6, 7].includes(one(259)) && one(273) && one(279)) found.push({ at: one(273), length: one(279) }); // one strip
    const panasonic = tags.get(46); // JpgFromRaw
    if (panasonic?.size === 1 && panasonic.count > 4) found.push({ at: table.getUint32(panasonic.place, little), length: panasonic.count });
  }
  return found;
}

// The long edge of a JPEG that browsers and libraries read; 0 for anything else, such as lossless sensor data.
async function edgeOf(file, { at, length }) {
  let view = await read(file, at, Math.min(length, 65_536));
  if (view.byteLength < 4 || view.getUint16(0) !== 0xffd8) return 0;
  let place = 2;
  for (let markers = 0; markers < 200; markers += 1) {
    if (place + 10 > view.byteLength) {
      view = await read(file, (at += place), Math.min((length -= place), 65_536));
      place = 0;
      if (view.byteLength < 10) return 0;
    }
    const marker = view.getUint16(place);
    if (marker < 0xff01) return 0;
    if (marker >= 0xffc0 && marker <= 0xffc2) return Math.max(view.getUint16(place + 5), view.getUint16(place + 7));
    if ((marker >= 0xffc3 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker)) || marker === 0xffda) return 0;
    place += 2 + view.getUint16(place + 2);
  }
  return 0;
}
