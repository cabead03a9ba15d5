// Every file of a drop or a choice, folders walked to the bottom; what systems leave behind on cards stays out.

const LITTER = /^(\..*|thumbs\.db|desktop\.ini)$/i;

export function filesOf(source) {
  if (source instanceof HTMLInputElement) return wanted([...source.files]);
  const entries = [...source.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  return entries.length ? walk(entries) : wanted([...source.files]);
}

function wanted(files) {
  return files.filter((file) => !LITTER.test(file.name));
}

async function walk(entries) {
  const found = [];
  const waiting = [...entries];
  while (waiting.length) {
    const entry = waiting.shift();
    if (LITTER.test(entry.name)) continue;
    if (entry.isFile) found.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    else waiting.push(...(await children(entry.createReader())));
  }
  return found;
}

async function children(reader) {
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
    if (!some.length) return all;
    all.push(...some);
  }
}
