//! Demands of a run on its worker, and the order of runs in the queue.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Placement of a run that any worker may claim. Part of `run.created`, so the queue can be rebuilt
/// from the journals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Priority: of the ready runs of one namespace, the highest goes first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Earliest time of a claim.
    #[serde(default, rename = "not_before_ms", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Demands on the worker.
    #[serde(default, flatten)]
    pub demands: PlacementDemands,
}

/// Demands of a run on a worker, and the runs that may not run at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlacementDemands {
    /// Labels that the worker must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub affinity: BTreeMap<String, String>,
    /// Resources of the worker that the run occupies while it is leased.
    #[serde(default, skip_serializing_if = "Resources::is_none")]
    pub resources: Resources,
    /// Bounds that it shares with others: no more runs are under lease that name the same key than
    /// the smallest limit that one of them names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub concurrency: BTreeMap<String, u32>,
}

/// Resources of a worker, or of a run on it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Resources {
    /// Thousandths of a core.
    #[serde(default, skip_serializing_if = "is_none")]
    pub cpu_millis: u64,
    /// Bytes of memory.
    #[serde(default, skip_serializing_if = "is_none")]
    pub memory_bytes: u64,
    /// Graphics processors.
    #[serde(default, skip_serializing_if = "is_none")]
    pub gpu: u64,
}

impl Resources {
    /// Returns true if all resources are zero.
    pub const fn is_none(&self) -> bool {
        self.cpu_millis == 0 && self.memory_bytes == 0 && self.gpu == 0
    }

    /// Returns the rest after `taken`; `None` if there is less than that.
    pub fn without(self, taken: Self) -> Option<Self> {
        Some(Self {
            cpu_millis: self.cpu_millis.checked_sub(taken.cpu_millis)?,
            memory_bytes: self.memory_bytes.checked_sub(taken.memory_bytes)?,
            gpu: self.gpu.checked_sub(taken.gpu)?,
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
const fn is_zero(priority: &i32) -> bool {
    *priority == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
const fn is_none(amount: &u64) -> bool {
    *amount == 0
}

/// Properties of waiting runs that a worker has to know before it claims one: runs of one class are
/// interchangeable.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Class {
    /// Namespace of the runs; `None`: the default namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Demands on the worker.
    #[serde(default, flatten)]
    pub demands: PlacementDemands,
}

impl Class {
    /// As one text that sorts and compares: empty for a run of the default namespace that needs
    /// nothing, otherwise JSON with sorted keys.
    ///
    /// # Errors
    ///
    /// None that can happen: all keys are texts.
    pub fn to_key(&self) -> Result<String, serde_json::Error> {
        if *self == Self::default() {
            return Ok(String::new());
        }
        serde_json::to_string(self)
    }

    /// The class that a key means.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn from_key(key: &str) -> Result<Self, serde_json::Error> {
        if key.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(key)
    }
}

/// Current offer of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Free resources; `None`: the worker does not count them and takes any run.
    pub free: Option<Resources>,
    /// True if the worker takes only runs that ask for its labels.
    pub only: bool,
}

impl Offer {
    /// Returns true if the worker has all requested labels; for a worker that takes only labelled
    /// runs, at least one must be requested.
    pub fn has_labels_of(&self, demands: &PlacementDemands) -> bool {
        let has = |(name, value)| self.labels.get(name).is_some_and(|label| label == value);
        demands.affinity.iter().all(has) && !(self.only && demands.affinity.is_empty())
    }
}

/// Runs under lease, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnderLease {
    /// By namespace.
    pub by_namespace: BTreeMap<Option<String>, u32>,
    /// By key of a shared bound.
    pub by_key: BTreeMap<String, u32>,
}

/// Runs of one class that are ready, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyRuns<T> {
    /// Class of the runs.
    pub class: Class,
    /// Priority (higher first), since when it could have begun, and the run: in this order.
    pub runs: Vec<(i32, Timestamp, T)>,
}

/// Chooses at most `limit` runs for a worker: the namespace with the fewest leased runs first,
/// within it the highest priority and the longest waiting. Runs that the worker cannot take, or
/// that a shared bound forbids, stay in the queue and block no others.
pub fn choose<T: Clone>(
    ready: &[ReadyRuns<T>],
    under_lease: &UnderLease,
    offer: &Offer,
    limit: usize,
) -> Vec<T> {
    let mut count = under_lease.clone();
    let mut free = offer.free;
    let mut next = vec![0_usize; ready.len()];
    let mut chosen = Vec::new();
    while chosen.len() < limit {
        let candidates = ready.iter().zip(&next).enumerate().filter_map(|(at, (group, next))| {
            let (priority, since, _) = group.runs.get(*next)?;
            let fits = fits(&group.class.demands, &count, offer, free);
            let served = count.by_namespace.get(&group.class.namespace).copied().unwrap_or(0);
            fits.then_some((served, std::cmp::Reverse(*priority), *since, at))
        });
        let Some((_, _, _, at)) = candidates.min() else { break };
        let (Some(group), Some(next)) = (ready.get(at), next.get_mut(at)) else { break };
        let Some((_, _, run)) = group.runs.get(*next) else { break };
        chosen.push(run.clone());
        *next += 1;
        *count.by_namespace.entry(group.class.namespace.clone()).or_default() += 1;
        for key in group.class.demands.concurrency.keys() {
            *count.by_key.entry(key.clone()).or_default() += 1;
        }
        free = free.and_then(|free| free.without(group.class.demands.resources));
    }
    chosen
}

