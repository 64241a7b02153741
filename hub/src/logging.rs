//! What the hub says about itself: pretty on a terminal, JSON otherwise; on the standard error, so that what commands
//! print can be piped.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{Layer, Registry, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::Log;

/// Starts logging; call once.
pub(crate) fn install(log: &Log) -> anyhow::Result<()> {
    let filter: Targets = log.filter.parse()?;
    let pretty = match log.format.as_str() {
        "pretty" => true,
        "json" => false,
        _ => stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = if pretty {
        lines.with_ansi(stderr().is_terminal()).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    Ok(())
}
