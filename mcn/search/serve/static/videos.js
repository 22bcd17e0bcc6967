// The list of videos, with the words of the ledger.

import { ask } from "./api.js";
import { byId, clock, count, make, thumbnail } from "./dom.js";

let begun = false;
let offset = 0;
let handlers;
let asked = 0;

/** about: what /api/about said; play, only: called with a video. */
export function begin(about, play, only) {
  handlers = { play, only };
  byId("video-count").textContent = about.videos.toLocaleString("en");
  const all = make("option", { value: "", textContent: "any status" });
  const others = Object.entries(about.statuses).map(([status, number]) =>
    make("option", { value: status, textContent: `${status} (${number.toLocaleString("en")})` }));
  byId("videos-status").append(all, ...others);
  byId("videos-status").addEventListener("change", () => list(0));
  let waiting;
  byId("videos-contain").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => list(0), 200);
  });
  byId("more-videos").addEventListener("click", () => list(offset));
}

/** Fill the list when it is first looked at. */
export function show() {
  if (!begun) list(0);
  begun = true;
}

async function list(from) {
  const mine = ++asked;
  const parameters = { offset: from, limit: 50, contains: byId("videos-contain").value, status: byId("videos-status").value };
  try {
    const { videos, total } = await ask("/api/videos", parameters);
    if (mine !== asked) return;
    offset = from + videos.length;
    const rows = videos.map(row);
    if (from) byId("video-list").append(...rows);
    else byId("video-list").replaceChildren(...rows);
    byId("videos-total").textContent = count(total, "video");
    byId("more-videos").hidden = offset >= total;
  } catch (error) {
    byId("videos-total").textContent = error.message;
  }
}

function row(video) {
  const name = make("button", {
    type: "button",
    className: "open",
    textContent: video.name,
    "aria-label": `Play ${video.name}`,
    onclick: () => handlers.play(video, name),
  });
  const facts = [
    video.folder,
    video.length_seconds === null ? "" : clock(video.length_seconds),
    video.streams.length && !video.streams.includes("video") ? "sound alone" : "",
  ];
  const only = make("button", { type: "button", className: "plain", textContent: "Search in it", onclick: () => handlers.only(video) });
  return make("li", { className: "video" }, thumbnail(video, (video.length_seconds ?? 0) / 3),
    make("div", { className: "text" },
      make("p", { className: "title" }, name),
      make("p", { className: "quiet", textContent: facts.filter(Boolean).join(" · ") }),
      video.error ? make("p", { className: "wrong", textContent: video.error }) : null),
    make("div", { className: "side" },
      make("span", { className: `status ${video.status === "ok" ? "ok" : "not-ok"}`, textContent: video.status }),
      video.status === "ok" ? only : null));
}
