//! What the hub says about itself: pretty on a terminal, JSON otherwise; on the standard error, so that what commands
//! print can be piped.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt as _, Targets, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

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
    // rumqttd opens three spans of level ERROR around every publish; formatting them costs more than the publish.
    let no_spans_of_the_router = filter_fn(|what| !(what.is_span() && what.target().starts_with("rumqttd")));
    tracing_subscriber::registry().with(layer.with_filter(filter.and(no_spans_of_the_router))).try_init()?;
    Ok(())
}
