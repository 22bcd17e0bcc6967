// The player: a film from a moment on, its timeline with every moment found in it, and what is said.

import { ask, ofVideo } from "./api.js";
import { byId, clock, make, sourceLabel, span } from "./dom.js";

const film = byId("film");
const POLL_MILLISECONDS = 700;

// What this machine plays beside what every browser plays: films of phones need no preview then.
const PLAYS = film.canPlayType('video/mp4; codecs="hvc1.1.6.L120.90"') ? "hevc" : "";

let playing = null; // the moment that was opened
let opener = null; // what had the focus before
let hits = [];
let lines = [];
let opened = 0; // counts films, so that what comes late for another one is left out

/** like, only: called with the moment that is playing. */
export function begin({ like, only, closed }) {
  byId("close").addEventListener("click", () => close(closed));
  byId("like").addEventListener("click", () => playing && like(playing));
  byId("only").addEventListener("click", () => playing && only(playing));
  byId("timeline").addEventListener("click", (event) => {
    if (event.target.closest("button")) return;
    const box = byId("timeline").getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * length());
  });
  film.addEventListener("timeupdate", follow);
  film.addEventListener("durationchange", drawTimeline);
  film.addEventListener("error", refused);
}

/** Whether a film is open. */
export const isOpen = () => playing !== null;

/** The moment that was opened, null where none is. */
export const current = () => playing;

/** Pause, or go on. */
export const toggle = () => (film.paused ? film.play().catch(() => {}) : film.pause());

/** Some seconds on, or back. */
export const skip = (seconds) => seek(film.currentTime + seconds);

/** Play a moment. question: what it was found by, whose other moments in this video are drawn; from: its card. */
export async function open(moment, question, results, from) {
  const same = playing?.video_id === moment.video_id && film.currentSrc && !film.error;
  playing = moment;
  opener = from ?? opener;
  const mine = ++opened;
  byId("player").hidden = false;
  document.body.classList.add("playing");
  byId("film-name").textContent = moment.name;
  byId("playing").textContent = [moment.folder, span(moment), moment.sources?.map(sourceLabel).join(", ")].filter(Boolean).join(" · ");
  byId("like").hidden = byId("only").hidden = false;
  film.classList.toggle("sound", !moment.streams.includes("video"));
  markCard(from);
  hits = results.filter((one) => one.video_id === moment.video_id);
  drawTimeline();
  if (innerWidth < 900) byId("player").scrollIntoView({ block: "start" });
  if (same) {
    seek(moment.start_seconds);
    film.play().catch(() => {});
  } else {
    lines = [];
    drawTranscript();
    load(moment, mine, false);
    fetchTranscript(moment, mine);
  }
  if (question?.text !== undefined) await fetchHits(moment, question.text, mine);
}

/** End the film and give the focus back to where it came from. */
export function close(then = () => {}) {
  if (!playing) return;
  playing = null;
  opened += 1;
  film.removeAttribute("src");
  film.load();
  byId("player").hidden = true;
  document.body.classList.remove("playing");
  markCard(null);
  opener?.isConnected ? opener.focus() : byId("query").focus();
  then();
}

/** To the next moment of this video (direction 1) or the one before (-1). */
export function jump(direction) {
  const starts = hits.map((hit) => hit.start_seconds).sort((a, b) => a - b);
  const now = film.currentTime;
  const target = direction > 0 ? starts.find((start) => start > now + 0.3) : starts.findLast((start) => start < now - 1.5);
  if (target !== undefined) seek(target);
}

async function load(moment, mine, preview) {
  film.dataset.preview = preview ? "1" : "";
  film.removeAttribute("src");
  film.poster = moment.streams.includes("video") ? `${ofVideo(moment.video_id, "thumbnail")}?at=${moment.start_seconds.toFixed(1)}` : "";
  try {
    await ready(moment, mine, preview);
  } catch (error) {
    if (mine === opened) note(error.message);
    return;
  }
  if (mine !== opened) return;
  note("");
  film.addEventListener("loadedmetadata", () => {
    film.currentTime = playing?.start_seconds ?? 0;
    film.play().catch(() => {});
  }, { once: true });
  film.src = `${ofVideo(moment.video_id, "media")}?${preview ? "preview=1" : `plays=${PLAYS}`}`;
}

