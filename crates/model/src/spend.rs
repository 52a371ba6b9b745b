//! Spending: reserve before a call, settle after it.
//!
//! A reservation is granted only if everything spent and everything reserved leaves room for it, so
//! concurrent calls cannot pass a limit together. Actual spending is a fact and is counted in full,
//! even above its reservation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Quantity that a budget measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetMeasure {
    /// Tokens in and out.
    Tokens,
    /// Millionths of a US dollar.
    CostMicroUsd,
    /// Tool calls.
    ToolCalls,
    /// Milliseconds.
    WallTimeMs,
}

impl BudgetMeasure {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Tokens, Self::CostMicroUsd, Self::ToolCalls, Self::WallTimeMs];
}

/// Amount of each measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Tokens in and out.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// Tool calls.
    pub tool_calls: u64,
    /// Milliseconds.
    pub wall_time_ms: u64,
}

impl Amounts {
    /// Nothing.
    pub const ZERO: Self = Self { tokens: 0, cost_micro_usd: 0, tool_calls: 0, wall_time_ms: 0 };

    /// Returns the amount of one measure.
    pub const fn of(&self, measure: BudgetMeasure) -> u64 {
        match measure {
            BudgetMeasure::Tokens => self.tokens,
            BudgetMeasure::CostMicroUsd => self.cost_micro_usd,
            BudgetMeasure::ToolCalls => self.tool_calls,
            BudgetMeasure::WallTimeMs => self.wall_time_ms,
        }
    }

    /// Both together; saturates.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            cost_micro_usd: self.cost_micro_usd.saturating_add(other.cost_micro_usd),
            tool_calls: self.tool_calls.saturating_add(other.tool_calls),
            wall_time_ms: self.wall_time_ms.saturating_add(other.wall_time_ms),
        }
    }

    /// Returns the difference, at least zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(other.tokens),
            cost_micro_usd: self.cost_micro_usd.saturating_sub(other.cost_micro_usd),
            tool_calls: self.tool_calls.saturating_sub(other.tool_calls),
            wall_time_ms: self.wall_time_ms.saturating_sub(other.wall_time_ms),
        }
    }

    /// Returns true if all amounts are zero.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

/// Caps on spending; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendingCaps {
    /// Tokens in and out.
    pub tokens: Option<u64>,
    /// Millionths of a US dollar.
    pub cost_micro_usd: Option<u64>,
    /// Tool calls.
    pub tool_calls: Option<u64>,
    /// Milliseconds.
    pub wall_time_ms: Option<u64>,
}

impl SpendingCaps {
    /// Returns the cap of one measure.
    pub const fn of(&self, measure: BudgetMeasure) -> Option<u64> {
        match measure {
            BudgetMeasure::Tokens => self.tokens,
            BudgetMeasure::CostMicroUsd => self.cost_micro_usd,
            BudgetMeasure::ToolCalls => self.tool_calls,
            BudgetMeasure::WallTimeMs => self.wall_time_ms,
        }
    }

    /// Returns true if no measure is capped.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// Decides whether `want` may be promised where so much is spent and promised already.
    ///
    /// # Errors
    ///
    /// [`Spent`] with the first limit that leaves no room for it.
    pub fn grant(&self, used: Amounts, reserved: Amounts, want: &Want) -> Result<(), Spent> {
        for measure in want.kind.measures() {
            let Some(allowed) = self.of(*measure) else { continue };
            let (used, reserved) = (used.of(*measure), reserved.of(*measure));
            let taken = used.saturating_add(reserved);
            let wanted = want.amounts.of(*measure);
            // Who cannot say how much it will be may begin while anything is left.
            if taken >= allowed || wanted > allowed - taken {
                return Err(Spent { measure: *measure, used, reserved, wanted, allowed });
            }
        }
        Ok(())
    }

    /// The measures of which more is spent than allowed.
    pub fn exceeded(&self, used: Amounts) -> impl Iterator<Item = BudgetMeasure> {
        let caps = *self;
        let is_over = move |measure: &BudgetMeasure| {
            caps.of(*measure).is_some_and(|allowed| used.of(*measure) > allowed)
        };
        BudgetMeasure::ALL.into_iter().filter(is_over)
    }

    /// The measures of which so much is spent that a warning is due, in percent of what is allowed.
    pub fn warned(&self, used: Amounts, percent: u64) -> impl Iterator<Item = BudgetMeasure> {
        let caps = *self;
        let is_near = move |measure: &BudgetMeasure| {
            caps.of(*measure).is_some_and(|allowed| {
                let reached = u128::from(used.of(*measure)) * 100;
                reached >= u128::from(allowed) * u128::from(percent) && used.of(*measure) > 0
            })
        };
        BudgetMeasure::ALL.into_iter().filter(is_near)
    }
}

/// Promises to calls that are under way, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    reserved: BTreeMap<String, Amounts>,
}

/// No more calls of one run than so many are under way at a time, as far as promises go.
pub const BOOK_LIMIT: usize = 1_024;

impl Book {
    /// No promises.
    pub const EMPTY: Self = Self { reserved: BTreeMap::new() };

    /// All promises together.
    pub fn total(&self) -> Amounts {
        self.reserved.values().fold(Amounts::ZERO, |sum, part| sum.plus(*part))
    }

    /// Names of the promises.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.reserved.keys().map(String::as_str)
    }

    /// Returns true if no further reservation can be held.
    pub fn is_full(&self) -> bool {
        self.reserved.len() >= BOOK_LIMIT
    }

    /// Promises what is wanted, if what is spent and promised leaves room for it. A promise of a
    /// name that there is already stays as it is.
    ///
    /// # Errors
    ///
    /// [`Spent`]; nothing is promised.
    pub fn reserve(
        &mut self,
        name: &str,
        caps: &SpendingCaps,
        used: Amounts,
        want: &Want,
    ) -> Result<(), Spent> {
        if !self.reserved.contains_key(name) {
            caps.grant(used, self.total(), want)?;
            self.reserved.insert(name.to_owned(), want.amounts);
        }
        Ok(())
    }

    /// Takes a promise back: the call was made and counted, or will not be made. Returns whether
    /// there was one.
    pub fn take_back(&mut self, name: &str) -> bool {
        self.reserved.remove(name).is_some()
    }
}

/// Spending that a call is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Kind of the spending.
    pub kind: WantKind,
    /// Upper bound of the amounts; zero where that is not known.
    pub amounts: Amounts,
}

/// Kind of a call that is about to spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantKind {
    /// A call of a model.
    Model,
    /// A call of a tool.
    Tool,
    /// Nothing but time.
    Time,
}

impl WantKind {
    /// The limits that hold it up once they are spent.
    const fn measures(self) -> &'static [BudgetMeasure] {
        match self {
            Self::Model => {
                &[BudgetMeasure::Tokens, BudgetMeasure::CostMicroUsd, BudgetMeasure::WallTimeMs]
            }
            Self::Tool => {
                &[BudgetMeasure::ToolCalls, BudgetMeasure::CostMicroUsd, BudgetMeasure::WallTimeMs]
            }
            Self::Time => &[BudgetMeasure::WallTimeMs],
        }
    }
}

/// A limit that leaves no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Measure of the amounts.
    pub measure: BudgetMeasure,
    /// Spent so far.
    pub used: u64,
    /// Promised to calls that are under way.
    pub reserved: u64,
    /// Asked for.
    pub wanted: u64,
    /// Allowed in all.
    pub allowed: u64,
}
