// The page: what is typed and pressed, what the address says, which part is shown.

import { ask } from "./api.js";
import { byId, make } from "./dom.js";
import * as filters from "./filters.js";
import * as map from "./map.js";
import * as moments from "./moments.js";
import * as player from "./player.js";
import * as videos from "./videos.js";

const VIEWS = ["moments", "videos", "map"];
const ARROWS = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];

/** The address holds the question and the part that is shown, so that both can be sent to others. */
function address() {
  const values = new URLSearchParams(location.hash.slice(1));
  const view = values.get("view");
  return { text: values.get("q") ?? "", view: VIEWS.includes(view) ? view : "moments" };
}

function remember(text, view) {
  const values = new URLSearchParams();
  if (text) values.set("q", text);
  if (view !== "moments") values.set("view", view);
  const hash = `#${values}`;
  if (hash !== (location.hash || "#")) history.pushState(null, "", hash);
}

function showView(view) {
  for (const one of VIEWS) {
    byId(one).hidden = one !== view;
    const tab = document.querySelector(`nav [data-view=${one}]`);
    if (one === view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  if (view === "videos") videos.show();
  if (view === "map") map.show();
}

function search(text) {
  document.title = text ? `${text} – search videos` : "Search videos";
  moments.look({ text });
}

/** Show what the address says. */
function follow() {
  const { text, view } = address();
  byId("query").value = text;
  showView(view);
  if (text && text !== moments.shown.question?.text) search(text);
}

function play(moment, from) {
  player.open(moment, moments.shown.question, moments.shown.results, from);
}

function playVideo(video, from) {
  play({ ...video, start_seconds: 0, end_seconds: video.length_seconds ?? 0, sources: [] }, from);
}

function like(moment) {
  byId("query").value = "";
  remember("", "moments");
  showView("moments");
  moments.look({ moment });
}

function only(video) {
  remember(byId("query").value.trim(), "moments");
  showView("moments");
  filters.onlyVideo(video.video_id);
  byId("query").focus();
}

/** Whether keys are for what has the focus: a text, or something that takes this key itself. */
function isTyping(target, key) {
  if (target.matches("textarea, select, input:not([type=checkbox], [type=file])")) return true;
  return key === " " && target.matches("button:not(.card .open), summary, a, input, video");
}

function pressed(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || byId("help").open) return;
  if (key === "Escape" && player.isOpen()) player.close();
  else if (target === byId("query") && key === "ArrowDown") moments.step(key, target);
  else if (isTyping(target, key)) return;
  else if (key === "/") byId("query").select();
  else if (key === "?") byId("help").showModal();
  else if (key === " " && player.isOpen() && !isOtherCard(target)) player.toggle();
  else if (ARROWS.includes(key) && !byId("moments").hidden && !target.closest("#player")) {
    if (!moments.step(key, target)) return;
  } else if (player.isOpen() && key === ",") player.skip(-5);
  else if (player.isOpen() && key === ".") player.skip(5);
  else if (player.isOpen() && (key === "n" || key === "p")) player.jump(key === "n" ? 1 : -1);
  else return;
  event.preventDefault();
}

/** A card that is not the one that plays: the space bar opens it. */
const isOtherCard = (target) => target.matches(".card:not(.current) .open");

async function begin() {
  moments.begin(play, () => byId("map").hidden || map.show());
  player.begin({ like, only, closed: () => {} });
  map.begin(play);
  document.addEventListener("keydown", pressed);
  addEventListener("popstate", follow);
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("query").value.trim();
    if (!text) return;
    const view = byId("map").hidden ? "moments" : "map";
    remember(text, view);
    showView(view);
    search(text);
  });
  byId("picture").addEventListener("change", (event) => {
    const [picture] = event.target.files;
    event.target.value = "";
    if (!picture) return;
    byId("query").value = "";
    showView("moments");
    moments.look({ picture });
  });
  for (const tab of document.querySelectorAll("nav [data-view]")) {
    tab.addEventListener("click", () => {
      remember(moments.shown.question?.text ?? "", tab.dataset.view);
      showView(tab.dataset.view);
    });
  }
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  try {
    const about = await ask("/api/about");
    filters.begin(about, moments.again);
    videos.begin(about, playVideo, only);
    byId("by-picture").hidden = !about.sources.includes("seen");
    byId("basis").append(make("p", { textContent: "What the answers rest on:" }),
      make("ul", {}, ...about.basis.map((sentence) => make("li", { textContent: sentence }))));
    follow();
  } catch (error) {
    byId("status").textContent = error.message;
    byId("status").className = "wrong";
  }
}

begin();
