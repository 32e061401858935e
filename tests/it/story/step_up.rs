//! The strongest ceremony: the approver signs in anew at an OpenID provider, looks once more, and approves there.

use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::support::asking::alice;
use crate::support::provider::{Asked, Provider, Signed};
use crate::support::slack::Card;
use crate::support::world::{LEDGER, POLICY};
use crate::support::{TestApp, minutes};

pub(super) const BOB: &str = "bob@example.com";

/// Alice's request for which an approver must sign in again, and the way to do it.
pub(super) struct Stage {
    pub app: TestApp,
    provider: Provider,
    browser: Client,
    pub card: Card,
}

/// Writing needs it.
pub(super) fn policy() -> String {
    POLICY.replacen("ceremony = \"confirm\"", "ceremony = \"step_up\"", 1)
}

impl Stage {
    async fn set() -> Self {
        Self::with(policy(), &alice("ledger:write")).await
    }

    /// Under another policy, and with another request, whose card stands in the ledger's channel.
    pub async fn with(policy: String, asked: &Value) -> Self {
        let provider = Provider::start().await;
        let app = TestApp::stage()
            .policy(policy)
            .change_config("[identity]\n", &format!("{}[identity]\n", provider.config()))
            .start()
            .await;
        app.ask(asked).await.pending();
        let card = app.card(LEDGER).await;
        let browser = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { app, provider, browser, card }
    }

    /// Bob presses Approve and gets a link, for his eyes only.
    async fn link(&self) -> String {
        let report = self.app.click("U0BOB", &self.card, "approve").await;
        assert_eq!(report["status"], 200, "{report} {:?}", self.app.slack_calls("views.open").await);
        let url = self.link_of("U0BOB").await.expect("a link");
        assert!(!self.app.screen("U0ALICE").await.to_string().contains(&url), "the link is Bob's alone");
        url
    }

    /// The link on somebody's screen.
    pub async fn link_of(&self, person: &str) -> Option<String> {
        let view = self.app.form(person).await;
        view["blocks"].as_array()?.iter().find_map(|block| block["elements"][0]["url"].as_str()).map(str::to_owned)
    }

    /// Whoever has a link follows it and signs in; answers the page that they come back to, and the cookie.
    pub async fn goes(&self, link: &str, email: &str) -> (u16, String, String) {
        self.goes_with(link, email, |_| {}, Signed::Provider).await
    }

    async fn goes_with(
        &self,
        link: &str,
        email: &str,
        change: impl FnOnce(&mut Value),
        signed: Signed,
    ) -> (u16, String, String) {
        let (page, cookie) = self.leaves(link).await;
        let now = countersign::clock::Clock::now(&self.app.clock).timestamp();
        let mut claims = self.provider.signs_in(&page, email, now);
        change(&mut claims);
        self.provider.answers(claims, signed);
        let back = self.comes_back(&page, &cookie, "code").await;
        (back.status().as_u16(), back.text().await.unwrap(), cookie)
    }

    /// A browser follows the link: where it is sent, and the cookie that it keeps.
    async fn leaves(&self, link: &str) -> (String, String) {
        let sent = self.browser.get(link).send().await.unwrap();
        assert_eq!(sent.status(), 303, "{link}");
        let header = |name: &str| sent.headers()[name].to_str().unwrap().to_owned();
        let cookie = header("set-cookie");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
        (header("location"), cookie.split(';').next().unwrap().to_owned())
    }

    async fn comes_back(&self, page: &str, cookie: &str, code: &str) -> Response {
        let state = Asked::of(page).get("state");
        let back = self.app.url(&format!("/step-up/callback?state={state}&code={code}"));
        self.browser.get(back).header("cookie", cookie).send().await.unwrap()
    }

    pub async fn confirms(&self, csrf: &str, cookie: &str) -> Response {
        let form = self.browser.post(self.app.url("/step-up/confirm")).header("cookie", cookie);
        let answer = form.form(&[("csrf", csrf)]).send().await.unwrap();
        self.app.settle().await;
        answer
    }

    /// Bob signs in as somebody, with changed claims; answers the page that he comes back to.
    async fn signs_in(&self, email: &str, change: impl FnOnce(&mut Value), signed: Signed) -> (u16, String, String) {
        self.goes_with(&self.link().await, email, change, signed).await
    }

    async fn is_still_pending(&self) {
        assert!(self.app.ask(&alice("ledger:write")).await.pending().starts_with("req_"));
        assert!(self.app.card(LEDGER).await.head().starts_with("Approval needed"));
    }
}

