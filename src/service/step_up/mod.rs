//! The strongest ceremony: an approver authenticates anew at the OpenID provider before an approval counts.
//!
//! The card's button gives the approver, and nobody else, a link. The link sends the browser to the provider; coming
//! back only proves who sits there. What decides is the confirmation afterwards, bound to the click, the access
//! request and the version that was shown, and it goes through the same checks and the same commit as any click.

mod session;

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;

use super::click::{Acted, Checked, Clicked, Refused, Why};
use super::deliver::random_text;
use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Choice, Filled, Proof, Refusal, Status};
use crate::domain::hashing::sha256_hex;
use crate::domain::identity::Principal;
use crate::domain::scope::ScopeSet;
use crate::openid::Provider;
use crate::slack::click::Press;
use crate::slack::forms;
use crate::store::{Stage, StepUpKey, StepUpMove, StepUpRow};

pub use session::NoStepUp;
use session::Session;

/// How long an approver has, from the click to the confirmation, in seconds.
const LASTS_SECONDS: i64 = 600;

/// A browser that is sent to the provider.
#[derive(Debug)]
pub struct Sent {
    /// The provider's page.
    pub url: String,
    /// What the browser must show when it comes back.
    pub cookie: SecretString,
}

/// What the provider sends back, as it stands in the address.
#[derive(Debug, Default)]
pub struct Returned {
    /// `state`.
    pub state: String,
    /// `code`.
    pub code: Option<String>,
    /// `iss` (RFC 9207).
    pub issuer: Option<String>,
    /// Whether there is an `error`.
    pub failed: bool,
}

/// What the approver is asked to confirm.
#[derive(Debug)]
pub struct Confirmation {
    /// The access request, with what the approver leaves of it.
    pub request: Box<AccessRequest>,
    /// The scopes that the approver takes out.
    pub taken_out: ScopeSet,
    /// Why, in the approver's words.
    pub note: Option<String>,
    /// Who is approving.
    pub who: Principal,
    /// What each scope means, in the order of the scopes: the scope, and words where the policy has some.
    pub scopes: Vec<(String, Option<String>)>,
    /// What the form must send.
    pub csrf: SecretString,
}

type Outcome<T> = Result<Result<T, NoStepUp>, Error>;

impl Service {
    /// The Approve button of a request that needs this ceremony: gives the approver a link.
    pub(super) async fn send_a_link(&self, checked: Checked, press: &Press, now: Timestamp) -> Result<Acted, Error> {
        let place = Arc::clone(&checked.place);
        Ok(match self.link_to_sign_in(checked, Filled::default(), now).await? {
            Ok((request, view)) => self.open_form(&place, press, &view).await.map_err(|why| (Some(request), why)),
            Err(refused) => Err(refused),
        })
    }

    /// The view with the link. What was filled in is kept with it, and not asked for again.
    pub(super) async fn link_to_sign_in(
        &self,
        checked: Checked,
        filled: Filled,
        now: Timestamp,
    ) -> Result<Result<(Box<AccessRequest>, Value), Refused>, Error> {
        let refuse = |request: AccessRequest, why| Ok(Err((Some(Box::new(request)), why)));
        if self.0.openid.is_none() {
            return refuse(checked.request, Why::NotEnforced);
        }
        let refusal = match checked.request.status(now) {
            Status::Pending if checked.button.shown_version != checked.request.shown_version => {
                Some(Refusal::OutOfDate)
            }
            Status::Pending if checked.request.needs_a_reason_of(&checked.voter) && filled.note.is_none() => {
                Some(Refusal::ReasonNeeded)
            }
            Status::Pending => checked.request.may_approve(&checked.voter).err(),
            settled => Some(Refusal::Settled(settled)),
        };
        if let Some(refusal) = refusal {
            return refuse(checked.request, Why::Refused(refusal));
        }
        let link = random_text();
        let Checked { request, button, message, voter, .. } = checked;
        let session = Session {
            user: voter.slack,
            who: voter.principal,
            button: button.hash,
            message,
            shown_version: button.shown_version,
            browser: None,
            nonce: None,
            verifier: None,
            sent_at: None,
            proof: None,
            left: filled.clone().into(),
        };
        let row = StepUpRow {
            link_hash: sha256_hex(link.as_bytes()),
            request: request.id.clone(),
            stage: Stage::Opened,
            expires_at: (now + chrono::Duration::seconds(LASTS_SECONDS)).min(request.decide_by),
            body: session.body()?,
        };
        self.0.store.open_step_up(row).await?;
        let url = format!("{}/step-up/{link}", self.public_url());
        let shown = request.preview(&filled);
        let view = self.with_facts(&shown, None, "", |facts| forms::step_up_view(&url, facts));
        Ok(Ok((Box::new(request), view)))
    }

