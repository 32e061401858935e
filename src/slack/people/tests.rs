use super::*;
use crate::slack::fake::{Answer, FakeSlack};
use chrono::DateTime;
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(1_795_460_000 + seconds, 0).unwrap()
}

fn user(id: &str) -> SlackUserId {
    SlackUserId::parse(id).unwrap()
}

fn leads() -> SlackGroupId {
    SlackGroupId::parse("S0LEADS").unwrap()
}

fn list(users: &[&str]) -> Answer {
    Answer::Json(json!({ "ok": true, "users": users }))
}

fn down() -> Answer {
    Answer::Raw(503, None, String::new())
}

fn profile(change: impl Fn(&mut Value)) -> Answer {
    let mut bob = json!({
        "id": "U0BOB", "team_id": "T0ACME", "is_bot": false, "is_app_user": false, "is_restricted": false,
        "is_ultra_restricted": false, "is_email_confirmed": true, "profile": { "email": "bob@example.com" }
    });
    change(&mut bob);
    Answer::Json(json!({ "ok": true, "user": bob }))
}

async fn group(users: &[&str]) -> (FakeSlack, People) {
    let (fake, slack) = FakeSlack::start().await;
    fake.says("usergroups.users.list", list(users));
    (fake, People::new(slack))
}

fn asked(fake: &FakeSlack) -> usize {
    fake.calls("usergroups.users.list").len()
}

#[tokio::test]
async fn a_member_is_believed_for_sixty_seconds_and_then_asked_for_again() {
    let (fake, people) = group(&["U0BOB"]).await;
    assert_eq!(people.is_member(&leads(), &user("U0BOB"), at(0)).await, Ok((true, at(0))));
    fake.says("usergroups.users.list", list(&[]));
    assert_eq!(people.is_member(&leads(), &user("U0BOB"), at(60)).await, Ok((true, at(0))));
    assert_eq!(asked(&fake), 1);
    assert_eq!(people.is_member(&leads(), &user("U0BOB"), at(61)).await, Ok((false, at(61))));
}

#[tokio::test]
async fn somebody_who_is_not_in_the_list_is_asked_for_again_but_at_most_once_in_five_seconds() {
    let (fake, people) = group(&["U0BOB"]).await;
    assert_eq!(people.is_member(&leads(), &user("U0EVE"), at(0)).await, Ok((false, at(0))));
    fake.says("usergroups.users.list", list(&["U0BOB", "U0EVE"]));
    assert_eq!(people.is_member(&leads(), &user("U0EVE"), at(4)).await, Ok((false, at(0))));
    assert_eq!(asked(&fake), 1);
    assert_eq!(people.is_member(&leads(), &user("U0EVE"), at(5)).await, Ok((true, at(5))));
    assert_eq!(asked(&fake), 2);
}

