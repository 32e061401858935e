//! The policy of now, where it is another than the one that people were asked under: the stricter of both wins.

use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Filled};
use crate::domain::policy::Stricter;
use crate::service::{Error, Service};

impl Service {
    /// What the policy of now wants besides what people were asked, if it has changed since. What the approver
    /// leaves is judged, so less of it may still be approved.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn stricter(
        &self,
        request: &AccessRequest,
        filled: &Filled,
        now: Timestamp,
    ) -> Result<Option<Stricter>, Error> {
        let policy = self.policy();
        if policy.version == request.policy {
            return Ok(None);
        }
        let Some(hook) = self.hook(request.asked.hook.as_str()) else {
            return Ok(Some(Stricter::Refuses("its hook is not configured any more.".to_owned())));
        };
        let ruling = self.judge(&policy, &hook, &request.asked, now).await?;
        let shown = filled.keep.as_ref().unwrap_or(&request.question.terms.scopes);
        let duration = filled.duration.unwrap_or(request.duration);
        Ok(request.question.still_enough(shown, duration, &ruling).err())
    }
}
