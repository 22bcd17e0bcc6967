// The moments that were found, as cards.

import { ask } from "./api.js";
import { byId, count, make, marked, sourceLabels, span, thumbnail } from "./dom.js";
import * as filters from "./filters.js";

const STEP = 24;
const MOST = 200;

/** What is shown: { text } of words, { moment } of more like it, { picture } of a file; and what came. */
export const shown = { question: null, results: [], terms: [] };

let limit = STEP;
let running = new AbortController();
let handlers;

/** play: called with a moment and its card; found: called when moments came. */
export function begin(play, found) {
  handlers = { play, found };
  byId("more").addEventListener("click", () => look(shown.question, Math.min(MOST, limit * 2)));
}

/** Ask again with other filters. */
export const again = () => shown.question && look(shown.question);

/** Find moments for a question and show them. */
export async function look(question, wanted = STEP) {
  running.abort();
  running = new AbortController();
  limit = wanted;
  shown.question = question;
  byId("welcome").hidden = true;
  byId("moments").setAttribute("aria-busy", "true");
  say("Looking …");
  try {
    const { results, terms = [] } = await request(question, running.signal);
    shown.terms = terms;
    show(results);
  } catch (error) {
    if (error.name !== "AbortError") fail(error.message);
  } finally {
    byId("moments").removeAttribute("aria-busy");
  }
}

function request(question, signal) {
  const parameters = { ...filters.chosen(), limit };
  if (question.text !== undefined) return ask("/api/search", { q: question.text, weak: question.weak, ...parameters }, { signal });
  const { sources, one_per_video: single, ...others } = parameters;
  if (question.picture) return ask("/api/picture", others, { method: "POST", body: question.picture, signal });
  const { video_id, start_seconds, end_seconds } = question.moment;
  return ask("/api/like", { video_id, start_seconds, end_seconds, ...others }, { signal });
}

/** Show what came; where nothing came, say what to try. */
function show(results) {
  shown.results = results;
  byId("results").replaceChildren(...results.map(card));
  const { text, moment, picture } = shown.question;
  const of = text !== undefined ? `“${text}”` : picture ? `the picture ${picture.name ?? ""}` : `${moment.name} at ${span(moment)}`;
  if (results.length && results.every((one) => one.weak)) say(`No moment fits ${of}. The nearest ones:`);
  else if (results.length) say(`${count(results.length, "moment")} for ${of}`);
  else say(`No moment fits ${of}. Try other words, or fewer filters.`);
  if (!results.length && text !== undefined && !shown.question.weak) offerNearest(text);
  byId("more").hidden = results.length < limit || limit >= MOST;
  handlers.found();
}

/** Beside the sentence that nothing fits: a button that shows what comes nearest all the same. */
function offerNearest(text) {
  const nearest = make("button", {
    type: "button",
    className: "plain",
    id: "nearest",
    textContent: "Show the nearest anyway",
    onclick: () => look({ text, weak: true }),
  });
  byId("status").append(" ", nearest);
}

function fail(message) {
  shown.results = [];
  byId("results").replaceChildren();
  byId("more").hidden = true;
  say(message, true);
}

function say(message, wrong = false) {
  byId("status").textContent = message;
  byId("status").className = wrong ? "wrong" : "";
}

/** One moment: what it shows, where it is, what is said in it, why it was found. */
function card(moment) {
  const open = make("button", {
    type: "button",
    className: "open",
    textContent: moment.name,
    "aria-label": `Play ${moment.name} from ${span(moment)}${moment.said ? `, said: ${moment.said}` : ""}`,
    onclick: () => handlers.play(moment, open),
  });
  const like = make("button", {
    type: "button",
    className: "plain",
    textContent: "More like this",
    onclick: () => look({ moment }),
  });
  const picture = thumbnail(moment, (moment.start_seconds + moment.end_seconds) / 2);
  picture.append(make("span", { className: "time", textContent: span(moment) }));
  const why = moment.why.length
    ? make("details", { className: "why" }, make("summary", { textContent: "Why" }),
        make("ul", {}, ...moment.why.map((sentence) => make("li", { textContent: sentence }))))
    : null;
  const place = moment.folder ? make("span", { className: "quiet folder", textContent: moment.folder }) : null;
  const said = moment.said ? make("p", { className: "said" }, ...marked(moment.said, shown.terms)) : null;
  return make("li", { className: "card" }, picture,
    make("div", { className: "text" }, make("p", { className: "title" }, open, place), said,
      make("div", { className: "foot" }, sourceLabels(moment.sources), weakLabel(moment), like), why));
}

function weakLabel(moment) {
  return moment.weak ? make("span", { className: "quiet", textContent: "too far to fit" }) : null;
}

/** Go from card to card: `key` is an arrow; from outside of the cards to the first. */
export function step(key, from) {
  const cards = [...byId("results").querySelectorAll(".open")];
  const place = cards.indexOf(from?.closest?.(".card")?.querySelector(".open"));
  if (place < 0) return focus(cards[0]);
  if (key === "ArrowRight") return focus(cards[place + 1]);
  if (key === "ArrowLeft") return focus(cards[place - 1]);
  const here = cards[place].closest(".card").getBoundingClientRect();
  const down = key === "ArrowDown";
  const others = cards.map((one) => [one, one.closest(".card").getBoundingClientRect()]);
  const beyond = others.filter(([, box]) => (down ? box.top > here.top + 1 : box.top < here.top - 1));
  if (!beyond.length) return down ? false : focus(byId("query"));
  const distance = ([, box]) => 1000 * Math.abs(box.top - here.top) + Math.abs(box.left - here.left);
  return focus(beyond.reduce((best, one) => (distance(one) < distance(best) ? one : best))[0]);
}

function focus(element) {
  element?.focus();
  element?.closest(".card")?.scrollIntoView({ block: "nearest" });
  return Boolean(element);
}
