// The drop on a gallery's page: files go to the tus endpoint three at a time, in checked pieces, and go on after a lost
// line, a pause, a reload or a sleep. A file counts as done only when the server has checked it. On a card's page the
// same drop sends a whole card; when all of it is there the page says so, and the server sorts it. Of camera RAW the
// embedded previews go first, then the originals of picks, then the others, or never.

import { hex, sha256 } from "./upload_hash.js";
import { filesOf } from "./upload_folder.js";
import { Memory } from "./upload_memory.js";
import { previewIn } from "./upload_preview.js";

// A lost line costs the piece that was on its way, so pieces grow only while the line is quick.
const SMALL_PIECE = 8 * 1024 * 1024;
const LARGE_PIECE = 64 * 1024 * 1024;
const QUICK = 1500; // milliseconds for a piece
const HASH_WHOLE_UP_TO = 64 * 1024 * 1024;
const AT_ONCE = 3;
const WAITS = [1, 2, 5, 10, 20, 30]; // seconds between tries
const ASKED = 100; // files asked about at a time
const ROWS = 60; // rows in the page at most, however many files
const GONE = new Set([404, 410]);
const FINAL = new Set([400, 403, 413, 415]);

const SETTLED = new Set(["accepted", "refused", "tray", "filed", "held"]);

class Stopped extends Error {} // paused by a person
class Refused extends Error {} // by the server, with its sentence
class SignedOut extends Error {}

class Item {
  static count = 0;

  constructor(file, name = file.name, facts = {}) {
    this.number = ++Item.count;
    this.file = file;
    this.name = name;
    this.facts = facts; // of a preview: what it was cut from
    this.preview = null; // of camera RAW: null not looked for, true sent ahead, false none
    this.size = file.size;
    this.offset = 0;
    this.extra = 0; // bytes on the wire, not yet acknowledged
    this.state = "waiting"; // hashing sending again checking accepted refused, on a card: tray filed
    this.reason = "";
    this.id = null;
    this.isAlready = false;
  }

  get isSettled() {
    return SETTLED.has(this.state);
  }

  get isSent() {
    return this.isSettled || this.state === "checking";
  }
}

class Intake {
  constructor(root) {
    this.root = root;
    this.words = wordsOf(root.querySelector("[data-words]"));
    this.memory = new Memory(root.dataset.card ?? root.dataset.gallery);
    this.token = root.querySelector("[name=csrfmiddlewaretoken]").value;
    this.items = [];
    this.byId = new Map();
    this.known = new Map(); // "name/size" → what the server has of it
    this.ahead = new Set(); // "name/size" of originals whose previews the server has
    this.wanted = new Set(); // "name/size" of originals that go before the others
    this.missing = new Map(); // "name/size" → name, of an earlier drop
    this.previews = [];
    this.pieceSize = SMALL_PIECE;
    this.running = new Set();
    this.requests = new Set();
    this.isPaused = false;
    this.rates = [];
    this.rows = new Map();
    this.newest = Number(root.dataset.newest);
  }

  async start() {
    this.bind();
    await this.reconcile();
    this.isReady = true; // what is dropped before waits, or it would be sent a second time
    this.fillLanes();
    this.poll();
  }

  one(name) {
    return this.root.querySelector(`[data-${name}]`);
  }

