// Keeps the page as it is on the server. The server says when something changed (server-sent events), and the page asks for itself then;
// where it is not told, it asks every few seconds. Content is taken where it changed.
const EVERY = 5000;
const TOLD = 60000; // ages of a page grow by the minute
const LATE = 20000;
const told = document.getElementById("live");
const topic = document.getElementById("content").dataset.topic;
let tag = "";
let events = null;
let timer = 0;
let asking = false;
let again = false;

function say(text, state) {
  told.dataset.state = state;
  if (told.textContent !== text) told.textContent = text;
}

async function look() {
  const answer = await fetch(location.href, {
    headers: tag ? { "If-None-Match": tag } : {},
    cache: "no-store",
    signal: AbortSignal.timeout(LATE),
  });
  if (answer.status !== 304) {
    if (!answer.ok && answer.status !== 404) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    tag = take(page) ? answer.headers.get("ETag") || "" : "";
  }
  say("Live", "live");
}

// Whether the content was taken: not while somebody fills in a form or has one open. Who stands on a link stays on it.
function take(page) {
  const here = document.getElementById("content");
  const fresh = page.getElementById("content");
  const active = document.activeElement;
  if (!fresh || active.closest("form") || here.querySelector("details[open]")) return false;
  if (here.innerHTML === fresh.innerHTML) return true;
  const link = here.contains(active) ? active.getAttribute("href") : null;
  here.replaceChildren(...fresh.childNodes);
  document.title = page.title;
  if (link !== null) here.querySelector(`a[href="${CSS.escape(link)}"]`)?.focus();
  return true;
}

// One question at a time; what is said meanwhile is asked about afterwards.
async function follow() {
  if (asking) {
    again = true;
    return;
  }
  clearTimeout(timer);
  asking = true;
  do {
    again = false;
    try {
      if (!document.hidden) await look();
    } catch {
      say("No answer: this page may be old", "old");
    }
  } while (again);
  asking = false;
  timer = setTimeout(follow, events !== null && events.readyState === EventSource.OPEN ? TOLD : EVERY);
}

function listen() {
  if (topic === undefined || document.hidden || events !== null) return;
  events = new EventSource(`/events?topic=${encodeURIComponent(topic)}`);
  events.onmessage = follow;
  events.onerror = follow;
}

function rest() {
  events?.close();
  events = null;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) rest();
  else {
    listen();
    follow();
  }
});
addEventListener("pagehide", rest);
listen();
follow();