pub(super) fn csrf(page: &str) -> String {
    let (_, rest) = page.split_once("name=csrf value=\"").expect("a form");
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn bob_signs_in_again_looks_once_more_and_only_then_it_is_approved() {
    let stage = Stage::set().await;
    // A click alone decides nothing, and neither does coming back from the provider.
    let (status, page, cookie) = stage.signs_in(BOB, |_| {}, Signed::Provider).await;
    assert_eq!(status, 200, "{page}");
    for said in ["Book entries in the ledger", "ledger:write", "ledger-cli", "alice@example.com", "PAY-7", "2h", BOB] {
        assert!(page.contains(said), "`{said}` is missing: {page}");
    }
    stage.is_still_pending().await;

    let csrf = csrf(&page);
    let approved = stage.confirms(&csrf, &cookie).await;
    assert_eq!(approved.status(), 200);
    assert!(approved.text().await.unwrap().contains("The request is approved"));
    let granted = stage.app.ask(&alice("ledger:write")).await.granted().clone();
    assert_eq!(granted["scope"], "ledger:write");

    // How he proved it is on record, and the confirmation counts once.
    let audit = json!(stage.app.audit().await).to_string();
    for said in ["urn:example:strong", "hwk", "sub-bob@example.com", "auth_time"] {
        assert!(audit.contains(said), "`{said}` is missing in the audit");
    }
    assert_eq!(stage.confirms(&csrf, &cookie).await.status(), 403);
}

#[tokio::test]
async fn a_sign_in_that_does_not_count_approves_nothing() {
    type Change = fn(&mut Value);
    let table: [(&str, &str, Change, Signed); 17] = [
        ("another person", "carol@example.com", |_| {}, Signed::Provider),
        ("an old sign-in", BOB, |c| c["auth_time"] = json!(c["auth_time"].as_i64().unwrap() - 60), Signed::Provider),
        (
            "a sign-in that is yet to come",
            BOB,
            |c| c["auth_time"] = json!(c["auth_time"].as_i64().unwrap() + 60),
            Signed::Provider,
        ),
        ("no time of the sign-in", BOB, |c| c["auth_time"] = Value::Null, Signed::Provider),
        ("a weaker context", BOB, |c| c["acr"] = json!("urn:example:password"), Signed::Provider),
        ("no context", BOB, |c| c["acr"] = Value::Null, Signed::Provider),
        ("another issuer", BOB, |c| c["iss"] = json!("https://evil.example"), Signed::Provider),
        ("another audience", BOB, |c| c["aud"] = json!("another-client"), Signed::Provider),
        ("a second audience", BOB, |c| c["aud"] = json!(["countersign", "another"]), Signed::Provider),
        ("a token for another party", BOB, |c| c["azp"] = json!("another-client"), Signed::Provider),
        (
            "a token beside another access token",
            BOB,
            |c| c["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA"),
            Signed::Provider,
        ),
        ("an expired token", BOB, |c| c["exp"] = json!(c["iat"].as_i64().unwrap() - 1), Signed::Provider),
        ("another nonce", BOB, |c| c["nonce"] = json!("replayed"), Signed::Provider),
        ("an address nobody verified", BOB, |c| c["email_verified"] = json!(false), Signed::Provider),
        ("another key", BOB, |_| {}, Signed::AnotherKey),
        ("no signature", BOB, |_| {}, Signed::Nobody),
        ("a shared secret", BOB, |_| {}, Signed::ClientSecret),
    ];
    let stage = Stage::set().await;
    let mut counted = Vec::new();
    for (what, email, change, signed) in table {
        let (status, page, _) = stage.signs_in(email, change, signed).await;
        counted.extend((status != 403 || page.contains("csrf")).then_some(what));
    }
    assert_eq!(counted, [""; 0], "these were taken for Bob's own fresh sign-in");
    stage.is_still_pending().await;
    let refused = stage.app.happened().await.iter().filter(|kind| *kind == "click.refused").count();
    assert_eq!(refused, table.len(), "each is on record");
}

#[tokio::test]
async fn what_belongs_to_one_browser_and_one_click_works_nowhere_else() {
    let stage = Stage::set().await;
    let link = stage.link().await;
    let (page, cookie) = stage.leaves(&link).await;
    let now = countersign::clock::Clock::now(&stage.app.clock).timestamp();
    let honest = stage.provider.signs_in(&page, BOB, now);

    // Another browser, without the cookie or with its own, gets nothing, and uses nothing up.
    for strange in ["", "countersign_step_up=guess"] {
        assert_eq!(stage.comes_back(&page, strange, "code").await.status(), 403);
    }
    stage.provider.answers(honest, Signed::Provider);
    let back = stage.comes_back(&page, &cookie, "code").await;
    assert_eq!(back.status(), 200);
    let token = csrf(&back.text().await.unwrap());

    // The same state again (with a code that the provider would take), a guessed state, a guessed form, a form from
    // another browser: refused.
    stage.provider.answers(stage.provider.signs_in(&page, BOB, now), Signed::Provider);
    assert_eq!(stage.comes_back(&page, &cookie, "code").await.status(), 403);
    let guessed = stage.app.url("/step-up/callback?state=guess&code=code");
    assert_eq!(stage.browser.get(guessed).header("cookie", &cookie).send().await.unwrap().status(), 403);
    assert_eq!(stage.confirms("guess", &cookie).await.status(), 403);
    assert_eq!(stage.confirms(&token, "countersign_step_up=other").await.status(), 403);
    // The link itself is of no use any more, and nothing was decided by any of this.
    assert_eq!(stage.browser.get(&link).send().await.unwrap().status(), 403);
    stage.is_still_pending().await;

    // Bob lost his place among the leads meanwhile: his confirmation is judged by what is true now.
    stage.app.group_is("S0LEADS", &["U0CAROL"]).await;
    stage.app.advance(minutes(2)).await;
    let refused = stage.confirms(&token, &cookie).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("Nothing was changed"));
    stage.is_still_pending().await;
}

