//! What an operator may write into the rules of risk, read strictly: a rule that makes no sense names itself, the field
//! and the remedy.

use domain::{Fen, Millis};
use serde::{Deserialize, Serialize};

use crate::{
    compensation::{BadRule, check_name, check_texts},
    limits::{RULES_MAX, SIGNALS_PER_SUBJECT_MAX, WINDOW_S_MAX},
    pricing::BillFlag,
};

/// The rules in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RiskRules {
    /// The rules, as they stand in the file.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name in the decision log and in `holdReason`.
    pub name: String,
    /// What it looks for.
    pub kind: RuleKind,
    /// What follows when it strikes.
    pub outcome: Outcome,
    /// Where it is asked.
    pub at: Vec<Gate>,
    /// For people, in Chinese.
    pub text_zh: String,
    /// For people, in English.
    pub text_en: String,
}

/// What a rule looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleKind {
    /// A bill over so much; `None`: over `money.hold_over_fen`.
    LargeOrder {
        /// The sum itself is not over.
        over: Option<Fen>,
    },
    /// So many top-ups of at least so much within the window.
    QuickTopups {
        /// How many.
        count: u32,
        /// Of at least so much.
        fen: Fen,
        /// Within so long.
        window: Millis,
    },
    /// So many starts within the window; each start is also, sooner or later, a stop.
    ManyStarts {
        /// How many.
        count: u32,
        /// Within so long.
        window: Millis,
    },
    /// So many refunds within the window.
    FrequentRefunds {
        /// How many.
        count: u32,
        /// Within so long.
        window: Millis,
    },
    /// So many small orders refunded in full within the window.
    CouponLike {
        /// How many.
        count: u32,
        /// Of at most so much.
        fen: Fen,
        /// Within so long.
        window: Millis,
    },
    /// A pile whose meter was found wrong so often within the window.
    MeterAbnormalPile {
        /// How often.
        count: u32,
        /// Within so long.
        window: Millis,
    },
    /// A bill with one of these flags.
    FlaggedBill {
        /// Which; none: the rule never strikes.
        flags: Vec<BillFlag>,
    },
}

/// What follows when a rule strikes, from the mildest to the severest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing but a row in the decision log.
    Pass,
    /// A person looks first: the bill is held, the refund waits.
    Hold,
    /// The call is refused.
    Refuse,
}

/// Where rules are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Before an order is placed: refuse.
    Start,
    /// Before a top-up is asked for: refuse.
    Topup,
    /// Before a refund is credited: hold or refuse.
    Refund,
    /// Before the money of a bill is taken: hold.
    Bill,
}

/// A rule as it stands in the file: `[[rule]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    kind: KindName,
    outcome: Outcome,
    at: Option<Vec<Gate>>,
    text_zh: String,
    text_en: String,
    over_fen: Option<i64>,
    count: Option<u32>,
    fen: Option<i64>,
    window_s: Option<i64>,
    flags: Option<Vec<BillFlag>>,
}

/// The file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRules {
    #[serde(default)]
    rule: Vec<Written>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindName {
    LargeOrder,
    QuickTopups,
    ManyStarts,
    FrequentRefunds,
    CouponLike,
    MeterAbnormalPile,
    FlaggedBill,
}

impl Outcome {
    /// As the API says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Hold => "hold",
            Self::Refuse => "refuse",
        }
    }
}

impl RiskRules {
    /// The rules of a file.
    ///
    /// # Errors
    /// [`BadRule`] for the first one that makes no sense.
    pub fn read(written: WrittenRules) -> Result<Self, BadRule> {
        if written.rule.len() > RULES_MAX {
            let remedy = format!("use at most {RULES_MAX} rules");
            return Err(BadRule::new("", "rule", written.rule.len(), remedy));
        }
        let mut names = Vec::new();
        for rule in &written.rule {
            check_name(&rule.name, &mut names)?;
            check_texts(&rule.name, [&rule.text_zh, &rule.text_en])?;
        }
        let rules = written.rule.into_iter().map(Written::read).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// The rule of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// The longest window of all rules: what is older need not be remembered.
    #[must_use]
    pub fn horizon(&self) -> Millis {
        self.rules.iter().filter_map(|rule| rule.kind.window()).max().unwrap_or_default()
    }
}

impl RuleKind {
    /// How far back it counts.
    #[must_use]
    pub const fn window(&self) -> Option<Millis> {
        match self {
            Self::QuickTopups { window, .. }
            | Self::ManyStarts { window, .. }
            | Self::FrequentRefunds { window, .. }
            | Self::CouponLike { window, .. }
            | Self::MeterAbnormalPile { window, .. } => Some(*window),
            Self::LargeOrder { .. } | Self::FlaggedBill { .. } => None,
        }
    }

