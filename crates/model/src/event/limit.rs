//! Events about budgets, policies, the inventory and the report of a result.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::{LimitName, OnExceed};
use crate::{Digest, Payload};

/// `budget.warned`: 80 % of a limit are used. Once per limit and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetWarned {
    /// The limit; its name contains the unit.
    pub limit: LimitName,
    /// Amount used.
    pub used: u64,
    /// Amount allowed.
    pub allowed: u64,
}

/// `budget.exceeded`: more is used than may be, or a call was denied since it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetExceeded {
    /// The limit; its name contains the unit.
    pub limit: LimitName,
    /// Amount used, without the denied call.
    pub used: u64,
    /// Amount allowed.
    pub allowed: u64,
    /// Action taken.
    pub action: OnExceed,
}

/// `budget.steered`: the request of a model call also told the model how much of its budget is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetSteered {
    /// Limits that the text is about, whose warnings are dealt with.
    pub limits: Vec<LimitName>,
    /// Key of the call's step.
    pub step: String,
    /// Text that was added to the request.
    pub text: String,
}

/// `budget.raised`: a person allows more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRaised {
    /// The limit; its name contains the unit.
    pub limit: LimitName,
    /// Amount allowed from now on.
    pub allowed: u64,
    /// Person or client that raised the limit.
    pub by: String,
}

/// `bom.pinned`: the inventory that is in effect for the attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BomPinned {
    /// Grows by one, per agent, whenever the inventory's content changes.
    pub generation: u64,
    /// Its name in the blob store.
    pub digest: Digest,
    /// Image that all attempts of the run use; `None`: the target of the agent resolves none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<PinnedImage>,
}

/// Image of a container, as its name was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedImage {
    /// The image as the agent file names it.
    pub reference: String,
    /// Reference with the digest of the registry; the id, if no registry has the image.
    pub digest: String,
    /// Id that the container engine has for it.
    pub id: String,
}

/// `policy.decided`: a rule was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyDecided {
    /// Before or after what it was asked, such as `replay.before`.
    pub hook: String,
    /// Name of the rule.
    pub policy: String,
    /// Verdict of the rule: `allow`, `deny`, `modify` or `ask`.
    pub verdict: String,
    /// Enforced action: `allow`, `deny` or `modify`.
    pub enforced: String,
    /// Reason, for people.
    pub reason: Option<String>,
    /// Person who overruled the verdict, if any.
    pub by: Option<String>,
    /// Name of what it was about, such as a tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The call that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Payload>,
    /// Obligations of the answer, as the policy gave them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obligations: Vec<Value>,
    /// Labels that the data of the call got by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// `egress.closed`: a connection of the agent out of its sandbox has ended, or was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressClosed {
    /// Name of the host, or its address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Way of the bytes: `tunnel`, of which errand sees no content, or `request`.
    pub kind: String,
    /// Verdict: `allow` or `deny`.
    pub verdict: String,
    /// Reason for which there was no connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Address that was connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Bytes from the agent to the host.
    pub sent_bytes: u64,
    /// Bytes from the host to the agent.
    pub received_bytes: u64,
    /// Time from the request to the end.
    pub duration_ms: u64,
}

/// `checkback.refused`: a result came too late, or was another than the one reported before. It
/// changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckbackRefused {
    /// Reported status: `completed` or `failed`.
    pub status: String,
    /// Error code of the refusal.
    pub code: String,
    /// For people.
    pub message: String,
}

/// `replay.diverged`: a strict replay did something else than the record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayDiverged {
    /// The step at which it happened, where there is one.
    pub step: Option<String>,
    /// Difference, such as `step fingerprint` or `output`.
    pub what: String,
    /// Recorded value; `None`: no such thing was recorded.
    pub expected: Option<String>,
    /// Value of the replay; `None`: no such thing occurred.
    pub found: Option<String>,
    /// JSON pointer to the first member in which the requests of a call differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Difference of the two requests of a call, by member and by line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}