#[tokio::test]
async fn a_way_back_that_failed_or_names_another_issuer_proves_nothing_and_is_used_up() {
    let stage = Stage::set().await;
    let now = countersign::clock::Clock::now(&stage.app.clock).timestamp();
    for strange in ["error=access_denied", "iss=https://evil.example"] {
        let (page, cookie) = stage.leaves(&stage.link().await).await;
        // With a code that the provider would take, now and a second time.
        for code in [format!("code&{strange}"), "code".to_owned()] {
            stage.provider.answers(stage.provider.signs_in(&page, BOB, now), Signed::Provider);
            assert_eq!(stage.comes_back(&page, &cookie, &code).await.status(), 403, "{code}");
        }
    }
    stage.is_still_pending().await;
    // The provider may say that it is itself.
    let (page, cookie) = stage.leaves(&stage.link().await).await;
    stage.provider.answers(stage.provider.signs_in(&page, BOB, now), Signed::Provider);
    let itself = format!("code&iss={}", stage.provider.issuer());
    assert_eq!(stage.comes_back(&page, &cookie, &itself).await.status(), 200);
}

#[tokio::test]
async fn whoever_is_somebody_else_by_the_confirmation_confirms_nothing() {
    let stage = Stage::set().await;
    let (status, page, cookie) = stage.signs_in(BOB, |_| {}, Signed::Provider).await;
    assert_eq!(status, 200, "{page}");
    // The account is another person's now, who is an approver as well and has not signed in.
    assert!(stage.app.directory_becomes("\"U0BOB\" = \"bob@example.com\"", "\"U0BOB\" = \"robert@example.com\"").await);
    let late = stage.confirms(&csrf(&page), &cookie).await;
    assert_eq!(late.status(), 403);
    assert!(late.text().await.unwrap().contains("Nothing was changed"));
    stage.is_still_pending().await;
}

#[tokio::test]
async fn a_link_that_is_too_old_or_of_a_request_that_ended_approves_nothing() {
    let stage = Stage::set().await;
    let link = stage.link().await;
    let (status, page, cookie) = stage.signs_in(BOB, |_| {}, Signed::Provider).await;
    assert_eq!(status, 200);
    let token = csrf(&page);
    stage.app.deny_with("U0CAROL", &stage.card, "not this month").await;
    let late = stage.confirms(&token, &cookie).await;
    assert_eq!(late.status(), 403);
    assert!(late.text().await.unwrap().contains("already denied"));
    // Nor does the button of a card that somebody's screen still shows give another link.
    let before = stage.link_of("U0BOB").await;
    stage.app.click("U0BOB", &stage.card, "approve").await;
    assert_eq!(stage.link_of("U0BOB").await, before);
    stage.app.advance(minutes(11)).await;
    assert_eq!(stage.browser.get(&link).send().await.unwrap().status(), 403);
    assert_eq!(stage.browser.get(stage.app.url("/step-up/unknown")).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn whoever_may_not_approve_gets_no_link() {
    let stage = Stage::set().await;
    for person in ["U0ALICE", "U0NORA", "U0GREG"] {
        stage.app.click(person, &stage.card, "approve").await;
        assert!(stage.app.screen(person).await["view"].is_null(), "{person} got a view");
        assert!(!stage.app.whisper_comes(person, LEDGER).await.is_empty(), "{person} is told");
    }
}

#[tokio::test]
async fn a_rule_that_needs_it_and_a_deployment_without_a_provider_do_not_start() {
    let policy = POLICY.replacen("ceremony = \"confirm\"", "ceremony = \"step_up\"", 1);
    let mut app = TestApp::stage().policy(policy).set().await;
    let error = app.run().await.expect_err("it does not start").to_string();
    assert!(error.contains("rule.\"writing\".ceremony") && error.contains("[step_up]"), "{error}");
}
