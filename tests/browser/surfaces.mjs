// Everything that is ever shown in Slack, drawn by the page of the demo, light and dark: one picture each with PICTURES=FOLDER.
// `tests/forms` leaves what is to be drawn in FORMS_DIR; the page's own files are served from here, and what it asks the
// stand-in for is answered with one message, view or Home after the other.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const pictures = process.env.PICTURES;
const forms = process.env.FORMS_DIR ?? "../../target/forms";
const pageFiles = fileURLToPath(new URL("../../src/playground/page/", import.meta.url));
const types = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css" };

const person = (id, name, kind = "member") => ({ id, name, kind, title: "", note: "" });
const channel = (id, name, kind = "channel") => ({ id, name, kind });
const people = [
  person("U0ALICE", "Alice Adler"), person("U0BOB", "Bob Berger"), person("U0CAROL", "Carol Chen"), person("U0DORA", "Dora Diaz"),
  person("U0PERSON0", "Pat Zero"), person("U0PERSON1", "Pia One"), person("U0COUNTERSIGN", "Countersign", "bot"),
];
const empty = {
  now: "2026-11-23T18:53:20Z",
  you: people[0], people, slack: { plugged: true, team: "Acme (a stand-in)" }, service: { up: false, url: "" }, view: null, home: null, messages: {},
  channels: [channel("C0PAY", "payments"), channel("D0ALICE", "Countersign", "dm")],
  groups: [{ id: "S0SET0", handle: "payments-leads" }, { id: "S0SET2", handle: "data-owners" }],
};

/** The whole state of the stand-in, for one thing to be drawn. */
function showing(value, n) {
  if (value.type === "modal") return { ...empty, view: { id: `V${n}`, view: value, errors: {} } };
  if (value.type === "home") return { ...empty, home: { id: `V${n}`, ...value } };
  const ts = "1795460000.000100";
  const message = { ...value, ts: value.thread_ts ? "1795460001.000100" : ts, user: "U0COUNTERSIGN", ephemeral: Boolean(value.user), thread_ts: undefined };
  return { ...empty, messages: { C0PAY: [message] } };
}

let server, url, browser, state = empty;
const complaints = [];

before(async () => {
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://here");
    const send = (type, body) => response.writeHead(200, { "content-type": type }).end(body);
    if (pathname === "/page/state") return send("application/json", JSON.stringify(state));
    if (pathname === "/page/stream") return response.writeHead(200, { "content-type": "text/event-stream" }).write(": here\n\n");
    if (pathname === "/page/presets") return send("application/json", "[]");
    if (pathname === "/page/policy") return send("application/json", JSON.stringify({ text: "", file: "policy.toml" }));
    if (pathname.startsWith("/page/")) return send("application/json", "{}");
    const file = pathname === "/" ? "index.html" : pathname.slice(1);
    if (!/^[a-z]+\.(html|js|css)$/.test(file) || !existsSync(pageFiles + file)) return response.writeHead(404).end();
    return send(types[file.split(".")[1]], readFileSync(pageFiles + file));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  url = `http://127.0.0.1:${server.address().port}/`;
  const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: quiet });
});

after(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
});

const slug = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

for (const scheme of ["light", "dark"]) {
  test(`every surface, ${scheme}`, async () => {
    const file = `${forms}/gallery.ndjson`;
    assert.ok(existsSync(file), `${file} is not there: tests/forms/run.sh leaves it`);
    const gallery = readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line));
    assert.ok(gallery.length > 60, "too little to draw");
    const page = await browser.newPage({ viewport: { width: 1600, height: 1200 }, colorScheme: scheme });
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
    await page.goto(url);
    // A picture shows all of it, however long it is, and nothing is on its way.
    await page.addStyleTag({ content: "body, main, .pane, .columns, #window, #window-inside, #channel, .home, .over { height: auto !important; max-height: none !important; overflow: visible !important } .form, .form-body { max-height: none !important } * { animation: none !important; transition: none !important } .guide { display: none }" });
    if (pictures) mkdirSync(`${pictures}/${scheme}`, { recursive: true });
    for (const [n, { name, value }] of gallery.entries()) {
      state = showing(value, n);
      // As the page does when the stand-in says that something changed.
      await page.evaluate(async ({ tab }) => {
        const { openTab, refresh } = await import("/world.js");
        openTab(tab);
        await refresh();
      }, { tab: value.type === "home" ? "home" : "C0PAY" });
      const what = page.locator({ modal: '[data-testid="form"]', home: '[data-testid="home"]' }[value.type] ?? '#channel [data-testid^="message-"]').first();
      await what.waitFor({ timeout: 5_000 }).catch((error) => assert.fail(`${name}: it is not drawn: ${complaints.join('; ') || error.message}`));
      const drawn = await what.evaluate((element) => ({
        words: element.innerText, unknown: [...element.querySelectorAll(".unknown")].map((one) => one.textContent),
        tooWide: element.scrollWidth > element.clientWidth + 1,
      }));
      assert.deepEqual(drawn.unknown, [], `${name}: the page does not draw all of it`);
      assert.ok(drawn.words.trim().length > 3, `${name}: nothing is there`);
      assert.ok(!drawn.tooWide, `${name}: it is wider than its place`);
      if (pictures) await what.screenshot({ path: `${pictures}/${scheme}/${String(n).padStart(3, "0")}-${slug(name).slice(0, 90)}.png` });
    }
    assert.deepEqual(complaints, []);
    await page.close();
  });
}
