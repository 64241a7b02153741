//! The `loadtest` binary: reads the command line, builds a runtime, hands over to the library.

use std::process::ExitCode;

use clap::Parser as _;
use loadtest::cli::Cli;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // clap ends the process with 2 on wrong usage by itself.
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut builder = if cli.is_light() {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2);
        builder
    };
    let done = builder.enable_all().build().map_err(anyhow::Error::from).and_then(|runtime| {
        let done = runtime.block_on(cli.run());
        // What is still running belongs to a run that is over.
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(1)
        }
    }
}
