// A newcomer opens the demo in a browser: an approval, a denial, an outsider's refused click, and the plug.
// Clicks what a person would click, and waits for what a person would see.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

const binary = process.env.COUNTERSIGN ?? "../../target/debug/countersign";
const pictures = process.env.PICTURES; // a folder for screenshots, or nothing
const browserPath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

let demo, url, browser, page;
const complaints = [];

before(async () => {
  demo = spawn(binary, ["demo", "--port", "0"], {
    stdio: ["ignore", "pipe", "inherit"],
    // Whatever a developer's shell holds of Slack must not matter.
    env: { ...process.env, SLACK_BOT_TOKEN: "xoxb-1-never-used", SLACK_SIGNING_SECRET: "never used", RUST_LOG: "warn" },
  });
  url = await new Promise((found, failed) => {
    let text = "";
    demo.once("exit", (code) => failed(new Error(`the demo ended with ${code}`)));
    demo.stdout.on("data", (piece) => {
      text += piece;
      const at = text.match(/http:\/\/127\.0\.0\.1:\d+\//);
      if (at) found(at[0]);
    });
  });
  browser = await chromium.launch({ executablePath: browserPath, args: quiet });
  page = await browser.newPage({ viewport: { width: 1600, height: 1100 } });
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) complaints.push(`fetched ${request.url()}`);
  });
  await page.goto(url);
});

after(async () => {
  await browser?.close();
  demo?.kill("SIGINT");
});

const become = (person) => page.getByTestId(`person-${person}`).click();
const openChannel = (id) => page.getByTestId(`tab-${id}`).click();
const card = (state) => page.locator(`[data-testid^="message-"][data-state="${state}"]`);
const newestCall = () => page.locator('[data-testid^="call-"]').first();
const called = (outcome) => page.locator(`[data-testid^="call-"][data-outcome="${outcome}"]:first-child`).waitFor();
const audited = (kind, times) => page.locator(`[data-kind="${kind}"]`).nth(times - 1).waitFor();

/** Presses a button on the card in this state, and confirms where the card asks to. */
async function press(state, name, { confirm = true, dialog = name } = {}) {
  await card(state).first().getByRole("button", { name }).click();
  if (confirm) await page.getByRole("dialog").getByRole("button", { name: dialog }).click();
}

async function ask(preset) {
  await page.getByTestId(`preset-${preset}`).click();
  await page.getByTestId("ask").click();
}

async function picture(name) {
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: `${pictures}/${name}.png` });
}

test("the page says that Slack is a stand-in", async () => {
  await page.getByText("Slack here is a stand-in").waitFor();
});

test("an allowed read is answered at once", async () => {
  await ask("alice-read");
  await called("granted");
});

test("a refund waits for Bob; Eve's and Alice's clicks are refused; Bob's click answers the call that hangs", async () => {
  await ask("alice-refund");
  await called("waiting");
  await openChannel("C0PAYMENTS");
  await card("pending").waitFor();
  await picture("waiting");
  for (const [person, words] of [["U0EVE", "only members of this workspace"], ["U0ALICE", "your own request"]]) {
    await become(person);
    await press("pending", /^Approve request/, { dialog: /^Approve/ });
    await page.locator('[data-ephemeral="true"]', { hasText: words }).waitFor();
    await called("waiting");
  }
  await picture("refused");
  await become("U0BOB");
  await card("pending").getByRole("button", { name: /^Approve request/ }).click();
  await picture("confirm");
  await page.getByRole("dialog").getByRole("button", { name: /^Approve/ }).click();
  await called("granted");
  await card("approved").waitFor();
  await picture("approved");
});

test("the retry is answered without asking again, until Bob revokes", async () => {
  await ask("alice-refund");
  await called("granted");
  await audited("token.issued", 3);
  assert.equal(await card("pending").count(), 0, "nobody is asked again");
  assert.equal(await card("approved").count(), 1, "there is one card");
  await press("approved", /^Revoke/);
  await card("revoked").waitFor();
  await ask("alice-refund");
  await called("refused");
});

test("a denial with a reason reaches the client", async () => {
  await ask("build-refund");
  await card("pending").waitFor();
  await press("pending", /^Deny/, { confirm: false });
  const form = page.getByTestId("form");
  await form.getByRole("textbox").fill("Not while the books are closed");
  await picture("deny");
  await form.getByRole("button", { name: "Deny" }).click();
  await called("refused");
  await card("denied").getByText("Not while the books are closed").first().waitFor();
});

test("while Slack is unplugged a request is kept, and its card comes when the plug is back", async () => {
  await page.getByRole("button", { name: /Pull Slack/ }).click();
  await ask("agent-refund");
  await called("waiting");
  await page.getByRole("button", { name: /plug/i }).first().click();
  await card("pending").waitFor({ timeout: 30_000 });
});

test("restarting the service in mid-request loses nothing", async () => {
  await page.getByRole("button", { name: /Restart/ }).click();
  await called("pending");
  await press("pending", /^Approve request/, { dialog: /^Approve/ });
  await card("approved").waitFor();
  await newestCall().getByRole("button", { name: /^Retry/ }).click();
  await called("granted");
  await picture("restarted");
});

const form = () => page.getByTestId("form");
const stepDone = (id) => page.locator(`[data-testid="step-${id}"][data-done="true"]`).waitFor();

