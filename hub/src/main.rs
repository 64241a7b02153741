//! `pilehub`: a realtime hub for EV charging piles. This file reads the command line and turns outcomes into exit codes.

mod audit_cmd;
mod audit_heads;
mod audit_trail;
mod backup_cmd;
mod calendar;
mod cert_cmd;
mod cli;
mod clock;
mod config;
mod credentials;
mod demo;
mod doctor;
mod escape;
mod http;
mod ids;
mod integration_cmd;
mod keys;
mod limits;
mod links;
mod live;
mod logging;
mod metrics;
mod pages;
mod pay;
mod ready;
mod receipt_cmd;
mod reconcile;
mod risk;
mod serve;
mod token;
mod trail;
mod view;
mod wiring;

use std::{io::Write, process::ExitCode};

use clap::Parser;

/// Batches are made on the hot thread and freed on the router's; glibc's allocator pays for that with 12 % of the CPU.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = cli::run(cli::Cli::parse());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to tell when even the standard error is gone.
            let _ = writeln!(std::io::stderr(), "pilehub: {failure}");
            failure.code()
        }
    }
}