    /// Whether it looks at a bill or its pile and so has no other gate.
    const fn is_about_a_bill(&self) -> bool {
        match self {
            Self::LargeOrder { .. } | Self::FlaggedBill { .. } | Self::MeterAbnormalPile { .. } => true,
            Self::QuickTopups { .. }
            | Self::ManyStarts { .. }
            | Self::FrequentRefunds { .. }
            | Self::CouponLike { .. } => false,
        }
    }

    /// Where it is asked unless the rule says otherwise.
    fn usual_gates(&self) -> Vec<Gate> {
        match self {
            Self::LargeOrder { .. } | Self::FlaggedBill { .. } | Self::MeterAbnormalPile { .. } => vec![Gate::Bill],
            Self::QuickTopups { .. } => vec![Gate::Topup],
            Self::ManyStarts { .. } => vec![Gate::Start],
            Self::FrequentRefunds { .. } | Self::CouponLike { .. } => vec![Gate::Refund],
        }
    }
}

impl Written {
    fn read(self) -> Result<Rule, BadRule> {
        let kind = match self.kind {
            KindName::LargeOrder => RuleKind::LargeOrder { over: self.sum("over_fen", self.over_fen)? },
            KindName::QuickTopups => {
                RuleKind::QuickTopups { count: self.count()?, fen: self.fen()?, window: self.window()? }
            }
            KindName::ManyStarts => RuleKind::ManyStarts { count: self.count()?, window: self.window()? },
            KindName::FrequentRefunds => RuleKind::FrequentRefunds { count: self.count()?, window: self.window()? },
            KindName::CouponLike => {
                RuleKind::CouponLike { count: self.count()?, fen: self.fen()?, window: self.window()? }
            }
            KindName::MeterAbnormalPile => RuleKind::MeterAbnormalPile { count: self.count()?, window: self.window()? },
            KindName::FlaggedBill => RuleKind::FlaggedBill { flags: self.flags.clone().unwrap_or_default() },
        };
        self.only_its_own_fields()?;
        let at = self.at.clone().unwrap_or_else(|| kind.usual_gates());
        if kind.is_about_a_bill() && at.iter().any(|gate| *gate != Gate::Bill) {
            return Err(self.bad("at", format!("{at:?}"), "use [\"bill\"]: it looks at bills"));
        }
        if self.outcome == Outcome::Refuse && at.contains(&Gate::Bill) {
            return Err(self.bad("outcome", "refuse", "use \"hold\": what was charged cannot be refused any more"));
        }
        if self.outcome == Outcome::Hold && at.iter().any(|gate| matches!(gate, Gate::Start | Gate::Topup)) {
            let remedy = "use \"refuse\" there, or at = [\"bill\"] to hold the bills instead";
            return Err(self.bad("outcome", "hold", remedy));
        }
        Ok(Rule { name: self.name, kind, outcome: self.outcome, at, text_zh: self.text_zh, text_en: self.text_en })
    }

    fn bad(&self, field: &'static str, value: impl ToString, remedy: impl Into<String>) -> BadRule {
        BadRule::new(&self.name, field, value, remedy)
    }

    /// A field that another kind of rule has would silently do nothing here.
    fn only_its_own_fields(&self) -> Result<(), BadRule> {
        use KindName::{CouponLike, FlaggedBill, LargeOrder, QuickTopups};
        let counts = !matches!(self.kind, LargeOrder | FlaggedBill);
        let has_fen = matches!(self.kind, QuickTopups | CouponLike);
        for (field, given, its_own) in [
            ("over_fen", self.over_fen.is_some(), self.kind == LargeOrder),
            ("count", self.count.is_some(), counts),
            ("window_s", self.window_s.is_some(), counts),
            ("fen", self.fen.is_some(), has_fen),
            ("flags", self.flags.is_some(), self.kind == FlaggedBill),
        ] {
            if given && !its_own {
                return Err(self.bad(field, "given", format!("take it out: {:?} does not look at it", self.kind)));
            }
        }
        Ok(())
    }

    fn count(&self) -> Result<u32, BadRule> {
        let count = self.count.unwrap_or_default();
        let most = u32::try_from(SIGNALS_PER_SUBJECT_MAX).unwrap_or(u32::MAX);
        if (1..=most).contains(&count) {
            return Ok(count);
        }
        Err(self.bad("count", count, format!("use 1 to {most}")))
    }

    fn fen(&self) -> Result<Fen, BadRule> {
        self.sum("fen", self.fen)?.ok_or_else(|| self.bad("fen", "", "say how much"))
    }

    fn sum(&self, field: &'static str, fen: Option<i64>) -> Result<Option<Fen>, BadRule> {
        match fen {
            Some(fen) if fen < 0 => Err(self.bad(field, fen, "use 0 or more")),
            Some(_) | None => Ok(fen.map(Fen)),
        }
    }

    fn window(&self) -> Result<Millis, BadRule> {
        let s = self.window_s.unwrap_or_default();
        if (1..=WINDOW_S_MAX).contains(&s) {
            return Ok(Millis::from_secs(s));
        }
        Err(self.bad("window_s", s, format!("use 1 to {WINDOW_S_MAX} seconds")))
    }
}
