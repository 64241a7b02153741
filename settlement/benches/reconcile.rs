//! What it costs to reconcile a day of 100,000 orders and 100,000 payments, without the store.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement reads the real clock, prints and may panic"
)]

#[path = "../tests/planted/mod.rs"]
mod planted;

use std::{hint::black_box, time::Instant};

use planted::{Plant, World, day, random::Random};
use settlement::reconcile::{BillLine, ChannelFile, FundsInput, bills::BillFormat, match_energy, match_funds};

fn main() {
    let plant = Plant { payments: 100_000, piles: 5_000, orders_per_pile: 20, of_each_kind: 100 };
    let world = World::new(&plant, &mut Random::new(7));
    let files = |index: usize| -> Vec<ChannelFile<'_>> {
        world.files[index].iter().map(|(channel, lines)| ChannelFile { channel, lines }).collect()
    };
    let (today, before, after) = (files(0), files(1), files(2));
    let input = FundsInput {
        files: &today,
        files_before: &before,
        files_after: &after,
        movements: &world.movements,
        carried: &[],
    };
    let began = Instant::now();
    let funds = black_box(match_funds(black_box(&input)));
    println!(
        "funds, 100,000 payments and their lines: {} ms, {} items",
        began.elapsed().as_millis(),
        funds.findings.len()
    );
    let began = Instant::now();
    let energy = black_box(match_energy(black_box(&world.orders), &world.registers));
    println!("energy, 100,000 orders: {} ms, {} items", began.elapsed().as_millis(), energy.findings.len());
    let lines: Vec<BillLine> = world.files[0].iter().flat_map(|(_, lines)| lines.clone()).collect();
    for format in BillFormat::ALL {
        let text = format.write(&lines, day());
        let began = Instant::now();
        let read = black_box(format.read(text.as_bytes(), day())).unwrap();
        println!("{}: {} lines read in {} ms", format.channel(), read.len(), began.elapsed().as_millis());
    }
}
