// Keeps the page as it is on the server: asks every few seconds for the same page, and takes its content where that changed.
const EVERY = 5000;
const LATE = 20000;
const told = document.getElementById("live");
let tag = "";

function say(text) {
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
  say("Live");
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

async function follow() {
  if (!document.hidden) {
    try {
      await look();
    } catch {
      say("No answer: this page may be old");
    }
  }
  setTimeout(follow, EVERY);
}

follow();
