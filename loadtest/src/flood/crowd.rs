//! Opens many connections, a bounded number at a time.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use domain::{PileCode, wire::DownTopic};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    client::{lean::Lean, socket::Trust},
    limits,
};

/// Connects every pile; with `subscribe` also to its down topics.
///
/// # Errors
/// The first connection that fails, by name.
pub async fn connect(
    mqtt: SocketAddr,
    trust: Option<&Trust>,
    piles: &[(PileCode, Option<String>)],
    sources: u8,
    subscribe: bool,
) -> anyhow::Result<Vec<(PileCode, Lean)>> {
    let permits = Arc::new(Semaphore::new(limits::CONNECTING_MAX));
    let mut opening = JoinSet::new();
    let mut open = Vec::with_capacity(piles.len());
    for (n, (code, secret)) in piles.iter().enumerate() {
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let (code, secret, trust) = (code.clone(), secret.clone(), trust.cloned());
        opening.spawn(async move {
            let _permit = permit;
            let topics = [DownTopic::Command, DownTopic::RecordAck].map(|topic| topic.topic(&code));
            let filters = topics.each_ref().map(String::as_str);
            let filters = if subscribe { &filters[..] } else { &[] };
            let lean = Lean::open(mqtt, source(n, sources, 0), trust.as_ref(), &code, secret.as_deref(), filters).await;
            lean.with_context(|| format!("connecting {code}")).map(|lean| (code, lean))
        });
        while let Some(opened) = opening.try_join_next() {
            open.push(opened??);
        }
    }
    while let Some(opened) = opening.join_next().await {
        open.push(opened??);
    }
    Ok(open)
}

/// Loopback addresses in turn, from the one after the `first` ones on; `None` for the default one.
#[must_use]
pub fn source(n: usize, sources: u8, first: u8) -> Option<IpAddr> {
    let within = u8::try_from(n.checked_rem(usize::from(sources))?).ok()?;
    let last = first.checked_add(within)?.checked_add(1)?;
    Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
}
