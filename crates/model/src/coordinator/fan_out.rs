//! Fan-outs: all members at once, or as many as may be, and one output of all of theirs.

use std::collections::BTreeMap;

use super::TurnContext;
use super::hear::too_many_children;
use super::route::child_failed;
use super::share::Share;
use crate::Payload;
use crate::coordination::{
    CHILDREN_LIMIT, Coordination, Finish, InputMaterial, Members, Shared, Start,
};
use crate::error_code::ErrorCode;
use crate::event::Failure;
use crate::plan::{Aggregation, FanOut, OnFailure, Pattern, key_of};

/// Result of a fan-out as far as it is known before all its members are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Well.
    Well,
    /// A member failed, and no failure is allowed.
    MemberFailed,
    /// Too few can do well.
    TooFew,
    /// No output can have a majority.
    NoMajority,
}

impl FanOut {
    /// Returns the label of a member's part of the output.
    fn label_at(&self, place: u32) -> Option<String> {
        let (name, _) = self.member_at(place)?;
        Some(match self.partition {
            Some(_) => format!("{name}-{}", place + 1),
            None => name.to_owned(),
        })
    }

    fn verdict(&self, members: &Members, total: u32) -> Option<Verdict> {
        let Members { succeeded, failed, most, .. } = *members;
        let open = total.saturating_sub(succeeded).saturating_sub(failed);
        let least = match self.on_failure {
            OnFailure::MinSuccess(least) => least,
            OnFailure::Fail | OnFailure::Ignore => 0,
        };
        let is_majority = |votes: u32| u64::from(votes) * 2 > u64::from(total);
        match self.aggregation {
            Aggregation::FirstSuccess if succeeded > 0 => Some(Verdict::Well),
            Aggregation::Majority if is_majority(most) => Some(Verdict::Well),
            Aggregation::FirstSuccess if open == 0 => Some(Verdict::TooFew),
            Aggregation::Majority if !is_majority(most.saturating_add(open)) => {
                Some(Verdict::NoMajority)
            }
            Aggregation::FirstSuccess
            | Aggregation::Majority
            | Aggregation::MergeAll
            | Aggregation::Collect
                if succeeded.saturating_add(open) < least =>
            {
                Some(Verdict::TooFew)
            }
            Aggregation::FirstSuccess | Aggregation::Majority => None,
            Aggregation::MergeAll | Aggregation::Collect => {
                if failed > 0 && self.on_failure == OnFailure::Fail {
                    Some(Verdict::MemberFailed)
                } else if open > 0 {
                    None
                } else if succeeded == 0 && failed > 0 {
                    Some(Verdict::TooFew)
                } else {
                    Some(Verdict::Well)
                }
            }
        }
    }

    /// All outputs together.
    fn output(&self, state: &Coordination, total: u32) -> InputMaterial {
        let done = |place: u32| state.done.get(&self.key_at(place)?);
        let payload = |shared: &Option<Shared<Payload>>| shared.as_ref().map(|it| it.get().clone());
        let of_step = |key: Option<&String>| {
            let done = key.and_then(|key| state.done.get(key));
            let output = done.and_then(|done| done.output.as_ref());
            output.map_or(InputMaterial::Nothing, |output| {
                InputMaterial::Payload(output.get().clone())
            })
        };
        match self.aggregation {
            Aggregation::FirstSuccess => of_step(state.routing.members.first.as_ref()),
            Aggregation::Majority => of_step(state.routing.members.favourite.as_ref()),
            Aggregation::MergeAll => {
                let part = |place| Some((self.label_at(place)?, payload(&done(place)?.output)));
                InputMaterial::Object((0..total).filter_map(part).collect::<BTreeMap<_, _>>())
            }
            Aggregation::Collect => {
                let part = |place| done(place).and_then(|done| payload(&done.output));
                InputMaterial::List((0..total).map(part).collect())
            }
        }
    }
}