  bind() {
    const drop = this.one("drop");
    for (const name of ["dragenter", "dragover"]) {
      drop.addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.add("is-over");
      });
    }
    drop.addEventListener("dragleave", (event) => {
      if (!drop.contains(event.relatedTarget)) drop.classList.remove("is-over");
    });
    drop.addEventListener("drop", async (event) => {
      event.preventDefault();
      drop.classList.remove("is-over");
      this.add(await filesOf(event.dataTransfer));
    });
    for (const name of ["files", "folder"]) {
      this.one(name).addEventListener("change", (event) => {
        this.add(filesOf(event.target));
        event.target.value = "";
      });
    }
    this.one("form").addEventListener("submit", (event) => event.preventDefault());
    this.one("pause").addEventListener("click", () => this.pause(!this.isPaused));
    this.one("retry").addEventListener("click", () => this.retryRefused());
    this.one("originals").addEventListener("change", () => this.holdBack());
    this.one("forget").addEventListener("click", () => {
      this.memory.forget();
      this.missing.clear();
      this.nameMissing();
    });
    addEventListener("pagehide", () => this.remember());
    addEventListener("online", () => this.wake?.());
    addEventListener("offline", () => this.show());
    addEventListener("beforeunload", (event) => {
      if (this.items.some((item) => !item.isSettled && item.state !== "checking")) event.preventDefault();
    });
  }

  // --- what the server has

  async reconcile() {
    try {
      const answer = await fetch(this.root.dataset.list, { headers: { Accept: "application/json" } });
      const { uploads } = await answer.json();
      for (const row of uploads) {
        if (!row.previewOf) this.known.set(`${row.name}/${row.size}`, row);
        else if (row.status !== "refused") this.ahead.add(`${row.name}/${row.previewOf}`);
      }
      for (const row of uploads) {
        if (row.status === "receiving") this.missing.set(`${row.name}/${row.size}`, row.name);
        else if (!row.previewOf && row.status !== "refused") this.memory.arrived(row);
      }
    } catch {
      // Without the list nothing is skipped; the server still recognises what it has.
    }
    for (const [mark, file] of this.memory.files) this.missing.set(mark, file.name);
    this.nameMissing();
  }

  // Files of an earlier drop that are half there or were never begun; the folder is asked for once, for all of them.
  nameMissing() {
    for (const item of this.items) this.missing.delete(`${item.name}/${item.size}`);
    const names = [...this.missing.values()];
    this.one("unfinished").hidden = names.length === 0;
    this.one("unfinished-words").textContent =
      names.length === 1 ? this.words.unfinishedOne : fill(this.words.unfinished, names.length);
    this.one("missing").replaceChildren(
      ...names.slice(0, ROWS).map((name) => Object.assign(document.createElement("li"), { textContent: name })),
    );
    this.one("missing-more").textContent = names.length > ROWS ? fill(this.words.missingMore, names.length - ROWS) : "";
  }

  remember() {
    if (!this.items.length) return;
    for (const item of this.items) {
      if (item.isSent) this.memory.arrived(item);
    }
    this.memory.keep();
  }

  add(files) {
    const mine = new Set(this.items.filter((item) => item.state !== "refused").map((item) => markOf(item.file)));
    for (const file of files) {
      const mark = markOf(file);
      if (!mine.has(mark)) {
        mine.add(mark);
        this.items.push(new Item(file));
        this.memory.expect(file);
      }
    }
    this.nameMissing();
    this.remember();
    if (this.items.length) this.one("queue").hidden = false;
    this.tell(this.root.dataset.expect, { count: this.items.length });
    this.isClosed = false;
    this.show();
    this.fillLanes();
  }

  // Of a card: how many files there are, and that all of them are there. Told again by the next change if it fails.
  async tell(url, facts = {}) {
    if (!url || !this.items.length) return false;
    const body = new URLSearchParams({ csrfmiddlewaretoken: this.token, ...facts });
    try {
      return (await fetch(url, { method: "POST", body })).ok;
    } catch {
      return false;
    }
  }

  async closeIfWhole() {
    if (!this.root.dataset.close || this.isClosed || this.isClosing) return;
    if (!this.items.length || !this.items.every((item) => item.isSent)) return;
    this.isClosing = true;
    this.isClosed = (await this.tell(this.root.dataset.expect, { count: this.items.length })) && (await this.tell(this.root.dataset.close));
    this.isClosing = false;
  }

  // --- the queue

  pause(isPaused) {
    this.isPaused = isPaused;
    const button = this.one("pause");
    button.textContent = isPaused ? this.words.resume : this.words.pause;
    button.setAttribute("aria-pressed", String(isPaused));
    if (isPaused) for (const request of this.requests) request.abort();
    this.wake?.();
    this.show();
    this.fillLanes();
  }

  retryRefused() {
    for (const item of this.items) {
      if (item.state === "refused") Object.assign(item, { state: "waiting", reason: "", id: null, offset: 0, extra: 0 });
    }
    this.show();
    this.fillLanes();
  }

  fillLanes() {
    while (this.isReady && !this.isPaused && this.running.size < AT_ONCE) {
      const item = this.next();
      if (!item) return;
      this.running.add(item);
      this.step(item).finally(() => {
        this.running.delete(item);
        this.holdBack();
      });
    }
  }

  // Previews of all, then originals of picks, then the others in the order of the card.
  next() {
    const free = this.items.filter((one) => one.state === "waiting" && !this.running.has(one));
    if (this.root.dataset.gallery) {
      const unseen = free.find((one) => one.preview === null);
      if (unseen) return unseen;
    }
    return free.find((one) => this.wanted.has(`${one.name}/${one.size}`)) ?? free[0];
  }

  async step(item) {
    if (item.preview !== null || !this.root.dataset.gallery) return this.bring(item);
    const mark = `${item.name}/${item.size}`;
    const row = this.known.get(mark);
    if (row && row.status !== "refused") item.preview = false; // the original is here, or on its way
    else if (this.ahead.has(mark)) item.preview = true;
    else {
      const part = await previewIn(item.file);
      item.preview = part ? await this.sendAhead(item, part) : false;
    }
    if (item.preview === null) return; // paused: it is asked again
    item.state = "waiting";
  }

  // The JPEG inside, as a file of its own. A preview that is refused is no harm: the original is sent all the same.
  async sendAhead(item, part) {
    const facts = { purpose: "preview", "original-size": String(item.size), at: String(part.at) };
    const ahead = new Item(item.file.slice(part.at, part.at + part.length), item.name, facts);
    ahead.original = item;
    this.previews.push(ahead);
    item.state = "preview";
    this.show();
    await this.bring(ahead);
    if (ahead.state === "waiting") {
      item.state = "waiting";
      return null;
    }
    return ahead.state !== "refused";
  }

  // "Only those": originals that nobody wants stay on the card; one that is picked later is sent after all.
  holdBack() {
    const isOnlyPicks = this.one("originals").value === "picks";
    for (const item of this.items) {
      if (this.running.has(item)) continue;
      if (item.state === "held" && item.preview === false) item.state = "waiting";
      if (item.preview !== true) continue;
      const isWanted = this.wanted.has(`${item.name}/${item.size}`);
      if (item.state === "waiting" && isOnlyPicks && !isWanted) item.state = "held";
      else if (item.state === "held" && (!isOnlyPicks || isWanted)) item.state = "waiting";
    }
    this.one("originals-field").hidden = !this.items.some((item) => item.preview === true);
    this.show();
    this.fillLanes();
  }

  async bring(item) {
    for (let tries = 0; ; tries += 1) {
      const before = item.offset;
      try {
        return await this.send(item);
      } catch (error) {
        item.extra = 0;
        if (error instanceof Refused) return this.settle(item, "refused", error.message);
        if (error instanceof SignedOut) {
          item.state = "waiting";
          this.say(this.words.signIn);
          return this.pause(true);
        }
        if (this.isPaused || error instanceof Stopped) {
          item.state = "waiting";
          return;
        }
        if (error instanceof DOMException && error.name === "NotReadableError") {
          return this.settle(item, "refused", this.words.unreadable);
        }
        if (item.offset > before) tries = 0; // it came further: the line is alive
        item.state = "again";
        this.show();
        await this.rest(WAITS[Math.min(tries, WAITS.length - 1)]);
        if (this.isPaused) {
          item.state = "waiting";
          return;
        }
      }
    }
  }

  rest(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      const previous = this.wake;
      this.wake = () => {
        clearTimeout(timer);
        resolve();
        previous?.();
      };
    });
  }

  // --- one file

  async send(item) {
    let digest = item.digest ?? "";
    if (!digest && item.size > 0 && item.size <= HASH_WHOLE_UP_TO) {
      item.state = "hashing";
      this.show();
      const whole = await sha256(await item.file.arrayBuffer());
      digest = item.digest = whole ? hex(whole) : "";
    }
    if (item.id === null && !item.facts.purpose && this.recognise(item, digest)) return;
    item.state = "sending";
    this.show();
    if (item.id === null) await this.create(item, digest);
    else await this.ask(item);
    while (item.offset < item.size) await this.piece(item);
    item.state = "checking";
    this.show();
  }

  // The same name and size on the server: go on with it, or leave it alone when its bytes are known to be the same.
  recognise(item, digest) {
    const row = this.known.get(`${item.name}/${item.size}`);
    if (!row) return false;
    if (row.status === "receiving" && (!digest || !row.sha256 || row.sha256 === digest)) {
      this.known.delete(`${item.name}/${item.size}`);
      this.adopt(item, row.id);
      return false;
    }
    if (digest && row.sha256 === digest && (row.status === "accepted" || row.status === "checking")) {
      item.isAlready = true;
      item.offset = item.size;
      this.adopt(item, row.id);
      if (row.status === "accepted") this.settle(item, "accepted", row.reason);
      else item.state = "checking";
      return true;
    }
    return false;
  }

  adopt(item, id) {
    item.id = id;
    this.byId.set(id, item);
  }

  address(item) {
    return this.root.dataset.endpoint + item.id;
  }

  async create(item, digest) {
    const { gallery, card } = this.root.dataset;
    if (item.wasAsked && (await this.wasBegun(item, digest))) return this.ask(item);
    item.wasAsked = true;
    const facts = { filename: item.name, ...(card ? { card } : { gallery }), ...(digest && { sha256: digest }), ...item.facts };
    const metadata = Object.entries(facts).map(([key, value]) => `${key} ${base64(new TextEncoder().encode(value))}`);
    const answer = await this.request(item, "POST", this.root.dataset.endpoint, {
      "Upload-Length": String(item.size),
      "Upload-Metadata": metadata.join(","),
    });
    if (answer.status !== 201) throw this.problem(answer);
    this.adopt(item, answer.getResponseHeader("Location").split("/").pop());
    item.offset = 0;
  }

  // The answer to an earlier try was lost on the way: then the studio has begun this file already.
  async wasBegun(item, digest) {
    const answer = await fetch(this.root.dataset.list, { headers: { Accept: "application/json" } });
    const { uploads } = await answer.json();
    const begun = uploads.findLast(
      (row) =>
        row.status === "receiving" &&
        row.name === item.name &&
        row.size === item.size &&
        row.sha256 === digest &&
        !row.previewOf === !item.facts.purpose &&
        !this.byId.has(row.id),
    );
    if (begun) this.adopt(item, begun.id);
    return Boolean(begun);
  }

  async ask(item) {
    const answer = await this.request(item, "HEAD", this.address(item));
    if (GONE.has(answer.status)) {
      this.byId.delete(item.id);
      item.id = null;
      item.offset = 0;
      return this.create(item, item.digest ?? "");
    }
    if (answer.status !== 200) throw this.problem(answer);
    item.offset = Number(answer.getResponseHeader("Upload-Offset"));
  }

  async piece(item) {
    const size = this.pieceSize;
    const body = await item.file.slice(item.offset, item.offset + size).arrayBuffer();
    const digest = await sha256(body);
    const began = performance.now();
    const answer = await this.request(
      item,
      "PATCH",
      this.address(item),
      {
        "Upload-Offset": String(item.offset),
        "Content-Type": "application/offset+octet-stream",
        ...(digest && { "Upload-Checksum": `sha256 ${base64(digest)}` }),
      },
      body,
    );
    item.extra = 0;
    const offset = Number(answer.getResponseHeader("Upload-Offset"));
    if (answer.status === 204) {
      const now = performance.now();
      if (now - began >= QUICK) this.pieceSize = SMALL_PIECE;
      else if (body.byteLength === size) this.pieceSize = Math.min(size * 2, LARGE_PIECE);
      this.rates.push([now, offset - item.offset]);
      item.offset = offset;
    } else if (answer.status === 409) {
      item.offset = offset;
    } else if (GONE.has(answer.status)) {
      await this.ask(item);
    } else {
      throw this.problem(answer);
    }
    this.show();
  }

  // XMLHttpRequest, because fetch cannot say how much of a body has been sent.
  request(item, method, url, headers = {}, body = null) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(method, url);
      request.setRequestHeader("Tus-Resumable", "1.0.0");
      request.setRequestHeader("X-CSRFToken", this.token);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.upload.addEventListener("progress", (event) => {
        item.extra = event.loaded;
        this.show();
      });
      request.addEventListener("load", () => resolve(request));
      request.addEventListener("error", () => {
        this.pieceSize = SMALL_PIECE;
        reject(new Error("line"));
      });
      request.addEventListener("timeout", () => reject(new Error("line")));
      request.addEventListener("abort", () => reject(new Stopped()));
      request.addEventListener("loadend", () => this.requests.delete(request));
      this.requests.add(request);
      request.send(body);
    });
  }

  problem(answer) {
    const sentence = answer.responseText.trim();
    if (answer.status === 401 || !answer.getResponseHeader("Tus-Resumable")) {
      return answer.status >= 500 ? new Error("server") : new SignedOut();
    }
    if (FINAL.has(answer.status)) return new Refused(sentence);
    if (answer.status === 507) this.say(sentence);
    return new Error(sentence);
  }

  settle(item, state, reason = "") {
    item.state = state;
    item.reason = reason;
    item.extra = 0;
    if (state !== "refused" && state !== "held") item.offset = item.size;
    this.show();
  }

  // --- news from the server

  async poll() {
    let seconds = this.root.dataset.lively ? 1 : 4;
    if (this.items.some((item) => !item.isSettled)) seconds = 1;
    try {
      if (!document.hidden || this.items.some((item) => !item.isSettled)) await this.news();
    } catch {
      seconds = 5;
    }
    this.remember();
    setTimeout(() => this.poll(), seconds * 1000);
  }

  async news() {
    const asked = [...this.previews, ...this.items].filter((item) => item.state === "checking").slice(0, ASKED);
    const url = `${this.root.dataset.news}?after=${this.newest}&ids=${asked.map((item) => item.id).join(",")}`;
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) return;
    const news = await answer.json();
    for (const row of news.settled) {
      const item = this.byId.get(row.id);
      if (item && !item.isSettled) {
        item.isAlready ||= row.isDuplicate;
        if (item.original && row.status === "refused") item.original.preview = false; // then the original is sent whole
        this.settle(item, row.status === "sorting" ? "tray" : row.status, row.reason);
      }
    }
    await this.closeIfWhole();
    if (news.wanted) {
      this.wanted = new Set(news.wanted);
      if (this.items.length) this.holdBack();
    }
    if (this.root.dataset.card) return this.cardNews(news);
    if (news.newest > this.newest) {
      this.newest = news.newest;
      const place = document.createElement("template");
      place.innerHTML = news.frames;
      document.querySelector("[data-frames]").prepend(place.content);
    }
    document.querySelector("[data-count]").textContent = news.tally.photos;
    document.querySelector("[data-empty]").hidden = news.tally.photos > 0;
    for (const next of document.querySelectorAll("[data-next]")) next.hidden = news.tally.photos === 0;
    const checking = document.querySelector("[data-checking-now]");
    checking.hidden = !news.progress;
    if (checking.textContent !== news.progress) checking.textContent = news.progress;
  }

  // Where the card's frames went, once there is something new to say; never while a person is at a button in it.
  cardNews(news) {
    const place = document.querySelector("[data-card-state]");
    if (this.lastState !== news.state && !place.contains(document.activeElement)) {
      if (this.lastState !== undefined || this.items.length) place.innerHTML = news.state;
      this.lastState = news.state;
    }
    const waiting = document.querySelector("[data-tray-news]");
    const shown = document.querySelectorAll("#tray [name=file]").length;
    waiting.hidden = news.doubtful <= shown;
  }

  // --- what the page shows: at most ROWS rows, written at most once a frame

  show() {
    if (this.isDrawing) return;
    this.isDrawing = true;
    setTimeout(() => requestAnimationFrame(() => this.draw()), 120);
  }

  say(sentence) {
    this.one("total-left").textContent = sentence;
    this.saying = performance.now();
  }

  draw() {
    this.isDrawing = false;
    const count = { accepted: 0, refused: 0, checking: 0, waiting: 0 };
    let bytes = 0;
    let all = 0;
    let already = 0;
    const active = [];
    const refused = [];
    const waiting = [];
    const accepted = [];
    for (const item of this.items) {
      count[item.state] = (count[item.state] ?? 0) + 1;
      if (item.state !== "held") {
        all += item.size;
        bytes += item.state === "refused" ? item.size : Math.min(item.offset, item.size);
      }
      if (item.isAlready) already += 1;
      if (["accepted", "filed", "tray", "held"].includes(item.state)) accepted.push(item);
      else if (item.state === "refused") refused.push(item);
      else if (item.state === "waiting") waiting.push(item);
      else active.push(item);
    }
    const done = count.accepted + count.refused + (count.tray ?? 0) + (count.filed ?? 0) + (count.held ?? 0);
    const parts = [fill(this.words.ofFiles, done, this.items.length)];
    if (count.refused) parts.push(fill(this.words.refusedCount, count.refused));
    if (count.tray && this.root.dataset.card) parts.push(fill(this.words.trayCount, count.tray));
    if (count.held) parts.push(fill(this.words.heldCount, count.held));
    if (already) parts.push(fill(this.words.already, already));
    this.one("total-files").textContent = parts.join(" · ");
    this.one("total-bytes").textContent = fill(this.words.ofBytes, size(bytes), size(all));
    const bar = this.one("total-bar");
    bar.max = Math.max(all, 1);
    bar.value = bytes;
    bar.classList.toggle("is-good", done === this.items.length);
    this.one("retry").hidden = count.refused === 0;
    this.one("pause").hidden = done === this.items.length;
    if (performance.now() - (this.saying ?? -1e9) > 8000) this.one("total-left").textContent = this.outlook(all - bytes, done, count.checking);
    const shown = [...active, ...refused.slice(-30), ...accepted.slice(-4).reverse(), ...waiting].slice(0, ROWS);
    this.place(shown);
    const more = this.items.length - shown.length - Math.max(0, accepted.length - 4) - Math.max(0, refused.length - 30);
    this.one("more").hidden = more <= 0;
    this.one("more").textContent = fill(this.words.more, more);
  }

  outlook(left, done, checking) {
    if (!navigator.onLine || [...this.running].some((item) => item.state === "again")) return this.words.offline;
    if (done === this.items.length) return this.words.done;
    if (left === 0) return fill(this.words.checkingCount, checking);
    const from = performance.now() - 20_000;
    this.rates = this.rates.filter(([at]) => at > from);
    if (this.rates.length < 3 || this.isPaused) return "";
    const span = Math.max(1000, performance.now() - this.rates[0][0]);
    const seconds = left / ((this.rates.reduce((sum, [, sent]) => sum + sent, 0) / span) * 1000);
    return seconds < 60 ? this.words.seconds : fill(this.words.minutes, Math.ceil(seconds / 60));
  }

  place(shown) {
    const list = this.one("rows");
    const wanted = new Set(shown.map((item) => item.number));
    for (const [number, row] of this.rows) {
      if (!wanted.has(number)) {
        row.remove();
        this.rows.delete(number);
      }
    }
    shown.forEach((item, index) => {
      let row = this.rows.get(item.number);
      if (!row) {
        row = makeRow(item);
        this.rows.set(item.number, row);
      }
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
      this.write(row, item);
    });
  }

  write(row, item) {
    const state = this.isPaused && item.state === "waiting" ? "paused" : item.state;
    row.className = `file${state === "accepted" ? " is-good" : state === "refused" ? " is-bad" : ""}`;
    row.parts.state.textContent = this.words[state === "tray" && !this.root.dataset.card ? "sorting" : state];
    row.parts.reason.hidden = !item.reason;
    row.parts.reason.textContent = item.reason;
    row.parts.bar.hidden = !["sending", "again"].includes(item.state);
    row.parts.bar.value = Math.min(item.offset + item.extra, item.size) / Math.max(item.size, 1);
  }
}

function markOf(file) {
  return [file.webkitRelativePath, file.name, file.size, file.lastModified].join("/");
}

// data-say-of-files="…" → { ofFiles: "…" }
function wordsOf(template) {
  const words = {};
  for (const [name, text] of Object.entries(template.dataset)) {
    if (name.length > 3 && name.startsWith("say")) words[name.charAt(3).toLowerCase() + name.slice(4)] = text;
  }
  return words;
}

function makeRow(item) {
  const row = document.createElement("li");
  row.parts = {};
  for (const [part, text] of [["name", item.name], ["size", size(item.size)], ["state", ""], ["reason", ""]]) {
    row.parts[part] = document.createElement("span");
    row.parts[part].className = `file-${part}`;
    row.parts[part].textContent = text;
  }
  row.parts.bar = document.createElement("progress");
  row.parts.bar.setAttribute("aria-label", item.name);
  row.append(...Object.values(row.parts));
  return row;
}

function fill(sentence, ...values) {
  return values.reduce((text, value, index) => text.replace(`%${index + 1}`, value), sentence);
}

function size(bytes) {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

function base64(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}

for (const root of document.querySelectorAll("[data-intake]")) new Intake(root).start();