#[tokio::test]
async fn a_failed_second_look_keeps_the_members_and_refuses_the_one_it_was_for() {
    let (fake, people) = group(&["U0BOB"]).await;
    people.is_member(&leads(), &user("U0BOB"), at(0)).await.unwrap();
    fake.says("usergroups.users.list", down());
    assert!(people.is_member(&leads(), &user("U0EVE"), at(10)).await.is_err());
    assert!(people.is_member(&leads(), &user("U0EVE"), at(11)).await.is_err());
    assert_eq!(asked(&fake), 2);
    assert_eq!(people.is_member(&leads(), &user("U0BOB"), at(59)).await, Ok((true, at(0))));
    assert!(people.is_member(&leads(), &user("U0BOB"), at(61)).await.is_err());
    fake.says("usergroups.users.list", list(&["U0BOB"]));
    assert_eq!(people.is_member(&leads(), &user("U0BOB"), at(62)).await, Ok((true, at(62))));
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_what_is_remembered_stale() {
    let (fake, people) = group(&["U0BOB"]).await;
    people.is_member(&leads(), &user("U0BOB"), at(0)).await.unwrap();
    fake.says("usergroups.users.list", list(&[]));
    assert_eq!(people.is_member(&leads(), &user("U0BOB"), at(-30)).await, Ok((false, at(-30))));
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_call() {
    for (answer, expected) in [(list(&["U0BOB"]), Some(true)), (down(), None)] {
        let (fake, people) = group(&[]).await;
        fake.says("usergroups.users.list", answer);
        let (leads, bob) = (leads(), user("U0BOB"));
        let all = (0..20).map(|n| people.is_member(&leads, &bob, at(n % 2)));
        for answer in futures_util::future::join_all(all).await {
            assert_eq!(answer.ok().map(|(is_in, _)| is_in), expected);
        }
        assert_eq!(asked(&fake), 1);
    }
}

#[tokio::test]
async fn what_was_learnt_since_an_instant_is_known_without_asking() {
    let (fake, people) = group(&["U0BOB"]).await;
    fake.says("users.info", profile(|_| {}));
    assert_eq!(people.is_member_since(&leads(), &user("U0BOB"), at(0)), None);
    people.is_member(&leads(), &user("U0BOB"), at(10)).await.unwrap();
    people.standing(&user("U0BOB"), false, at(10)).await.unwrap();
    assert_eq!(people.is_member_since(&leads(), &user("U0BOB"), at(10)), Some(true));
    assert_eq!(people.is_member_since(&leads(), &user("U0EVE"), at(10)), Some(false));
    assert_eq!(people.is_member_since(&leads(), &user("U0BOB"), at(11)), None);
    assert!(people.standing_since(&user("U0BOB"), at(10)).is_some());
    assert_eq!(people.standing_since(&user("U0BOB"), at(11)), None);
    assert_eq!((asked(&fake), fake.calls("users.info").len()), (1, 1));
}

#[tokio::test]
async fn an_account_is_remembered_and_what_slack_does_not_say_refuses() {
    let (fake, people) = group(&[]).await;
    fake.says("users.info", profile(|_| {}));
    let (standing, learnt_at) = people.standing(&user("U0BOB"), false, at(0)).await.unwrap();
    assert_eq!((standing.outsider("T0ACME"), learnt_at), (None, at(0)));
    assert!(!standing.email_is_sole_and_confirmed);
    fake.says("users.info", profile(|bob| bob["deleted"] = json!(true)));
    assert_eq!(people.standing(&user("U0BOB"), false, at(60)).await.unwrap().0.outsider("T0ACME"), None);
    assert!(people.standing(&user("U0BOB"), false, at(61)).await.unwrap().0.deleted);
    for (n, member) in ["team_id", "is_bot", "is_restricted", "is_ultra_restricted"].iter().enumerate() {
        fake.says("users.info", profile(|bob| bob[member] = Value::Null));
        let now = at(1_000 * (i64::try_from(n).unwrap() + 1));
        let (standing, _) = people.standing(&user("U0BOB"), false, now).await.unwrap();
        assert!(standing.outsider("T0ACME").is_some(), "{member}");
    }
}

#[tokio::test]
async fn an_account_that_cannot_be_asked_about_refuses() {
    let (fake, people) = group(&[]).await;
    for answer in [
        down(),
        Answer::Hang,
        Answer::Json(json!({ "ok": false, "error": "user_not_found" })),
        Answer::Json(json!({ "ok": true })),
        profile(|bob| bob["id"] = json!("U0OTHER")),
    ] {
        fake.says("users.info", answer);
        assert!(people.standing(&user("U0BOB"), false, at(0)).await.is_err());
    }
}

#[tokio::test]
async fn an_address_maps_only_when_confirmed_and_held_by_this_account_alone() {
    let (fake, people) = group(&[]).await;
    let holder = |id: &str| Answer::Json(json!({ "ok": true, "user": { "id": id } }));
    let none = Answer::Json(json!({ "ok": false, "error": "users_not_found" }));
    let mut now = 0;
    for (confirmed, answer, expected) in [
        (json!(true), holder("U0BOB"), Some(true)),
        (json!(true), holder("U0OTHER"), Some(false)),
        (json!(true), none, Some(false)),
        (json!(true), down(), None),
        (json!(false), holder("U0BOB"), Some(false)),
        (Value::Null, holder("U0BOB"), Some(false)),
    ] {
        now += 100;
        fake.says("users.info", profile(|bob| bob["is_email_confirmed"] = confirmed.clone()));
        fake.says("users.lookupByEmail", answer);
        let answer = people.standing(&user("U0BOB"), true, at(now)).await;
        assert_eq!(answer.ok().map(|(standing, _)| standing.email_is_sole_and_confirmed), expected, "at {now}");
    }
    fake.says("users.info", profile(|_| {}));
    fake.says("users.lookupByEmail", holder("U0BOB"));
    people.standing(&user("U0BOB"), false, at(5_000)).await.unwrap();
    let (standing, _) = people.standing(&user("U0BOB"), true, at(5_001)).await.unwrap();
    assert!(standing.email_is_sole_and_confirmed, "an answer without the check does not do for one with it");
}