impl TurnContext<'_> {
    /// Returns the verdict on a fan-out, if it is known.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let Pattern::FanOut(fan_out) = &self.plan.pattern else { return None };
        let began = self.state.routing.began?;
        fan_out.verdict(&self.state.routing.members, fan_out.total(began.items))
    }

    /// Returns the result of a fan-out.
    pub(super) fn result(&self, verdict: Verdict) -> Finish {
        let Pattern::FanOut(fan_out) = &self.plan.pattern else { return Finish::Cancelled };
        let items = self.state.routing.began.and_then(|began| began.items);
        let total = fan_out.total(items);
        let members = &self.state.routing.members;
        let first = members.failure.as_ref();
        let why = first.map_or_else(String::new, |failure| {
            format!("; first {}: {}: {}", failure.key, failure.error.code, failure.error.message)
        });
        let (code, message) = match verdict {
            Verdict::Well => return Finish::Completed(fan_out.output(&self.state, total)),
            Verdict::MemberFailed => {
                let failed = first.map(|it| child_failed(&it.key, it.run_id.as_str(), &it.error));
                return Finish::Failed(failed.unwrap_or_else(unknown_failure));
            }
            Verdict::TooFew => {
                let Members { succeeded, failed, .. } = members;
                let message = format!("{succeeded} of {total} did well, {failed} failed{why}");
                (ErrorCode::FanOutFailed, message)
            }
            Verdict::NoMajority => {
                let message = format!("no output can have more than half of {total}{why}");
                (ErrorCode::NoMajority, message)
            }
        };
        let step = first.map(|failure| failure.key.clone());
        let stderr_tail = first.and_then(|failure| failure.error.stderr_tail.clone());
        Finish::Failed(Failure { step, stderr_tail, ..Failure::new(code, message) })
    }

    /// Starts members while there is room for them.
    pub(super) fn start_members(&mut self, fan_out: &FanOut) {
        let items = self.state.routing.began.and_then(|began| began.items);
        let total = fan_out.total(items);
        loop {
            let live = u32::try_from(self.state.live.len()).unwrap_or(u32::MAX);
            let room = fan_out.max_parallel.unwrap_or(u32::MAX).max(1).saturating_sub(live);
            let mut place = self.state.routing.members.next;
            let is_done =
                |place| fan_out.key_at(place).is_some_and(|key| self.state.done.contains_key(&key));
            while place < total && is_done(place) {
                place += 1;
            }
            if room == 0 || place >= total || !self.start_member(fan_out, place, room, total) {
                return;
            }
        }
    }

    /// `false`: nothing more is to be started in this turn.
    fn start_member(&mut self, fan_out: &FanOut, place: u32, room: u32, total: u32) -> bool {
        let Some((name, number)) = fan_out.member_at(place) else { return false };
        if self.state.started >= CHILDREN_LIMIT {
            self.fail_with(ErrorCode::TooManyChildren, too_many_children(), None);
            return false;
        }
        if self.ids.len() == 0 {
            self.turn.looks_again = true;
            return false;
        }
        let Share::Granted(budgets) = self.share(room.min(total - place)) else { return false };
        let Some(run_id) = self.ids.next().cloned() else { return false };
        let timeout = match (fan_out.timeout_per_agent, self.time_left()) {
            (Some(own), Some(left)) => Some(own.min(left)),
            (own, left) => own.or(left),
        };
        let input = fan_out.partition.as_ref().map_or(InputMaterial::Input, |member| {
            InputMaterial::Item { member: member.clone(), index: place }
        });
        let start = Start {
            key: key_of(name, number),
            name: name.to_owned(),
            run_id,
            input,
            sends_to: Vec::new(),
            previous: None,
            timeout,
            budgets,
        };
        self.start(start, Vec::new());
        true
    }
}

/// A member failed of which nothing is known: that cannot be.
fn unknown_failure() -> Failure {
    Failure::new(ErrorCode::Internal, "a member failed, and nothing is known of it: this is a bug")
}
