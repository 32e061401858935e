// Starts the page: three columns that draw from one world, the controls at the top, and the switch
// between the columns where there is room for one or two only.
//
// To read on: world.js (what is known), client.js, slack.js and trail.js (the columns), blockkit.js and
// mrkdwn.js (how Slack draws), forms.js, composer.js and search.js (where people type), guide.js (the path), policy.js, dom.js (elements and ticking times).

import * as client from "./client.js";
import { byId, toast } from "./dom.js";
import * as guide from "./guide.js";
import * as policy from "./policy.js";
import * as slack from "./slack.js";
import * as trail from "./trail.js";
import { follow, onChange, openPane, post, readFixed, refresh, stored, store, whyNot, world } from "./world.js";

function drawControls() {
  const { service, slack: app } = world.state ?? {};
  const plugged = app?.plugged !== false;
  const health = byId("health");
  const [css, words, title] = !world.reachable
    ? ["down", "playground does not answer", ""]
    : service?.up === false ? ["down", "service restarting…", service?.url] : ["up", "service running", service?.url];
  if (health.dataset.health !== css || health.dataset.words !== words) {
    Object.assign(health.dataset, { health: css, words });
    health.querySelector(".words").textContent = words;
    if (title) health.title = title;
  }
  const plug = byId("plug");
  plug.setAttribute("aria-pressed", String(!plugged));
  plug.querySelector(".words").textContent = plugged ? "Pull Slack’s plug" : "Plug Slack back in";
}

function wireControls() {
  byId("plug").addEventListener("click", async () => {
    const plugged = world.state?.slack?.plugged === false;
    const answer = await post("/page/plug", { plugged });
    if (!answer.ok) toast(whyNot(answer));
    else toast(plugged ? "Slack is plugged back in" : "Slack’s plug is pulled: nothing gets in or out");
    await refresh();
  });
  byId("restart").addEventListener("click", async () => {
    guide.restarting();
    const answer = await post("/page/restart");
    toast(answer.ok ? "The service restarts on the same database" : whyNot(answer));
    await refresh();
  });
}

// ---- the columns where there is no room for all -------------------------------------------------

const looked = { slack: 0, trail: 0, client: 0 };

/** How much there is in each column, to tell what is new. */
function amounts() {
  const messages = Object.values(world.state?.messages ?? {}).flat();
  return { slack: messages.length, trail: world.audit.length, client: (world.state?.calls ?? []).filter((call) => call.state !== "waiting").length };
}

function drawPanes() {
  const now = amounts();
  for (const button of document.querySelectorAll(".panes button")) {
    const pane = button.dataset.pane;
    const current = document.body.dataset.pane === pane;
    button.setAttribute("aria-pressed", String(current));
    if (current) looked[pane] = now[pane];
    const fresh = now[pane] - looked[pane];
    const news = button.querySelector(".news");
    news.hidden = fresh <= 0;
    news.textContent = fresh > 0 ? `${fresh} new` : "";
  }
  store("pane", document.body.dataset.pane);
}

for (const button of document.querySelectorAll(".panes button")) {
  button.addEventListener("click", () => {
    openPane(button.dataset.pane);
    if (matchMedia("(max-width: 759px)").matches) byId(button.dataset.pane).scrollIntoView({ block: "start" });
  });
}

// ---- start --------------------------------------------------------------------------------------

document.body.dataset.pane = stored("pane") ?? "client";
policy.begin();
wireControls();
await readFixed();
client.begin();
for (const draw of [drawControls, client.draw, slack.draw, trail.draw, guide.draw, drawPanes]) onChange(draw);
await refresh();
Object.assign(looked, amounts());
drawPanes();
follow();
