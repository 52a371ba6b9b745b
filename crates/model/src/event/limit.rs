//! Events about budgets, policies, the inventory and the report of a result.

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::budget::{LimitName, OnExceed};

/// `budget.warned`: 80 % of a limit are used. Once per limit and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetWarned {
    /// Which limit; its name says the unit.
    pub limit: LimitName,
    /// How much is used.
    pub used: u64,
    /// How much may be.
    pub allowed: u64,
}

/// `budget.exceeded`: more is used than may be, or a call was denied since it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetExceeded {
    /// Which limit; its name says the unit.
    pub limit: LimitName,
    /// How much is used, the denied call not counted.
    pub used: u64,
    /// How much may be.
    pub allowed: u64,
    /// What was done about it.
    pub action: OnExceed,
}

/// `budget.raised`: a person allows more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRaised {
    /// Which limit; its name says the unit.
    pub limit: LimitName,
    /// How much may be used from now on.
    pub allowed: u64,
    /// Who allowed it.
    pub by: String,
}

/// `bom.pinned`: the inventory that is in effect for the attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BomPinned {
    /// Grows by one, per agent, whenever the inventory's content changes.
    pub generation: u64,
    /// Its name in the blob store.
    pub digest: Digest,
}

/// `policy.decided`: a rule was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyDecided {
    /// Before or after what it was asked, such as `replay.before`.
    pub hook: String,
    /// Which rule.
    pub policy: String,
    /// What the rule says: `allow`, `deny`, `modify` or `ask`.
    pub verdict: String,
    /// What was done: `allow`, `deny` or `modify`.
    pub enforced: String,
    /// Why, for people.
    pub reason: Option<String>,
    /// Who overruled the verdict, if somebody did.
    pub by: Option<String>,
}

/// `checkback.refused`: a result came too late, or was another than the one reported before. It
/// changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckbackRefused {
    /// What was reported: `completed` or `failed`.
    pub status: String,
    /// Why it was refused: an error code.
    pub code: String,
    /// For people.
    pub message: String,
}

/// `replay.diverged`: a strict replay did something else than the record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayDiverged {
    /// The step at which it happened, where there is one.
    pub step: Option<String>,
    /// What differs, such as `step fingerprint` or `output`.
    pub what: String,
    /// What the record has; `None`: nothing of the sort.
    pub expected: Option<String>,
    /// What the replay did; `None`: nothing of the sort.
    pub found: Option<String>,
}