/// Returns true if a worker may take a run of these demands now.
fn fits(
    demands: &PlacementDemands,
    count: &UnderLease,
    offer: &Offer,
    free: Option<Resources>,
) -> bool {
    let has_labels = offer.has_labels_of(demands);
    let has_room = free.is_none_or(|free| free.without(demands.resources).is_some());
    let is_free = demands
        .concurrency
        .iter()
        .all(|(key, limit)| count.by_key.get(key).copied().unwrap_or(0) < *limit);
    has_labels && has_room && is_free
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(
        namespace: &str,
        demands: PlacementDemands,
        runs: &[(i32, i64, u32)],
    ) -> ReadyRuns<u32> {
        let class = Class { namespace: Some(namespace.to_owned()), demands };
        let runs = runs
            .iter()
            .map(|(priority, at, run)| (*priority, Timestamp::from_millis(*at), *run))
            .collect();
        ReadyRuns { class, runs }
    }

    #[test]
    fn the_highest_priority_goes_first_and_then_the_longest_waiting() {
        let queue = [ready("a", PlacementDemands::default(), &[(5, 9, 1), (0, 1, 2), (0, 2, 3)])];
        let chosen = choose(&queue, &UnderLease::default(), &Offer::default(), 2);
        assert_eq!(chosen, [1, 2]);
    }

    #[test]
    fn namespaces_are_served_evenly_however_much_one_of_them_asks_for() {
        let many: Vec<_> = (0..100).map(|run| (9, 0, run)).collect();
        let queue = [
            ready("loud", PlacementDemands::default(), &many),
            ready("quiet", PlacementDemands::default(), &[(0, 50, 1_000), (0, 51, 1_001)]),
        ];
        let chosen = choose(&queue, &UnderLease::default(), &Offer::default(), 4);
        assert_eq!(chosen, [0, 1_000, 1, 1_001]);
    }

    #[test]
    fn a_run_that_nobody_here_can_take_holds_no_other_up() {
        let needs_gpu = PlacementDemands {
            resources: Resources { gpu: 1, ..Resources::default() },
            ..PlacementDemands::default()
        };
        let queue = [
            ready("a", needs_gpu, &[(9, 0, 1)]),
            ready("a", PlacementDemands::default(), &[(0, 5, 2)]),
        ];
        let offer =
            Offer { labels: BTreeMap::new(), free: Some(Resources::default()), only: false };
        assert_eq!(choose(&queue, &UnderLease::default(), &offer, 4), [2]);
    }

    #[test]
    fn a_shared_bound_holds_over_what_is_under_lease_and_what_is_chosen() {
        let bound = PlacementDemands {
            concurrency: BTreeMap::from([("agent:a".to_owned(), 3)]),
            ..PlacementDemands::default()
        };
        let queue = [ready("a", bound, &[(0, 0, 1), (0, 1, 2), (0, 2, 3)])];
        let under_lease = UnderLease {
            by_key: BTreeMap::from([("agent:a".to_owned(), 1)]),
            ..UnderLease::default()
        };
        assert_eq!(choose(&queue, &under_lease, &Offer::default(), 4), [1, 2]);
    }

    #[test]
    fn labels_and_resources_are_what_the_worker_has_left() {
        let demands = PlacementDemands {
            affinity: BTreeMap::from([("zone".to_owned(), "eu".to_owned())]),
            resources: Resources { memory_bytes: 2, ..Resources::default() },
            ..PlacementDemands::default()
        };
        let queue = [ready("a", demands, &[(0, 0, 1), (0, 1, 2)])];
        let free = Some(Resources { memory_bytes: 3, ..Resources::default() });
        let here = BTreeMap::from([("zone".to_owned(), "eu".to_owned())]);
        let offer = Offer { labels: here, free, only: false };
        assert_eq!(choose(&queue, &UnderLease::default(), &offer, 4), [1]);
        let elsewhere = Offer { labels: BTreeMap::new(), free, only: false };
        assert_eq!(choose(&queue, &UnderLease::default(), &elsewhere, 4), [0_u32; 0]);
    }

    #[test]
    fn a_worker_that_takes_only_what_asks_for_it_leaves_everything_else() {
        let label = |value: &str| BTreeMap::from([("family".to_owned(), value.to_owned())]);
        let asks =
            |value| PlacementDemands { affinity: label(value), ..PlacementDemands::default() };
        let queue = [
            ready("a", PlacementDemands::default(), &[(9, 0, 1)]),
            ready("a", asks("mine"), &[(0, 0, 2)]),
            ready("a", asks("other"), &[(5, 0, 3)]),
        ];
        let offer = Offer { labels: label("mine"), free: None, only: true };
        assert_eq!(choose(&queue, &UnderLease::default(), &offer, 4), [2]);
        let anyone = Offer { only: false, ..offer };
        assert_eq!(choose(&queue, &UnderLease::default(), &anyone, 4), [1, 2]);
    }

    #[test]
    fn a_class_is_read_back_from_its_key() {
        let demands = PlacementDemands {
            concurrency: BTreeMap::from([("agent:a".to_owned(), 3)]),
            ..PlacementDemands::default()
        };
        let class = Class { namespace: Some("a".to_owned()), demands };
        assert_eq!(Class::from_key(&class.to_key().unwrap()).unwrap(), class);
        assert_eq!(Class::default().to_key().unwrap(), "");
    }
}
