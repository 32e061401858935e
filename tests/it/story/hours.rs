//! When somebody asks at an unusual hour, the card says so, by their own clock.

use chrono::{Datelike, Timelike, Weekday};
use countersign::clock::Clock;
use serde_json::json;

use crate::support::asking::{alice, job};
use crate::support::world::DESK;
use crate::support::{TestApp, minutes};

const HOUR: i32 = 3_600;

/// The next time that it is this hour in London, on this day.
async fn it_becomes(app: &TestApp, day: Weekday, hour: u32) {
    let is_then = |app: &TestApp| {
        let now = app.clock.now();
        now.weekday() == day && now.hour() == hour
    };
    for _ in 0..8 * 24 * 4 {
        if is_then(app) {
            return;
        }
        app.clock.advance(minutes(15));
    }
    panic!("it is never {day} at {hour}");
}

/// What the newest card says is unusual about the hour.
async fn hour_of(app: &TestApp) -> Option<String> {
    let card = app.cards(DESK).await.pop().expect("a card");
    let said = card.says.lines().find(|line| line.contains("Out of hours") || line.contains("weekend"));
    said.map(str::to_owned)
}

#[tokio::test]
async fn a_request_in_the_night_of_whoever_asks_is_out_of_hours_by_their_clock_and_by_no_other() {
    let app = TestApp::start().await;
    it_becomes(&app, Weekday::Wed, 12).await;
    // At noon in London it is three in the morning in Alaska.
    app.person_becomes("U0ALICE", json!({ "tz_offset": -9 * HOUR })).await;
    app.ask(&alice("plain:night")).await.pending();
    let said = hour_of(&app).await.expect("it is unusual");
    assert!(said.contains("Out of hours for alice@example.com: Wednesday, 03:"), "{said}");
    assert!(said.contains("(UTC-09:00) on their clock"), "{said}");
    // And afternoon in Delhi: nothing unusual, a minute later than Slack is believed about her.
    app.person_becomes("U0ALICE", json!({ "tz_offset": 5 * HOUR + HOUR / 2 })).await;
    app.advance(minutes(2)).await;
    app.ask(&alice("plain:day")).await.pending();
    assert_eq!(hour_of(&app).await, None);
    // The weekend begins where she is, not where the servers are.
    it_becomes(&app, Weekday::Fri, 20).await;
    app.ask(&alice("plain:late")).await.pending();
    let said = hour_of(&app).await.expect("it is unusual");
    assert!(said.contains("Out of hours for alice@example.com: Saturday, 0") && said.contains("(UTC+05:30)"), "{said}");
}

#[tokio::test]
async fn what_has_no_clock_of_its_own_is_looked_at_by_utc_and_the_card_says_so() {
    let app = TestApp::start().await;
    it_becomes(&app, Weekday::Wed, 3).await;
    app.ask(&job("plain:night")).await.pending();
    assert_eq!(hour_of(&app).await, None, "a build job has no night");
    it_becomes(&app, Weekday::Sat, 12).await;
    app.ask(&job("plain:late")).await.pending();
    assert!(hour_of(&app).await.expect("it is unusual").contains("at a weekend (by UTC"));
    // Alice's clock is not known where Slack does not say: it is not guessed.
    app.ask(&alice("plain:late")).await.pending();
    assert!(hour_of(&app).await.expect("it is unusual").contains("nobody's own clock is known"));
}
