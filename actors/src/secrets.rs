//! What the actors' side has to do with changes of piles' secrets: the alarm that one was never used.

use domain::{ConnectorId, PileCode};
use store::money::{Severity, Write};

use crate::{
    alarms::{About, code},
    api::Refusal,
    handle::Handle,
};

impl Handle {
    /// A change of a secret has lapsed; raises its alarm in one commit with `with`.
    ///
    /// # Errors
    /// [`Refusal`] when the store is away; nothing is raised then.
    pub async fn secret_not_taken(&self, pile: &PileCode, with: Vec<Write>) -> Result<(), Refusal> {
        let about = About {
            pile,
            connector: ConnectorId::PILE,
            code: code::SECRET_NOT_TAKEN,
            severity: Severity::Medium,
            order_no: None,
            text: "the pile never used its next secret; the earlier one stays".to_owned(),
        };
        let alarm = self.core.alarms.raise(&about, self.core.now());
        let mut writes = with;
        writes.push(Write::Alarm(Box::new(alarm.clone())));
        self.keep_alarm(&alarm, writes).await
    }

    /// A change of a secret came to its good end: an earlier one that did not is no longer of concern.
    pub async fn secret_taken(&self, pile: &PileCode) {
        let cleared = self.core.alarms.clear(pile, ConnectorId::PILE, code::SECRET_NOT_TAKEN, self.core.now());
        let Some(alarm) = cleared else { return };
        if let Err(error) = self.keep_alarm(&alarm, vec![Write::Alarm(Box::new(alarm.clone()))]).await {
            tracing::debug!(pile = %pile, %error, "an alarm stays open");
        }
    }
}