test("ways: Bob grants less than was asked, and the client gets what is left", async () => {
  await page.getByTestId("path-ways").click();
  await ask("desk-less");
  await openChannel("C0PAYMENTS");
  await become("U0BOB");
  await press("pending", /^Approve with changes/, { confirm: false });
  await form().getByLabel("invoices:read").uncheck();
  await form().getByLabel("For how long").selectOption({ label: "15 minutes" });
  await form().getByLabel(/^Note/).fill("Reading invoices is not needed for this.");
  await picture("less-form");
  await form().getByRole("button", { name: "Approve" }).click();
  await called("granted");
  await card("approved").last().getByText("took out").waitFor();
  assert.equal(await newestCall().locator(".scope.has").count(), 2, "two of three scopes");
  await stepDone("less");
  await picture("less-granted");
});

test("ways: an export needs the data owner and a lead, and one of them is not enough", async () => {
  await ask("alice-export");
  await openChannel("C0APPROVALS");
  await become("U0CAROL");
  await press("pending", /^Approve request/, { confirm: false });
  await card("pending").first().getByText("1 of 2 approvals").waitFor();
  await called("waiting");
  await picture("together-half");
  await become("U0BOB");
  await press("pending", /^Approve request/, { confirm: false });
  await called("granted");
  await stepDone("together");
  await picture("together-granted");
});

test("ways: a wrong number bars Carol, the one that the client shows lets Bob approve", async () => {
  await ask("alice-payout");
  await openChannel("C0PAYMENTS");
  await become("U0CAROL");
  await press("pending", /^Approve…/, { confirm: false });
  await form().getByLabel("Number that the client shows").fill("1111");
  await picture("number-form");
  await form().getByRole("button", { name: "Approve" }).click();
  await form().getByText("not the number").waitFor();
  await form().getByRole("button", { name: "Close", exact: true }).click();
  await called("waiting");
  await become("U0BOB");
  await press("pending", /^Approve…/, { confirm: false });
  const shown = await newestCall().locator(".call-facts strong").textContent();
  await form().getByLabel("Number that the client shows").fill(shown);
  await form().getByRole("button", { name: "Approve" }).click();
  await called("granted");
  await stepDone("number");
  await picture("number-granted");
});

/** Bob presses Approve and follows the link; answers the provider's page. */
async function signInPage() {
  await press("pending", /^Approve request|^Approve:/, { dialog: /^Approve/ });
  const link = form().getByRole("link", { name: /Sign in and approve/ });
  await link.waitFor();
  await picture("sign-in-link");
  const [tab] = await Promise.all([page.context().waitForEvent("page"), link.click()]);
  await tab.getByRole("heading", { name: "Sign in" }).waitFor();
  return tab;
}

async function tabPicture(tab, name) {
  if (pictures) await tab.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
}

test("ways: Bob signs in again; as Carol, or with a password alone, nothing is approved", async () => {
  await ask("alice-keys");
  await openChannel("C0PAYMENTS");
  await become("U0BOB");
  for (const [who, how, refused] of [["Carol Chen", "a security key", "somebody else"], ["Bob Berger", "a password alone", "not strong enough"]]) {
    const tab = await signInPage();
    await tab.getByLabel(who).check();
    await tab.getByLabel(how).check();
    await tabPicture(tab, `provider-${who.split(" ")[0]}`);
    await tab.getByRole("button", { name: "Sign in" }).click();
    await tab.getByText(refused).waitFor();
    await tabPicture(tab, `refused-${who.split(" ")[0]}`);
    await tab.close();
    await form().getByRole("button", { name: "Back" }).click();
  }
  await called("waiting");
  const tab = await signInPage();
  await tab.emulateMedia({ colorScheme: "dark" });
  await tabPicture(tab, "provider-dark");
  await tab.getByRole("button", { name: "Sign in" }).click();
  await tab.getByRole("heading", { name: "Approve this token?" }).waitFor();
  for (const said of ["bob@example.com", "keys:rotate", "vault-cli", "SEC-9"]) await tab.getByText(said).first().waitFor();
  await tabPicture(tab, "confirmation-dark");
  await tab.emulateMedia({ colorScheme: "light" });
  await tab.setViewportSize({ width: 360, height: 740 });
  await tabPicture(tab, "confirmation-small");
  assert.equal(await card("pending").count() > 0, true, "coming back decides nothing");
  await tab.getByRole("button", { name: "Approve" }).click();
  await tab.getByText("The request is approved").waitFor();
  await tab.close();
  await called("granted");
  await stepDone("sign-in");
  await form().getByRole("button", { name: "Back" }).click();
  await picture("sign-in-granted");
});

test("ways: Carol breaks the glass at once, and Bob says afterwards that it was justified", async () => {
  await ask("carol-glass");
  await called("granted");
  await openChannel("C0APPROVALS");
  await become("U0BOB");
  await picture("glass-card");
  await page.getByRole("button", { name: /^Justified/ }).first().click();
  await form().getByRole("textbox").fill("The outage was real, INC-77.");
  await form().getByRole("button", { name: "Record" }).click();
  await page.getByText("Reviewed: justified").first().waitFor();
  await stepDone("glass");
  await picture("glass-reviewed");
});

test("the page is usable on a small screen, in the dark, and never fetched anything from elsewhere", async () => {
  await page.emulateMedia({ colorScheme: "dark" });
  await page.setViewportSize({ width: 360, height: 740 });
  await picture("small-dark");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 360, `nothing sticks out sideways (${wide} px)`);
  assert.deepEqual(complaints, []);
});
