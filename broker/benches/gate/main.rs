//! CPU per QoS 1 message of the gate and of mosquitto (which only forwards, to one subscriber), driven by the same
//! generator at the same rate, in alternating rounds, each server a process of its own.
//!
//! ```text
//! cargo bench -p broker --bench gate -- [--connections 2000] [--rates 5000,10000] [--seconds 10] [--rounds 3]
//!                                       [--burst-us 1000] [--tick-us 1000] [--idle 10000] [--only gate|mosquitto]
//! cargo bench -p broker --bench gate -- --door [--connections 18000]
//! ```
//!
//! With `--door` it measures what coming in costs instead: see `door`.
//!
//! The generator is open-loop: message `i` is due at `i / rate` seconds, rounded up to the next burst, whatever became
//! of the others. Bursts favour a server that does not collect by itself: with `--burst-us 0`, as real chargers send,
//! mosquitto wakes up for every message. CPU is user + system time of the server's process. Times differ between machines: compare within one run.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a measuring program: it prints, it sleeps, and it may fall over"
)]

mod door;
mod generator;
mod server;
mod system;

use std::{collections::BTreeMap, time::Duration};

use broker::Pacing;
use generator::{Load, Measured};
use server::Server;

/// What to measure.
struct Plan {
    connections: usize,
    rates: Vec<u32>,
    seconds: u64,
    rounds: usize,
    burst: Duration,
    tick_us: u64,
    idle: usize,
    only: Option<String>,
}

fn plan(args: &[String]) -> Plan {
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).cloned();
    let number = |name: &str, default: u64| value(name).map_or(default, |text| text.parse().unwrap());
    Plan {
        connections: number("--connections", 2_000) as usize,
        rates: value("--rates")
            .unwrap_or_else(|| "5000,10000".to_owned())
            .split(',')
            .map(|rate| rate.parse().unwrap())
            .collect(),
        seconds: number("--seconds", 10),
        rounds: number("--rounds", 3) as usize,
        burst: Duration::from_micros(number("--burst-us", 1_000)),
        tick_us: number("--tick-us", Pacing::default().tick.as_micros() as u64),
        idle: number("--idle", 10_000) as usize,
        only: value("--only"),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "serve") {
        server::serve(args[1].parse().unwrap(), args.get(2).is_some_and(|arg| arg == "tls"));
        return;
    }
    if args.iter().any(|arg| arg == "--door") {
        let count = args.iter().position(|arg| arg == "--connections").and_then(|at| args.get(at + 1));
        door::measure(count.map_or(18_000, |text| text.parse().unwrap()));
        return;
    }
    if args.iter().any(|arg| arg == "--test") {
        return;
    }
    let plan = plan(&args);
    let kinds: Vec<&str> =
        ["gate", "mosquitto"].into_iter().filter(|kind| plan.only.as_ref().is_none_or(|only| only == kind)).collect();
    let Plan { connections, seconds, rounds, burst, .. } = &plan;
    println!("{connections} connections, {seconds} s per rate, {rounds} rounds, bursts every {burst:?}");
    let mut all: BTreeMap<(u32, &str), Vec<Measured>> = BTreeMap::new();
    for round in 1..=plan.rounds {
        for kind in &kinds {
            let server = Server::start(kind, plan.tick_us);
            let load = Load::connect(server.addr, plan.connections);
            for rate in &plan.rates {
                let _warm_up = load.run(&server, *rate, plan.burst, Duration::from_secs(2));
                let measured = load.run(&server, *rate, plan.burst, Duration::from_secs(plan.seconds));
                println!("round {round} {kind:<9} {rate:>6}/s  {measured}");
                all.entry((*rate, kind)).or_default().push(measured);
            }
        }
    }
    summary(&plan, &all);
    for kind in kinds.iter().filter(|_| plan.idle > 0) {
        idle(kind, &plan);
    }
}

fn summary(plan: &Plan, all: &BTreeMap<(u32, &str), Vec<Measured>>) {
    let median = |rate: u32, kind: &str| {
        let mut cpu: Vec<f64> = all.get(&(rate, kind))?.iter().map(Measured::cpu_us).collect();
        cpu.sort_by(f64::total_cmp);
        cpu.get(cpu.len() / 2).copied()
    };
    for rate in &plan.rates {
        if let (Some(gate), Some(mosquitto)) = (median(*rate, "gate"), median(*rate, "mosquitto")) {
            let ratio = gate / mosquitto;
            println!("median at {rate}/s: gate {gate:.1} µs, mosquitto {mosquitto:.1} µs, ratio {ratio:.2}");
        }
    }
}

/// Memory and CPU of connections that say nothing.
fn idle(kind: &str, plan: &Plan) {
    let server = Server::start(kind, plan.tick_us);
    let before = system::resident_bytes(server.pid());
    let load = Load::connect(server.addr, plan.idle);
    std::thread::sleep(Duration::from_secs(2));
    let after = system::resident_bytes(server.pid());
    let cpu = system::cpu_time(server.pid());
    std::thread::sleep(Duration::from_secs(5));
    let cpu = system::cpu_time(server.pid()) - cpu;
    let per_connection = (after - before) / plan.idle as u64;
    println!("idle {kind}: {} connections, {per_connection} bytes each, {cpu:?} of CPU in 5 s", plan.idle);
    drop(load);
}
