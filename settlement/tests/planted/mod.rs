//! A generated day of payments and orders with planted differences, and which items they must lead to. Written from the
//! meaning of the differences alone: shares no code with the rules.
#![allow(dead_code, reason = "each test and bench uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a generator that fails shall fail loudly")]

#[path = "../support/random.rs"]
pub(crate) mod random;

use std::collections::BTreeSet;

use domain::{ConnectorId, Fen, OrderNo, PileCode, Timestamp, UserId, WattHours};
use random::Random;
use settlement::reconcile::{BillLine, Day, ItemKind, LineKind, Metered, Movement, Register, Registers};

pub(crate) const DAY: &str = "2026-11-20";
const NOON_MS: i64 = 1_795_147_200_000;
const CHANNELS: [&str; 3] = ["wechat", "alipay", "sandbox"];

/// What is planted of each kind.
pub(crate) struct Plant {
    pub(crate) payments: usize,
    pub(crate) piles: usize,
    pub(crate) orders_per_pile: usize,
    pub(crate) of_each_kind: usize,
}

/// A day, and the names of the items that a reconciliation must find in it.
pub(crate) struct World {
    /// Lines by channel: of the day, of the day before, of the day after.
    pub(crate) files: [Vec<(&'static str, Vec<BillLine>)>; 3],
    pub(crate) movements: Vec<Movement>,
    pub(crate) orders: Vec<Metered>,
    pub(crate) registers: Registers,
    pub(crate) expected: BTreeSet<String>,
}

pub(crate) fn day() -> Day {
    DAY.parse().unwrap()
}

fn at(random: &mut Random) -> Timestamp {
    Timestamp::from_millis(NOON_MS + random.between(-40_000_000, 40_000_000)).unwrap()
}

impl World {
    pub(crate) fn new(plant: &Plant, random: &mut Random) -> Self {
        let files = || CHANNELS.map(|channel| (channel, Vec::new())).to_vec();
        let mut world = Self {
            files: [files(), files(), files()],
            movements: Vec::new(),
            orders: Vec::new(),
            registers: Registers::new(),
            expected: BTreeSet::new(),
        };
        world.funds(plant, random);
        world.energy(plant, random);
        world
    }

    fn expect(&mut self, kind: ItemKind, key: &str) {
        assert!(self.expected.insert(format!("{DAY}:{}:{key}", kind.as_str())), "{kind:?} {key} is planted twice");
    }

    fn line(&mut self, file: usize, channel: usize, line: BillLine) {
        self.files[file][channel].1.push(line);
    }

    fn funds(&mut self, plant: &Plant, random: &mut Random) {
        let kinds = [
            ItemKind::Long,
            ItemKind::Short,
            ItemKind::AmountDiff,
            ItemKind::TransactionDiff,
            ItemKind::LedgerDiff,
            ItemKind::Duplicate,
        ];
        // Which payments get which fate: the first ones after shuffling.
        let mut fates: Vec<Option<ItemKind>> = vec![None; plant.payments];
        for (index, fate) in fates.iter_mut().enumerate().take(kinds.len() * plant.of_each_kind) {
            *fate = Some(kinds[index / plant.of_each_kind]);
        }
        for index in (1..fates.len()).rev() {
            let other = usize::try_from(random.between(0, i64::try_from(index).unwrap())).unwrap();
            fates.swap(index, other);
        }
        for (index, fate) in fates.into_iter().enumerate() {
            self.payment(index, fate, random);
        }
    }

    fn payment(&mut self, index: usize, fate: Option<ItemKind>, random: &mut Random) {
        let channel = index % 3;
        let is_refund = random.one_in(10);
        let payment_no = format!("P{index:06}");
        let (kind, refund_no, op) = if is_refund {
            (LineKind::Refund, format!("R{index:06}"), format!("withdrawn:R{index:06}"))
        } else {
            (LineKind::Pay, String::new(), format!("topup:P{index:06}"))
        };
        let amount = Fen(random.between(1, 100_000));
        let transaction_id = format!("T{index:06}");
        let mut movement = Movement {
            kind,
            channel: CHANNELS[channel].to_owned(),
            payment_no: payment_no.clone(),
            refund_no: refund_no.clone(),
            transaction_id: Some(transaction_id.clone()),
            user_id: UserId::parse(&format!("u{}", index % 1_000)).unwrap(),
            amount,
            done: true,
            in_day: true,
            op,
            posted: Some(amount),
        };
        let line = BillLine { kind, payment_no, refund_no, transaction_id, amount_fen: amount, at: at(random) };
        let key = format!("{}:{}", kind.as_str(), line.name());
        match fate {
            None => return self.good(channel, movement, line, random),
            Some(ItemKind::Long) => {
                self.expect(ItemKind::Long, &key);
                movement.done = false;
                movement.in_day = false;
                movement.posted = None;
                self.line(0, channel, line);
                if random.one_in(2) {
                    return;
                }
            }
            Some(ItemKind::Short) => self.expect(ItemKind::Short, &key),
            Some(ItemKind::AmountDiff) => {
                self.expect(ItemKind::AmountDiff, &key);
                let off = random.between(1, 5_000);
                self.line(0, channel, BillLine { amount_fen: Fen(amount.0 + off), ..line });
            }
            Some(ItemKind::TransactionDiff) => {
                self.expect(ItemKind::TransactionDiff, &key);
                self.line(0, channel, BillLine { transaction_id: format!("{}x", line.transaction_id), ..line });
            }
            Some(ItemKind::LedgerDiff) => {
                self.expect(ItemKind::LedgerDiff, &key);
                self.ledger_diff(channel, &mut movement, line, random);
            }
            Some(_) => {
                let again =
                    if random.one_in(2) { line.transaction_id.clone() } else { format!("{}y", line.transaction_id) };
                let nth = if again == line.transaction_id { 2 } else { 1 };
                self.expect(ItemKind::Duplicate, &format!("{key}:{again}:{nth}"));
                let later = Timestamp::from_millis(line.at.as_millis() + random.between(-1_000, 1_000)).unwrap();
                self.line(0, channel, BillLine { transaction_id: again, at: later, ..line.clone() });
                self.line(0, channel, line);
            }
        }
        self.movements.push(movement);
    }

    fn ledger_diff(&mut self, channel: usize, movement: &mut Movement, line: BillLine, random: &mut Random) {
        match random.between(1, 3) {
            1 => movement.posted = None,
            2 => movement.posted = Some(Fen(movement.amount.0 - 1)),
            // In the books, though the payment never came to anything.
            _ => {
                movement.done = false;
                movement.in_day = false;
                return;
            }
        }
        self.line(0, channel, line);
    }

    /// A payment that agrees, some of them over midnight, some told by two files.
    fn good(&mut self, channel: usize, mut movement: Movement, line: BillLine, random: &mut Random) {
        match random.between(1, 50) {
            1 => self.line(1, channel, line),
            2 => self.line(2, channel, line),
            3 => {
                movement.in_day = false;
                self.line(0, channel, line);
            }
            _ => self.line(0, channel, line),
        }
        self.movements.push(movement);
    }

    fn energy(&mut self, plant: &Plant, random: &mut Random) {
        let n = plant.of_each_kind;
        for pile in 0..plant.piles {
            let code = PileCode::parse(&format!("Q{pile:05}")).unwrap();
            if pile < n {
                self.expect(ItemKind::MeterMissing, code.as_str());
                self.pile(&code, plant, random, |_, order, _| {
                    order.meter_start = None;
                    if order.order_no.as_str().ends_with('1') {
                        order.meter_end = None;
                    }
                    None
                });
            } else if pile < 2 * n {
                self.expect(ItemKind::PileEnergyDiff, code.as_str());
                self.pile(&code, plant, random, |register, order, _| {
                    // Small orders, each under the least energy that counts.
                    let delivered = 2_000;
                    *register = order.meter_start.unwrap().0 + delivered;
                    order.meter_end = Some(WattHours(*register));
                    order.billed = WattHours(delivered - 90);
                    None
                });
            } else {
                // One order of the pile, not its first: a gap needs a register before.
                let kind = [ItemKind::EnergyDiff, ItemKind::MeterGap, ItemKind::MeterBackwards][pile % 3];
                let planted = (pile - 2 * n) / 3 < n && pile < 2 * n + 3 * n;
                let victim =
                    usize::try_from(random.between(2, i64::try_from(plant.orders_per_pile).unwrap() - 1)).unwrap();
                let mut count = 0;
                self.pile(&code, plant, random, |register, order, random| {
                    count += 1;
                    (planted && count == victim + 1).then(|| spoil(kind, register, order, random))
                });
            }
        }
    }

    fn pile(
        &mut self,
        code: &PileCode,
        plant: &Plant,
        random: &mut Random,
        mut plan: impl FnMut(&mut i64, &mut Metered, &mut Random) -> Option<(ItemKind, String)>,
    ) {
        let mut registers = [random.between(0, 90_000_000), random.between(0, 90_000_000)];
        for (index, register) in registers.iter().enumerate() {
            let connector = ConnectorId(u8::try_from(index + 1).unwrap());
            let last = Register {
                wh: WattHours(*register + random.between(-100, 100)),
                order_no: OrderNo::parse(&format!("{code}before")).unwrap(),
                unmetered_wh: WattHours::ZERO,
            };
            self.registers.insert((code.clone(), connector), last);
        }
        for index in 0..plant.orders_per_pile {
            let register = &mut registers[index % 2];
            let delivered = random.between(500, 60_000);
            let off = delivered * random.between(-9, 9) / 1_000;
            let mut order = Metered {
                order_no: OrderNo::parse(&format!("{code}x{index}")).unwrap(),
                user_id: UserId::parse("anna").unwrap(),
                pile_code: code.clone(),
                connector_id: ConnectorId(u8::try_from(index % 2 + 1).unwrap()),
                ended_at: Timestamp::from_millis(NOON_MS + i64::try_from(index).unwrap() * 1_000_000).unwrap(),
                billed: WattHours(delivered + off),
                meter_start: Some(WattHours(*register)),
                meter_end: Some(WattHours(*register + delivered)),
                provisional: false,
            };
            *register += delivered;
            if random.one_in(40) {
                // Its record is still to come, or came without registers of its own: no difference.
                order.provisional = true;
            }
            if let Some((kind, key)) = plan(register, &mut order, random) {
                self.expect(kind, &key);
            }
            self.orders.push(order);
        }
    }
}

/// Plants one difference into an order; `register` is where the pile's register is after it.
fn spoil(kind: ItemKind, register: &mut i64, order: &mut Metered, random: &mut Random) -> (ItemKind, String) {
    let no = order.order_no.to_string();
    let (start, end) = (order.meter_start.unwrap().0, order.meter_end.unwrap().0);
    let delivered = end - start;
    match kind {
        ItemKind::EnergyDiff => {
            let off = delivered / 100 + 101 + random.between(0, 3_000);
            let more = random.one_in(2) || off > delivered;
            order.billed = WattHours(if more { delivered + off } else { delivered - off });
            (kind, no)
        }
        ItemKind::MeterGap => {
            let gap = random.between(101, 9_000);
            order.meter_start = Some(WattHours(start + gap));
            order.meter_end = Some(WattHours(end + gap));
            *register += gap;
            (kind, no)
        }
        ItemKind::Long
        | ItemKind::Short
        | ItemKind::AmountDiff
        | ItemKind::TransactionDiff
        | ItemKind::LedgerDiff
        | ItemKind::Duplicate
        | ItemKind::PileEnergyDiff
        | ItemKind::MeterBackwards
        | ItemKind::MeterMissing => {
            if random.one_in(3) {
                order.meter_start = Some(WattHours(-5));
            } else {
                order.meter_end = Some(WattHours(start - 1));
            }
            (ItemKind::MeterBackwards, no)
        }
    }
}
