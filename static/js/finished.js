// Finished files come back: dropped all at once, sent one after the other, gone on with after a lost line. The page
// shows where each found its place, and what waits in the tray.
import { filesOf } from "./upload_folder.js";
import { labelSliders } from "./sliders.js";

const WAITS = [1, 2, 5, 10, 20, 30]; // seconds between tries
const PIECE = 8 * 1024 * 1024;
const root = document.querySelector("[data-finished]");
const place = document.querySelector("[data-news-place]");
const waiting = [];
let isSending = false;
let timer;

function begin() {
  const drop = root.querySelector("[data-drop]");
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("is-over");
    });
  }
  drop.addEventListener("dragleave", (event) => drop.contains(event.relatedTarget) || drop.classList.remove("is-over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("is-over");
    send(await filesOf(event.dataTransfer));
  });
  root.querySelector("[data-files]").addEventListener("change", async (event) => {
    send(await filesOf(event.target));
    event.target.value = "";
  });
  addEventListener("beforeunload", (event) => isSending && event.preventDefault());
  if (Number(root.dataset.busy)) follow();
}

async function send(files) {
  waiting.push(...files.map((file) => [file, rowOf(file)]));
  if (isSending) return;
  isSending = true;
  while (waiting.length) await bring(...waiting.shift());
  isSending = false;
  follow();
}

function rowOf(file) {
  const rows = root.querySelector("[data-rows]");
  const row = document.createElement("li");
  row.className = "file";
  for (const [name, text] of [["name", file.name], ["state", rows.dataset.saySending], ["reason", ""]]) {
    const part = document.createElement("span");
    part.className = `file-${name}`;
    part.textContent = text;
    row.append(part);
  }
  const say = (state, reason = "", tone = "") => {
    row.querySelector(".file-state").textContent = state;
    row.querySelector(".file-reason").textContent = reason;
    row.className = `file ${tone}`;
  };
  rows.append(row);
  return { say, words: rows.dataset, done: () => row.remove() };
}

async function bring(file, row) {
  let address = null;
  let offset = 0;
  for (let tries = 0; ; tries += 1) {
    try {
      if (!address) address = await create(file);
      else offset = Number((await ask("HEAD", address)).headers.get("Upload-Offset"));
      while (offset < file.size) {
        row.say(`${row.words.saySending} ${Math.round((100 * offset) / file.size)} %`);
        const before = offset;
        const body = file.slice(offset, offset + PIECE);
        const headers = { "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
        offset = Number((await ask("PATCH", address, headers, body)).headers.get("Upload-Offset"));
        if (offset > before) tries = 0;
      }
      row.say(row.words.sayMatching);
      return setTimeout(row.done, 4000);
    } catch (error) {
      if (error.sentence) return row.say(row.words.sayRefused, error.sentence, "is-bad");
      row.say(row.words.sayAgain);
      await new Promise((resolve) => setTimeout(resolve, WAITS[Math.min(tries, WAITS.length - 1)] * 1000));
    }
  }
}

async function create(file) {
  const facts = { filename: file.name, gallery: root.dataset.gallery, purpose: "finished" };
  const packed = Object.entries(facts).map(([key, value]) => `${key} ${base64(value)}`);
  const headers = { "Upload-Length": String(file.size), "Upload-Metadata": packed.join(",") };
  const answer = await ask("POST", root.dataset.endpoint, headers);
  return new URL(answer.headers.get("Location"), location.href).pathname;
}

async function ask(method, address, headers = {}, body = undefined) {
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const answer = await fetch(address, {
    method,
    body,
    headers: { "Tus-Resumable": "1.0.0", "X-CSRFToken": token, ...headers },
  });
  if (answer.ok) return answer;
  const isFinal = [400, 401, 403, 404, 410, 413, 415].includes(answer.status);
  throw Object.assign(new Error(String(answer.status)), { sentence: isFinal ? (await answer.text()).trim() || " " : "" });
}

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

/** Ask for the tray and the pairs until every file has found its place. */
function follow() {
  clearInterval(timer);
  let quiet = 0;
  timer = setInterval(async () => {
    if (document.hidden) return;
    const have = place.querySelector("[data-tally]").dataset.tally;
    const answer = await fetch(`${root.dataset.news}?have=${encodeURIComponent(have)}`).catch(() => null);
    if (answer?.status === 200 && !place.contains(document.activeElement)) place.innerHTML = await answer.text();
    const busy = Number(place.querySelector("[data-tally]").dataset.busy);
    quiet = busy || isSending ? 0 : quiet + 1;
    if (quiet > 20) clearInterval(timer);
  }, 1500);
}

for (const form of document.querySelectorAll("[data-sliders]")) labelSliders(form);
if (root?.querySelector("[data-drop]")) begin();
