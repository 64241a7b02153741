//! SIGKILL from outside, at random instants, while piles charge and drivers start and stop.

use std::{
    io::{Write, stderr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    books,
    charger::Charger,
    driver::{Driver, drivers},
    support::{Hub, crash::Watched},
};

const ROUNDS: u32 = 30;
const PILES: [&str; 3] = ["P1", "P2", "P3"];
/// SIGKILL.
const KILLED: Option<i32> = Some(9);

/// Charges again and again until told to end; answers its orders.
fn charge_until(ended: &AtomicBool, watched: &Watched, driver: &Driver, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut orders = Vec::new();
    while !ended.load(Ordering::SeqCst) {
        let order_no = driver.start(watched, &format!("start-{}", orders.len()));
        driver.watch(&order_no, 1 + usize::try_from(random.below(20)).unwrap());
        driver.stop(watched, "stop", &order_no);
        orders.push(order_no);
    }
    orders
}

#[test]
fn killed_thirty_times_at_random_instants_nothing_is_lost_or_done_twice() {
    let seed = seed();
    let told = writeln!(stderr(), "seed {seed}: PILEHUB_TEST_SEED={seed} repeats its instants");
    told.unwrap();
    let mut random = Random::new(seed);
    let hub = Hub::start();
    hub.make_station("S1");
    let piles = PILES.map(|code| hub.make_pile("S1", code));
    let watched = Arc::new(hub.armed(None));
    let (chargers, guns): (Vec<_>, Vec<_>) = piles
        .iter()
        .map(|pile| {
            let (charger, guns) = Charger::start(Arc::clone(&watched), pile);
            (charger, (pile.code.clone(), guns))
        })
        .unzip();
    let drivers = drivers(&watched, guns, 1_000_000);
    let ended = AtomicBool::new(false);

    let orders: Vec<(Driver, Vec<String>)> = std::thread::scope(|scope| {
        let (ended, watched) = (&ended, &*watched);
        let running: Vec<_> = (1..)
            .zip(drivers)
            .map(|(n, driver)| {
                scope.spawn(move || {
                    let orders = charge_until(ended, watched, &driver, seed.wrapping_add(n));
                    (driver, orders)
                })
            })
            .collect();
        for _ in 0..ROUNDS {
            // Not waiting for anything: this is the random instant.
            std::thread::park_timeout(Duration::from_micros(random.below(900_000)));
            watched.kill();
        }
        ended.store(true, Ordering::SeqCst);
        running.into_iter().map(|driver| driver.join().unwrap()).collect()
    });
    let deaths = watched.deaths();
    assert_eq!(deaths.len(), usize::try_from(ROUNDS).unwrap());
    assert!(deaths.iter().all(|death| death.signal == KILLED), "{deaths:?}");
    let totals = chargers.into_iter().flat_map(Charger::end).collect();
    books::check(&watched.hub(), &orders, &totals);
}

/// Random numbers that a seed repeats (xorshift64*).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % end
    }
}

fn seed() -> u64 {
    let given = std::env::var("PILEHUB_TEST_SEED").ok().map(|text| text.parse().unwrap());
    given.unwrap_or_else(|| u64::try_from(crate::support::wait::now_ms()).unwrap())
}
