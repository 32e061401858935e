//! The rows: what people who use such products ask for, what went wrong elsewhere, what nobody offers, and what others
//! have. Each row names the check that would fail if it were not met here, or says plainly where it belongs.

use std::future::Future;
use std::pin::Pin;

use super::play::{asking, deciding, guarding, living, running, showing, wiring};

/// A check.
pub type Play = fn() -> Pin<Box<dyn Future<Output = ()>>>;

/// How a row is met.
#[derive(Clone, Copy)]
pub enum Proof {
    /// By playing this.
    Played(&'static str, Play),
    /// Not by playing something here; why.
    Elsewhere(&'static str),
}

/// One row.
#[derive(Clone, Copy)]
pub struct Row {
    pub id: &'static str,
    /// What is wished for, in a few words.
    pub wish: &'static str,
    pub proof: Proof,
}

/// Rows that belong together.
pub struct Section {
    pub title: &'static str,
    pub rows: &'static [Row],
}

/// `rows! { "D1" "wish": module::check, "D2" "wish": - "why it is not played" }`
macro_rules! rows {
    (@proof $module:ident :: $check:ident) => {
        Proof::Played(stringify!($check), || Box::pin($module::$check()))
    };
    (@proof - $why:literal) => {
        Proof::Elsewhere($why)
    };
    ($($id:literal $wish:literal => ($($proof:tt)+)),+ $(,)?) => {
        &[$(Row { id: $id, wish: $wish, proof: rows!(@proof $($proof)+) }),+]
    };
}

/// All of them.
pub const SECTIONS: &[Section] = &[
    Section { title: "1. What the standards want", rows: STANDARDS },
    Section { title: "2. What users of such products ask for", rows: DEMANDS },
    Section { title: "3. What went wrong elsewhere", rows: FAULTS },
    Section { title: "4. What nobody offers", rows: GAPS },
    Section { title: "5. What others have", rows: FEATURES },
];

const STANDARDS: &[Row] = rows! {
    "A1" "One way out of pending, and it is final" => (wiring::one_way_out_of_pending),
    "A2" "The same submission twice is one request" => (asking::idempotent_calls),
    "A3" "Whoever has an interest does not approve" => (guarding::interested_parties),
    "A4" "An emergency is reviewed afterwards" => (deciding::an_emergency),
    "A5" "No token lives longer than its approval" => (living::tokens_end_with_the_grant),
    "A6" "A refresh is evaluated again" => (wiring::refresh_is_judged_again),
    "A7" "A repeat gets the handle that there is" => (asking::repeats_are_one_card),
    "A8" "The client does not learn who approves" => (wiring::approvers_are_not_named_to_the_client),
    "A9" "A denied scope drops out; no token is empty" => (wiring::denied_scopes_drop_out),
    "A10" "In doubt it fails closed, in the caller's dialect" => (wiring::refused_in_its_dialect),
    "A11" "A single approval is used once" => (living::a_single_use),
    "A12" "The message shown on the client binds the approval" => (deciding::a_number_to_match),
};

const DEMANDS: &[Row] = rows! {
    "D1" "Approve where people are, in Slack" => (deciding::decided_in_slack),
    "D2" "Administrators of Slack approve nothing" => (guarding::administrators_are_not_approvers),
    "D3" "The approver grants less time" => (deciding::a_shorter_time),
    "D4" "The approver leaves some of it out" => (deciding::some_of_the_scopes),
    "D5" "The clock starts at the decision" => (deciding::clock_from_the_decision),
    "D6" "A warning, an extension, and no gap" => (living::warned_extended_and_ended),
    "D7" "Overlapping grants do not disturb each other" => (living::overlapping_grants),
    "D8" "Revoking is easy, and so is being done" => (living::easy_to_end),
    "D9" "With the grant end the tokens" => (living::tokens_end_with_the_grant),
    "D10" "Two clicks at once are one decision" => (deciding::two_clicks_at_once),
    "D11" "Break the glass, loudly" => (deciding::an_emergency),
    "D12" "Whoever is on call approves" => (deciding::on_call),
    "D13" "May approve, need not be pinged" => (showing::told_is_not_asked),
    "D14" "One card in one channel, and claiming it" => (showing::one_channel_card),
    "D14b" "Somebody says that they are looking at it" => (deciding::claimed_and_handed_over),
    "D15" "Approvers see that it is settled, everywhere" => (showing::every_copy_is_settled),
    "D16" "Approve with a comment" => (deciding::an_approval_with_words),
    "D17" "A link that leads to the request itself" => (deciding::a_link_to_the_card),
    "D18" "The requester hears of each step" => (showing::the_requester_is_told),
    "D19" "It says who approved" => (showing::the_card_says_who_decided),
    "D20" "Nothing stays pending for ever" => (living::pending_requests_expire),
    "D21" "Long text keeps nobody from being told" => (showing::long_text),
    "D21b" "A card that is refused is posted plainly" => (showing::a_plain_card_rather_than_none),
    "D22" "Approvers who are gone are noticed at once" => (asking::nobody_to_decide),
    "D23" "The card tells the truth" => (showing::the_card_tells_the_truth),
    "D24" "Only approvers can click" => (guarding::only_approvers),
    "D25" "Two different people" => (deciding::two_people),
    "D26" "Self-approval is for the policy to allow" => (deciding::self_approval_is_policy),
    "D27" "The policy picks the approvers" => (showing::the_policy_names_the_approvers),
    "D28" "Times of day, in a time zone" => (asking::time_windows),
    "D29" "Reasons that say something" => (asking::reasons_with_content),
    "D30" "Who may ask, in one line" => (asking::one_line),
    "D30b" "Who may not ask is told why" => (asking::who_may_ask),
    "D31" "A dry run says who would be asked" => (running::a_dry_run),
    "D31b" "A change of the policy is on record" => (running::a_changed_policy_counts),
    "D32" "A start later on, looked at again when it comes" => (asking::a_scheduled_start),
    "D33" "A message when the time is up" => (living::the_end_is_told),
    "D34" "Time enough to decide" => (living::time_to_decide),
    "D34b" "For somebody else, with both on record" => (asking::on_behalf_of_another),
    "D35" "A machine that repeats itself tires nobody" => (asking::repeats_are_one_card),
    "D36" "A rule sends its cards to its channel" => (showing::routed_by_rule),
    "D37" "Slack is a view that can be rebuilt" => (running::rebuilt_elsewhere),
    "D38" "Revoking twice, or while Slack fails, still revokes" => (living::revoking_is_idempotent),
    "D39" "Slack is answered in time, and after the fact" => (deciding::answered_in_time),
    "D39b" "What nobody may ask for opens no empty form" => (asking::the_form_says_who_is_asked),
    "D40" "A click is matched to exactly one request" => (guarding::exact_correlation),
};

const FAULTS: &[Row] = rows! {
    "L1" "One person fills one seat" => (deciding::one_of_each_group),
    "L2" "More than enough is enough" => (deciding::one_of_each_group),
    "L3" "A click is kept before it is acknowledged" => (deciding::a_click_survives_a_crash),
    "L4" "Cards of before a restart are edited after it" => (running::cards_survive_a_crash),
    "L5" "Each channel has its own queue" => (running::a_lane_for_each_channel),
    "L6" "Nothing is read back from a message" => (guarding::nothing_is_read_back_from_slack),
    "L7" "A duplicate is known after a restart" => (asking::idempotent_calls),
    "L8" "Denials and refused clicks are on record" => (guarding::every_outcome_is_audited),
    "L9" "Who clicks is looked at when they click" => (guarding::unknown_means_refused),
    "L10" "What is not enforced does not start" => (guarding::unenforceable_is_a_start_up_error),
    "L11" "What strangers write is inert" => (guarding::hostile_text_is_inert),
    "L12" "An outcome keeps the facts, on every copy" => (showing::the_card_says_who_decided),
    "L13" "Being in the channel permits nothing" => (guarding::channel_members_are_not_approvers),
    "L14" "Being in the group does not permit oneself" => (guarding::oneself_in_the_group),
    "L15" "Half an hour, not half a minute" => (living::time_to_decide),
    "L16" "A click does not get around signing in" => (deciding::step_up),
    "L17" "Whoever could not be told raises an alarm" => (running::a_failed_notification_is_an_alarm),
    "L18" "Quorum has a test that would miss it" => (deciding::two_people),
};

const GAPS: &[Row] = rows! {
    "N1" "Several kinds of servers, one decision in Slack" => (wiring::several_dialects),
    "N2" "A third person leaves scopes out, enforced" => (deciding::some_of_the_scopes),
    "N3" "Held for a while, then deferred" => (asking::held_then_deferred),
    "N4" "Bound to client, subject, actor, audience and key" => (living::bound_to_what_was_asked),
    "N5" "The approval bounds the refresh as well" => (wiring::refresh_is_judged_again),
    "N6" "Revoking stops what is issued next" => (living::easy_to_end),
    "N6b" "The server revokes what it has issued" => (- "telling the authorization server is the work of the part about hooks, not of Slack"),
    "N7" "Some now, the rest when people agree" => (living::allowed_now_the_rest_later),
    "N8" "Scopes in words, with their risk and what would be less" => (showing::the_catalogue_explains),
    "N9" "What is different from last time" => (showing::what_is_unusual),
    "N10" "Actors and owners are interested parties" => (guarding::interested_parties),
    "N11" "A loop of retries is one card" => (asking::repeats_are_one_card),
    "N11b" "A flood is told to wait" => (asking::a_flood_is_bounded),
    "N11c" "A denial is remembered for a while" => (living::a_denial_cools_down),
    "N12" "Each failure has its answer" => (wiring::refused_in_its_dialect),
    "N13" "A receipt that can be verified elsewhere" => (wiring::a_signed_receipt),
    "N14" "The policy of now counts at the click" => (running::a_changed_policy_counts),
    "N14b" "What was asked is judged under tomorrow's policy" => (running::a_replay),
    "N15" "How people decide is measured" => (deciding::how_long_people_take),
    "N16" "A ceremony for each scope" => (deciding::each_scope_its_own_ceremony),
    "N17" "Slack can be away, and nothing is lost" => (running::slack_is_away),
    "N18" "A kit of stand-ins that breaks things" => (deciding::everything_twice),
    "N19" "Shadow mode" => (running::shadow_mode),
    "N20" "The client itself gives back what it has" => (living::easy_to_end),
};

const FEATURES: &[Row] = rows! {
    "F1" "A reason with the request" => (asking::reasons_with_content),
    "F2" "A reason where a rule wants one" => (asking::reasons_with_content),
    "F3" "A ticket in the reason" => (asking::reasons_with_content),
    "F4" "How long is asked for" => (deciding::clock_from_the_decision),
    "F5" "A start later on" => (asking::a_scheduled_start),
    "F6" "Several scopes in one request" => (deciding::some_of_the_scopes),
    "F7" "On behalf of another" => (asking::on_behalf_of_another),
    "F8" "A machine asks" => (asking::a_flood_is_bounded),
    "F9" "Approved before it is needed" => (asking::one_line),
    "F10" "Approvers by name or group" => (showing::the_policy_names_the_approvers),
    "F11" "Approvers by what is asked" => (showing::routed_by_rule),
    "F12" "On call" => (deciding::on_call),
    "F13" "The manager of whoever asks" => (- "not there: approver sets name people and groups; Slack does not say who manages whom"),
    "F14" "The owner of the resource" => (guarding::interested_parties),
    "F15" "A quorum" => (deciding::two_people),
    "F16" "Stages in an order" => (- "not there: several groups agree in any order, which asks as many people"),
    "F17" "A rule about oneself" => (deciding::self_approval_is_policy),
    "F18" "Handing over to somebody else" => (deciding::claimed_and_handed_over),
    "F19" "Who is asked, and why you" => (deciding::reminded_and_escalated),
    "F20" "A shorter time" => (deciding::a_shorter_time),
    "F21" "Fewer scopes" => (deciding::some_of_the_scopes),
    "F22" "A reason with a denial" => (deciding::a_denial_with_a_reason),
    "F23" "Rules that decide by themselves" => (wiring::denied_scopes_drop_out),
    "F24" "Break-glass" => (deciding::an_emergency),
    "F25" "Signing in again to decide" => (deciding::step_up),
    "F26" "Decisions at the same instant" => (deciding::two_clicks_at_once),
    "F27" "Pending requests expire" => (living::pending_requests_expire),
    "F28" "Reminders" => (deciding::reminded_and_escalated),
    "F29" "Escalation" => (deciding::reminded_and_escalated),
    "F30" "Grants end by themselves" => (living::the_end_is_told),
    "F31" "From the decision on" => (deciding::clock_from_the_decision),
    "F32" "Told before and at the end" => (living::warned_extended_and_ended),
    "F33" "Extended without a gap" => (living::warned_extended_and_ended),
    "F34" "Revoked early" => (living::easy_to_end),
    "F35" "Issued credentials end too" => (living::tokens_end_with_the_grant),
    "F36" "Decide in Slack" => (deciding::decided_in_slack),
    "F37" "Ask in Slack" => (asking::the_form_says_who_is_asked),
    "F38" "Edited in place" => (showing::the_card_says_who_decided),
    "F39" "Every copy" => (showing::every_copy_is_settled),
    "F40" "The thread is the log" => (showing::the_thread_is_the_log),
    "F41" "Comments reach the thread and the requester" => (deciding::a_comment_reaches_the_requester),
    "F42" "The requester is told" => (showing::the_requester_is_told),
    "F43" "App Home" => (showing::app_home),
    "F44" "Accounts are mapped to people" => (guarding::only_approvers),
    "F45" "Untrusted text is escaped" => (guarding::hostile_text_is_inert),
    "F46" "Several workspaces" => (- "played where the workspaces are set up: the stories about several of them in tests/it"),
    "F46b" "Channels that other companies read" => (guarding::shared_channels),
    "F47" "Every decision is audited" => (guarding::every_outcome_is_audited),
    "F48" "The audit can be read by machines" => (running::seen_from_outside),
    "F49" "A command line" => (running::a_dry_run),
    "F50" "An API" => (living::easy_to_end),
    "F51" "Configuration as files" => (running::a_changed_policy_counts),
    "F52" "It goes on after a crash" => (deciding::a_click_survives_a_crash),
    "F53" "Metrics" => (running::seen_from_outside),
    "F54" "Reviews" => (deciding::an_emergency),
    "F54b" "A doctor that says what to fix" => (running::the_doctor),
    "F55" "A stand-in for Slack in the tests" => (deciding::everything_twice),
    "F56" "It gates the issuance of tokens" => (wiring::several_dialects),
    "F57" "Status, withdrawal and help in Slack" => (asking::status_and_withdrawal),
    "F58" "What is mistyped is said" => (asking::mistakes_are_said),
};
