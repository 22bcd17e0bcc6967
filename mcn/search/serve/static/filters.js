// Which videos may answer, and by which source.

import { ask } from "./api.js";
import { byId, make, sourceLabel } from "./dom.js";

const form = byId("filters");
let sources = [];
let changed = () => {};

/** about: what /api/about said; onChange: called when another choice was made. */
export function begin(about, onChange) {
  sources = about.sources;
  changed = onChange;
  for (const source of sources) {
    const box = make("input", { type: "checkbox", name: "source", value: source, checked: true });
    byId("sources").append(make("label", { className: "check" }, box, ` ${sourceLabel(source)}`));
  }
  byId("sources").hidden = sources.length < 2;
  byId("folders").append(...about.folders.map((folder) => make("option", { value: folder })));
  form.addEventListener("change", announce);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(announce));
  form.elements.video.addEventListener("input", offerVideos);
  byId("filters-toggle").addEventListener("click", () => show(form.hidden));
}

/** The choices, as parameters of /api/search. */
export function chosen() {
  const { folder, video, min_minutes: least, max_minutes: most, since, until, one_per_video: single } = form.elements;
  const picked = [...form.querySelectorAll("[name=source]:checked")].map((box) => box.value);
  return {
    folder: folder.value.trim(),
    video: video.value.trim(),
    min_length: least.value && least.value * 60,
    max_length: most.value && most.value * 60,
    newer_than: since.value && new Date(`${since.value}T00:00`).getTime() / 1000,
    older_than: until.value && new Date(`${until.value}T23:59:59`).getTime() / 1000,
    one_per_video: single.checked,
    sources: picked.length && picked.length < sources.length ? picked.join(",") : "",
  };
}

/** Look in one video alone. */
export function onlyVideo(id) {
  form.elements.video.value = id;
  show(true);
  announce();
}

function announce() {
  const number = Object.values(chosen()).filter(Boolean).length;
  byId("filter-count").textContent = number || "";
  changed();
}

function show(open) {
  form.hidden = !open;
  byId("filters-toggle").setAttribute("aria-expanded", String(open));
}

let waiting;

function offerVideos() {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const { videos } = await ask("/api/videos", { contains: form.elements.video.value, limit: 20 });
    byId("video-ids").replaceChildren(...videos.map((video) => make("option", { value: video.video_id })));
  }, 200);
}
