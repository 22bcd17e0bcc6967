// Building the page. Names, titles and what is said come from files of strangers: they become text, never markup.

/** The element of an id. */
export const byId = (id) => document.getElementById(id);

/** A new element. properties: of the element (`className`, `textContent`, `onclick`), or attributes (`aria-label`). */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** 3725.4 -> "1:02:05", 65 -> "1:05". */
export function clock(seconds) {
  const whole = Math.floor(seconds + 1e-6);
  const parts = [Math.floor(whole / 60) % 60, String(whole % 60).padStart(2, "0")];
  const hours = Math.floor(whole / 3600);
  return hours ? [hours, String(parts[0]).padStart(2, "0"), parts[1]].join(":") : parts.join(":");
}

/** "0:04 – 0:09" */
export const span = (moment) => `${clock(moment.start_seconds)} – ${clock(moment.end_seconds)}`;

/** "1 moment", "3 moments" */
export const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

const LABELS = { words: "said", meaning: "meaning", seen: "seen", heard: "heard" };

/** What people call a source. */
export const sourceLabel = (source) => LABELS[source] ?? source;

/** Small labels of what found a moment. */
export function sourceLabels(sources) {
  const labels = sources.map((source) => make("span", { className: `source ${source}`, textContent: sourceLabel(source) }));
  return make("span", { className: "sources" }, ...labels);
}

/** A picture of a moment, or a note where there is only sound; one that cannot be made leaves the note behind. */
export function thumbnail(moment, seconds) {
  const box = make("span", { className: "picture" });
  const sign = moment.streams.includes("audio") ? "♪" : "–";
  const note = () => {
    box.classList.add("no-picture");
    box.replaceChildren(make("span", { textContent: sign, "aria-hidden": "true" }), ...box.querySelectorAll(".time"));
  };
  if (!moment.streams.includes("video")) {
    note();
    return box;
  }
  const url = `/api/videos/${encodeURIComponent(moment.video_id)}/thumbnail?at=${seconds.toFixed(1)}`;
  box.append(make("img", { src: url, alt: "", loading: "lazy", decoding: "async", width: 320, height: 180, onerror: note }));
  return box;
}

/** Text in which the words of a query's terms, or words that begin alike, are marked. */
export function marked(text, terms) {
  const wanted = terms.flatMap((term) => term.match(/[\p{L}\p{N}]+/gu) ?? []);
  const fits = (word) => wanted.some((one) => word === one || (one.length > 3 && word.startsWith(one.slice(0, Math.max(4, one.length - 2)))));
  const parts = text.split(/([\p{L}\p{N}]+)/u);
  return parts.map((part) => (fits(part.toLowerCase()) ? make("mark", { textContent: part }) : part));
}
