// Keeps a page up to date: hears the events that concern it, reads the same page anew and takes over what differs.
// It builds no HTML from text, asks nobody but this server, and everything works without it.
"use strict";

const main = document.getElementById("main");
const light = document.getElementById("live");

// Pages come from this server as it made them; nothing else becomes HTML.
const made = window.trustedTypes
  ? trustedTypes.createPolicy("pages", { createHTML: (text) => text })
  : { createHTML: (text) => text };

// How far this machine's clock is from the server's, in milliseconds.
let skew = Date.now() - Date.parse(document.documentElement.dataset.now || new Date().toISOString());

// ---- Instants ------------------------------------------------------------------------------------------------------

function distance(seconds) {
  const far = Math.abs(seconds);
  if (far < 1) return "now";
  const [n, unit] =
    far < 60 ? [far, "s"] : far < 3600 ? [far / 60, "min"] : far < 86400 ? [far / 3600, "h"] : [far / 86400, "d"];
  const text = `${Math.floor(n)} ${unit}`;
  return seconds < 0 ? `in ${text}` : `${text} ago`;
}

function tick() {
  const now = Date.now() - skew;
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const text = distance((now - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}

// ---- Taking over what differs --------------------------------------------------------------------------------------

const key = (node) => (node.nodeType === 1 ? node.id || node.dataset.key || "" : "");

// What was done a moment ago stays until the page is left.
const isFlash = (node) => node.nodeType === 1 && node.hasAttribute("data-flash");

// What people opened, typed or chose stays theirs.
const theirs = (node, name) =>
  (name === "open" && node.nodeName === "DETAILS") || (name === "hidden" && node.matches(".copy, #live"));

function takeOver(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || key(old) !== key(fresh)) {
    const copy = document.importNode(fresh, true);
    old.replaceWith(copy);
    if (copy.nodeName === "TR") copy.classList.add("fresh");
    return;
  }
  if (old.nodeType !== 1) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.hasAttribute("data-keep") || old.isEqualNode(fresh)) return;
  for (const { name, value } of [...fresh.attributes]) {
    if (!theirs(old, name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    const lit = name === "class" && old.className === "fresh";
    if (!theirs(old, name) && !lit && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  children(old, fresh);
}

function children(old, fresh) {
  const keyed = new Map();
  for (const child of old.childNodes) if (key(child)) keyed.set(key(child), child);
  const wanted = new Set([...fresh.childNodes].map(key).filter(Boolean));
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    while (at && (isFlash(at) || (key(at) && !wanted.has(key(at))))) {
      const gone = at;
      at = at.nextSibling;
      if (!isFlash(gone)) gone.remove();
    }
    const same = key(child) && keyed.get(key(child));
    if (same) {
      if (same !== at) old.insertBefore(same, at);
      else at = at.nextSibling;
      takeOver(same, child);
    } else if (at && !key(at) && !key(child)) {
      const next = at.nextSibling;
      takeOver(at, child);
      at = next;
    } else {
      const copy = document.importNode(child, true);
      old.insertBefore(copy, at);
      if (copy.nodeName === "TR") copy.classList.add("fresh");
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    if (!isFlash(gone)) gone.remove();
  }
}

// ---- Reading anew --------------------------------------------------------------------------------------------------

// A page whose answer takes longer is asked for again later, in milliseconds.
const PATIENCE = 30000;
// What only time changes (a task comes due, a worker stays silent) is no event, so the page is read by time too.
const BY_TIME = 15000;

let reading = false;
let again = false;
let last = 0;
let timer = 0;
let pause = 1000;
let leaving = 0;

// A reload would win over a way to another page that has begun: what somebody just sent would lead nowhere.
addEventListener("beforeunload", () => (leaving = Date.now()));
addEventListener("pageshow", () => (leaving = 0));
const leaves = () => Date.now() - leaving < PATIENCE;

// At most once a second, and slower where reading takes long: a page never keeps the server busy.
function soon() {
  if (timer || reading || document.hidden) {
    again = true;
    return;
  }
  timer = setTimeout(read, Math.max(0, last + pause - Date.now()));
}

async function fetched() {
  const signal = AbortSignal.timeout(PATIENCE);
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store", signal });
    return { answer, text: await answer.text() };
  } catch {
    return {};
  }
}

async function read() {
  timer = 0;
  if (leaves()) return;
  reading = true;
  again = false;
  const begun = Date.now();
  const { answer, text } = await fetched();
  reading = false;
  last = Date.now();
  pause = Math.max(1000, 10 * (last - begun));
  if (leaves()) return;
  if (!answer) {
    say("no connection");
  } else if (answer.status === 401 || answer.status === 404 || answer.redirected) {
    // The session is over, or what the page shows is gone: the browser goes where that leads.
    return location.reload();
  } else if (!answer.ok) {
    say("out of date");
  } else {
    show(new DOMParser().parseFromString(made.createHTML(text), "text/html"));
    say("live");
  }
  if (again) soon();
}

function show(page) {
  const inside = page.getElementById("main");
  if (!inside) return;
  skew = Date.now() - Date.parse(page.documentElement.dataset.now);
  const focus = document.activeElement;
  children(main, inside);
  // A row that moved to another place lost it.
  if (focus && focus !== document.activeElement && focus.isConnected) focus.focus({ preventScroll: true });
  prepare();
  tick();
}

function say(word) {
  if (!light) return;
  light.hidden = false;
  if (light.textContent !== word) light.textContent = word;
}

// ---- Listening -----------------------------------------------------------------------------------------------------

let source = null;
let failures = 0;
let retry = 0;

// A tab that nobody looks at holds no connection: browsers open six to a server, for all their tabs.
function listen() {
  clearTimeout(retry);
  if (source || document.hidden) return;
  const query = main.dataset.live;
  source = new EventSource(`/live${query ? `?${query}` : ""}`);
  source.addEventListener("ready", () => {
    failures = 0;
    // Closes the gap between the page, or the last stream, and this one.
    soon();
  });
  source.addEventListener("changed", soon);
  source.onerror = () => {
    // Perhaps the server is away: reading the page tells.
    soon();
    if (source && source.readyState === EventSource.CLOSED) {
      // Refused: the session is over, which reading tells too, or it is tried later and later.
      hush();
      failures += 1;
      retry = setTimeout(listen, Math.min(60000, 2000 * 2 ** failures) * (0.5 + Math.random()));
    }
  };
}

function hush() {
  if (source) source.close();
  source = null;
}

function turn() {
  if (document.hidden) {
    hush();
  } else {
    listen();
    soon();
  }
}

// ---- Small comforts ------------------------------------------------------------------------------------------------

function prepare() {
  for (const button of document.querySelectorAll("button.copy[hidden]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const text = source.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Not allowed here: select it, so that the keyboard's copy takes it.
    getSelection().selectAllChildren(source);
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
});

// Says at once what the server would say of a payload that is no JSON.
document.addEventListener("input", (event) => {
  const area = event.target;
  if (!area.matches("textarea[data-json]")) return;
  let trouble = "";
  if (area.value.trim()) {
    try {
      JSON.parse(area.value);
    } catch (error) {
      trouble = `is not JSON: ${error.message}`;
    }
  }
  area.setCustomValidity(trouble);
});

// Fields that say nothing need not stand in the address.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "get") return;
  for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
});
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("form[method=get] [disabled]")) field.disabled = false;
});

document.addEventListener("animationend", (event) => event.target.classList.remove("fresh"));

// What was done a moment ago is told once: it does not stand in the address that is kept or sent to others.
function forget() {
  const here = new URL(location.href);
  const told = ["did", "changed", "skipped", "more", "saved", "released", "redriven"];
  const before = here.href;
  for (const name of told) here.searchParams.delete(name);
  if (here.href !== before) history.replaceState(null, "", here);
}

prepare();
tick();
forget();
setInterval(tick, 1000);
if (main && main.dataset.live !== undefined) {
  document.addEventListener("visibilitychange", turn);
  addEventListener("pagehide", hush);
  addEventListener("pageshow", (event) => event.persisted && turn());
  setInterval(soon, BY_TIME);
  listen();
}