/** Wait until browsers can play the film: at once, or when its preview is made. */
async function ready(moment, mine, preview) {
  while (mine === opened) {
    const { state, progress } = await ask(ofVideo(moment.video_id, "preview"), { preview, plays: PLAYS }, { method: "POST" });
    if (state !== "making" && state !== "fetching") return;
    note(state === "making" ? "Browsers do not play this file. A preview is being made …" : "The video is being fetched from its address …", progress);
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
  }
}

/** The browser does not play the file after all: its preview, once. */
function refused() {
  if (!playing || !film.getAttribute("src")) return;
  if (film.dataset.preview) note("The browser does not play this video.");
  else load(playing, opened, true);
}

function note(message, progress) {
  const box = byId("film-note");
  box.hidden = !message;
  if (box.firstChild.textContent !== message) box.firstChild.textContent = message;
  box.lastChild.hidden = progress === undefined;
  box.lastChild.value = progress ?? 0;
}

async function fetchHits(moment, text, mine) {
  const { results } = await ask("/api/search", { q: text, video: moment.video_id, limit: 100 }).catch(() => ({ results: hits }));
  if (mine !== opened) return;
  hits = results;
  drawTimeline();
}

async function fetchTranscript(moment, mine) {
  const found = await ask(ofVideo(moment.video_id, "transcript")).catch(() => ({ lines: [] }));
  if (mine !== opened) return;
  lines = found.lines;
  drawTranscript();
}

function length() {
  if (Number.isFinite(film.duration) && film.duration > 0) return film.duration;
  return playing?.length_seconds || Math.max(1, ...hits.map((hit) => hit.end_seconds));
}

function drawTimeline() {
  if (!playing) return;
  const whole = length();
  const buttons = hits.map((hit) => {
    const button = make("button", {
      type: "button",
      className: hit.sources[0] ?? "",
      title: `${span(hit)} · ${hit.sources.map(sourceLabel).join(", ")}`,
      "aria-label": `Play from ${span(hit)}, ${hit.sources.map(sourceLabel).join(", ")}`,
      onclick: () => {
        seek(hit.start_seconds);
        film.play().catch(() => {});
      },
    });
    button.style.left = `${Math.min(100, (100 * hit.start_seconds) / whole)}%`;
    button.style.width = `${Math.max(0, (100 * (Math.min(hit.end_seconds, whole) - hit.start_seconds)) / whole)}%`;
    return button;
  });
  byId("timeline").querySelector(".hits").replaceChildren(...buttons);
  follow();
}

function drawTranscript() {
  byId("transcript").hidden = !lines.length;
  const rows = lines.map((line) =>
    make("li", {}, make("button", { type: "button", className: "plain", onclick: () => seek(line.start_seconds) },
      make("span", { className: "quiet", textContent: clock(line.start_seconds) }), ` ${line.text}`)));
  byId("transcript").querySelector("ol").replaceChildren(...rows);
  follow();
}

/** The playhead, and the line that is being said. */
function follow() {
  const now = film.currentTime;
  byId("timeline").querySelector(".playhead").style.left = `${Math.min(100, (100 * now) / length())}%`;
  const list = byId("transcript").querySelector("ol");
  const place = lines.findIndex((line) => line.start_seconds <= now && now < line.end_seconds);
  if (list.dataset.place === String(place)) return;
  list.dataset.place = place;
  list.querySelector("[aria-current]")?.removeAttribute("aria-current");
  const row = list.children[place];
  if (!row) return;
  row.setAttribute("aria-current", "true");
  if (!list.contains(document.activeElement)) list.scrollTop = row.offsetTop - list.offsetTop - list.clientHeight / 3;
}

function seek(seconds) {
  film.currentTime = Math.max(0, Math.min(seconds, length()));
}

function markCard(open) {
  document.querySelector(".card.current")?.classList.remove("current");
  open?.closest?.(".card")?.classList.add("current");
}