    /// The link was opened: the browser goes to the provider.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn step_up_opened(&self, link: &str) -> Outcome<Sent> {
        let now = self.now();
        let (row, mut session) = match self.under_way(StepUpKey::Link(&sha256_hex(link.as_bytes())), now).await? {
            Some((row, session)) if matches!(row.stage, Stage::Opened | Stage::Sent) => (row, session),
            Some(_) | None => return Ok(Err(NoStepUp::Gone)),
        };
        let Some(provider) = &self.0.openid else { return Ok(Err(NoStepUp::Gone)) };
        let begun = match provider.begin(session.who.as_str()).await {
            Ok(begun) => begun,
            Err(why) => return Ok(Err(NoStepUp::NotProven(why))),
        };
        let cookie = random_text();
        session.browser = Some(sha256_hex(cookie.as_bytes()));
        session.nonce = Some(begun.nonce);
        session.verifier = Some(begun.verifier);
        session.sent_at = Some(now);
        let step = StepUpMove {
            link_hash: row.link_hash,
            from: row.stage,
            to: Stage::Sent,
            state_hash: Some(sha256_hex(begun.state.as_bytes())),
            csrf_hash: None,
            body: session.body()?,
        };
        if !self.0.store.move_step_up(step).await? {
            return Ok(Err(NoStepUp::Gone));
        }
        Ok(Ok(Sent { url: begun.url.into(), cookie: cookie.into() }))
    }

    /// The browser came back. This proves who sits there, and decides nothing.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn step_up_returned(&self, returned: &Returned, cookie: &str) -> Outcome<Confirmation> {
        let now = self.now();
        let (row, mut session) =
            match self.under_way(StepUpKey::State(&sha256_hex(returned.state.as_bytes())), now).await? {
                Some((row, session)) if row.stage == Stage::Sent => (row, session),
                Some(_) | None => return Ok(Err(NoStepUp::Gone)),
            };
        let Some(provider) = &self.0.openid else { return Ok(Err(NoStepUp::Gone)) };
        if session.browser.as_deref() != Some(&sha256_hex(cookie.as_bytes())) {
            return Ok(Err(NoStepUp::OtherBrowser));
        }
        let proven = prove(provider, returned, &session, now).await;
        let csrf = random_text();
        // Whatever came of it, this `state` and its code count no more.
        (session.nonce, session.verifier) = (None, None);
        session.proof = proven.as_ref().ok().cloned();
        let step = StepUpMove {
            link_hash: row.link_hash.clone(),
            from: Stage::Sent,
            to: if proven.is_ok() { Stage::Proven } else { Stage::Used },
            state_hash: None,
            csrf_hash: Some(sha256_hex(csrf.as_bytes())),
            body: session.body()?,
        };
        if !self.0.store.move_step_up(step).await? {
            return Ok(Err(NoStepUp::Gone));
        }
        if let Err(why) = proven {
            metrics::counter!("countersign_step_ups_total", "outcome" => "not_proven").increment(1);
            self.step_up_refused(&row, &session, &why, now).await?;
            return Ok(Err(why));
        }
        match self.0.store.request(&row.request).await? {
            // Somebody approved less meanwhile: what would be confirmed is not what was clicked.
            Some(request) if request.shown_version != session.shown_version => {
                let why = NoStepUp::Refused(self.words(&Why::Refused(Refusal::OutOfDate), Some(&request)));
                self.step_up_refused(&row, &session, &why, now).await?;
                Ok(Err(why))
            }
            Some(request) => Ok(Ok(self.confirmation(&request, session, csrf))),
            None => Ok(Err(NoStepUp::Gone)),
        }
    }

    /// The approver confirmed: the vote, through the same checks as any click.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn step_up_confirmed(&self, csrf: &str, cookie: &str) -> Outcome<Box<AccessRequest>> {
        let now = self.now();
        let (row, session) = match self.under_way(StepUpKey::Csrf(&sha256_hex(csrf.as_bytes())), now).await? {
            Some((row, session)) if row.stage == Stage::Proven => (row, session),
            Some(_) | None => return Ok(Err(NoStepUp::Gone)),
        };
        if session.browser.as_deref() != Some(&sha256_hex(cookie.as_bytes())) {
            return Ok(Err(NoStepUp::OtherBrowser));
        }
        let Some(proof) = session.proof.clone() else { return Ok(Err(NoStepUp::Gone)) };
        // Used up first: of two confirmations at once only one goes on.
        let step = StepUpMove {
            link_hash: row.link_hash.clone(),
            from: Stage::Proven,
            to: Stage::Used,
            state_hash: None,
            csrf_hash: None,
            body: session.body()?,
        };
        if !self.0.store.move_step_up(step).await? {
            return Ok(Err(NoStepUp::Gone));
        }
        let acted = match self.checked_again(&row, &session, now).await? {
            Ok(checked) => {
                Box::pin(self.vote(checked, Choice::Approve, session.left.clone().into(), proof, now)).await?
            }
            Err(refused) => Err(refused),
        };
        match acted {
            Ok(()) => {
                metrics::counter!("countersign_step_ups_total", "outcome" => "approved").increment(1);
                let request = self.0.store.request(&row.request).await?;
                Ok(request.map(Box::new).ok_or(NoStepUp::Gone))
            }
            Err((request, why)) => {
                let words = self.words(&why, request.as_deref());
                let refused = NoStepUp::Refused(words);
                self.step_up_refused(&row, &session, &refused, now).await?;
                Ok(Err(refused))
            }
        }
    }

    /// Everything that was checked at the click, checked now: the button, the message, the account, the sets.
    async fn checked_again(
        &self,
        row: &StepUpRow,
        session: &Session,
        now: Timestamp,
    ) -> Result<Result<Checked, (Option<Box<AccessRequest>>, Why)>, Error> {
        let Some((button, request)) = self.0.store.clicked_hash(&session.button).await? else {
            return Ok(Err((None, Why::UnknownButton)));
        };
        let there = button.request == row.request
            && button.shown_version == session.shown_version
            && button.channel == session.message.channel.as_str()
            && button.ts.as_ref().is_none_or(|ts| *ts == session.message.ts);
        if !there {
            return Ok(Err((Some(Box::new(request)), Why::OtherMessage)));
        }
        let Some(place) = self.home(&request).cloned() else {
            return Ok(Err((Some(Box::new(request)), Why::Elsewhere)));
        };
        match self.voter(&session.user, &request, now).await {
            Ok(voter) if voter.principal == session.who => {
                Ok(Ok(Checked { place, request, button, message: session.message.clone(), voter, once: None }))
            }
            // The directory says somebody else now than when the link was given.
            Ok(_) => Ok(Err((Some(Box::new(request)), Why::Unmapped))),
            Err(why) => Ok(Err((Some(Box::new(request)), why))),
        }
    }

    async fn under_way(&self, key: StepUpKey<'_>, now: Timestamp) -> Result<Option<(StepUpRow, Session)>, Error> {
        let Some(row) = self.0.store.step_up(key).await?.filter(|row| now < row.expires_at) else { return Ok(None) };
        // A body that cannot be read is of no use; the approver clicks again.
        Ok(serde_json::from_str(&row.body).ok().map(|session| (row, session)))
    }

    fn confirmation(&self, request: &AccessRequest, session: Session, csrf: String) -> Confirmation {
        let (who, filled) = (session.who, Filled::from(session.left));
        let (taken_out, note) = (request.taken_out(&filled), filled.note.clone());
        let request = request.preview(&filled);
        let policy = self.policy();
        let scopes = request.question.terms.scopes.iter();
        let words = |scope| policy.resource_text(&request.asked, scope).map(|text| text.says.clone());
        let scopes = scopes.map(|scope| (scope.as_str().to_owned(), words(scope))).collect();
        Confirmation { request: Box::new(request), taken_out, note, who, scopes, csrf: csrf.into() }
    }

    async fn step_up_refused(
        &self,
        row: &StepUpRow,
        session: &Session,
        why: &NoStepUp,
        now: Timestamp,
    ) -> Result<(), Error> {
        tracing::info!(request.id = %row.request, why = why.word(), "an authentication does not count");
        let request = self.0.store.request(&row.request).await?;
        let home = request.as_ref().and_then(|request| self.home(request));
        let who = Clicked { user: Some(&session.user), team: None, through: home.map(|home| home.team()) };
        self.write_refusal(who, request.as_ref(), why.word(), now).await
    }
}

/// The provider's word, and whether it is about the approver who clicked.
async fn prove(provider: &Provider, returned: &Returned, session: &Session, now: Timestamp) -> Result<Proof, NoStepUp> {
    let same_issuer = |issuer: &String| issuer.trim_end_matches('/') == provider.issuer().trim_end_matches('/');
    if returned.failed || returned.issuer.as_ref().is_some_and(|issuer| !same_issuer(issuer)) {
        return Err(NoStepUp::NotSignedIn);
    }
    let (Some(code), Some(nonce), Some(verifier), Some(sent_at)) =
        (&returned.code, &session.nonce, &session.verifier, session.sent_at)
    else {
        return Err(NoStepUp::NotSignedIn);
    };
    let proven = provider.finish(code, nonce, verifier, sent_at, now).await.map_err(NoStepUp::NotProven)?;
    if Principal::new(&proven.who) != session.who {
        return Err(NoStepUp::SomebodyElse);
    }
    Ok(Proof::StepUp(proven.step_up))
}
