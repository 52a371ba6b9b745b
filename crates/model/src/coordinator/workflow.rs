//! Chains and workflows: which messages reach whom, and which agents run for them.

use std::collections::BTreeMap;

use super::TurnContext;
use super::hear::too_many_children;
use super::share::Share;
use crate::coordination::{
    CHILDREN_LIMIT, CoordinatedMessage, InputMaterial, MessageDelivery, Shared, Start, material,
};
use crate::error_code::ErrorCode;
use crate::event::{EventBody, MessageDelivered};
use crate::plan::{Join, MessageType, START};

/// A node that may run, and what for.
struct Ready {
    name: String,
    letters: Vec<CoordinatedMessage>,
}

impl TurnContext<'_> {
    /// Brings all messages that can be brought: to children that wait for them, to steps that are
    /// done, and to children that are started for them.
    pub(super) fn advance(&mut self) {
        let mut ready = self.bring();
        let mut among = u32::try_from(ready.len()).unwrap_or(u32::MAX);
        ready.reverse();
        while let Some(next) = ready.pop() {
            if self.is_over() || self.is_held() || !self.start_node(&next, among) {
                return;
            }
            among = among.saturating_sub(1);
        }
    }

    /// Brings what needs no new child, and returns what does.
    fn bring(&mut self) -> Vec<Ready> {
        loop {
            let mut ready = Vec::new();
            let mut is_done = true;
            let waiting = self.state.routing.nodes.iter();
            let names: Vec<String> = waiting
                .filter(|(_, node)| !node.queue.is_empty())
                .map(|(name, _)| name.clone())
                .collect();
            for name in names {
                if self.is_over() {
                    return Vec::new();
                }
                if self.is_live(&name) {
                    self.deliver(&name);
                    continue;
                }
                let Some(letters) = self.next_letters(&name) else { continue };
                let (key, _) = self.next_key(&name);
                if self.state.done.contains_key(&key) {
                    is_done &= !self.say_again(&key, ids_of(&letters));
                } else {
                    ready.push(Ready { name, letters });
                }
            }
            if is_done {
                return ready;
            }
        }
    }

    fn is_live(&self, name: &str) -> bool {
        self.state.routing.nodes.get(name).is_some_and(|node| node.live.is_some())
    }

    /// The next message, for a live child that waits for it.
    fn deliver(&mut self, name: &str) {
        let Some(node) = self.state.routing.nodes.get(name) else { return };
        let (Some(key), Some(letter)) = (node.live.clone(), node.queue.front().cloned()) else {
            return;
        };
        let Some(child) = self.state.live.get(&key).filter(|child| child.listens) else { return };
        let delivery = MessageDelivery {
            run_id: child.run_id.clone(),
            number: child.got,
            id: letter.id.clone(),
            from: letter.from,
            to: name.to_owned(),
            kind: letter.kind,
            payload: letter.payload.get().clone(),
        };
        let delivered = MessageDelivered { ids: vec![letter.id], step: key, returned: false };
        self.record(EventBody::MessageDelivered(delivered));
        self.turn.deliveries.push(delivery);
    }

    /// The messages that the next run of a node begins with; `None`: they are not there yet.
    ///
    /// A join waits for those that have edges to it. What others say is no part of that: it runs
    /// for such a message alone.
    fn next_letters(&self, name: &str) -> Option<Vec<CoordinatedMessage>> {
        let queue = &self.state.routing.nodes.get(name)?.queue;
        let graph = self.graph.as_ref()?;
        if graph.spot(name)?.join == Join::Any {
            return Some(vec![queue.front()?.clone()]);
        }
        let upstream = graph.upstream(name);
        let is_other = |letter: &&CoordinatedMessage| !upstream.contains(letter.from.as_str());
        if let Some(other) = queue.iter().find(is_other) {
            return Some(vec![other.clone()]);
        }
        let mut oldest: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, letter) in queue.iter().enumerate() {
            oldest.entry(letter.from.as_str()).or_insert(at);
        }
        if oldest.is_empty() || oldest.len() < upstream.len() {
            return None;
        }
        let mut places: Vec<usize> = oldest.into_values().collect();
        places.sort_unstable();
        Some(places.into_iter().filter_map(|at| queue.get(at).cloned()).collect())
    }

    /// Starts a child; `false`: nothing more is to be started in this turn.
    fn start_node(&mut self, ready: &Ready, among: u32) -> bool {
        let (key, number) = self.next_key(&ready.name);
        let Some(spot) = self.graph.as_ref().and_then(|graph| graph.spot(&ready.name)) else {
            return true;
        };
        if let Some(limit) = spot.max_runs.filter(|limit| number > *limit) {
            let message = format!("{} may run {limit} times, and is to run again", ready.name);
            self.fail_with(ErrorCode::TooManyRuns, message, None);
            return false;
        }
        let input = spot.input.cloned();
        if self.state.started >= CHILDREN_LIMIT {
            self.fail_with(ErrorCode::TooManyChildren, too_many_children(), None);
            return false;
        }
        let budgets = match self.share(among) {
            Share::Granted(budgets) => budgets,
            Share::Waits => return false,
        };
        let Some(run_id) = self.ids.next().cloned() else {
            self.turn.looks_again = true;
            return false;
        };
        let last = ready.letters.last().map(|letter| letter.from.as_str());
        let previous = self.graph.as_ref().and_then(|graph| graph.previous(&ready.name, last));
        let start = Start {
            sends_to: self.plan.outputs_of(&ready.name),
            previous: previous.map(str::to_owned),
            input: self.input_of(ready, input),
            key,
            name: ready.name.clone(),
            run_id,
            timeout: self.time_left(),
            budgets,
        };
        self.start(start, ids_of(&ready.letters));
        true
    }

    fn input_of(&self, ready: &Ready, template: Option<serde_json::Value>) -> InputMaterial {
        let is_join = self.graph.as_ref().and_then(|graph| graph.spot(&ready.name));
        let is_join = is_join.is_some_and(|spot| spot.join == Join::All);
        let (output, from, kind) = match ready.letters.as_slice() {
            [only] if !is_join || only.from == START => {
                (material::of_letter(only), only.from.clone(), only.kind)
            }
            letters => {
                let part = |letter: &CoordinatedMessage| {
                    let payload = letter.payload.get();
                    let said = (*payload != material::NOTHING).then(|| payload.clone());
                    (letter.from.clone(), said)
                };
                let from: Vec<&str> = letters.iter().map(|letter| letter.from.as_str()).collect();
                let kind = letters.last().map_or(MessageType::Result, |letter| letter.kind);
                (InputMaterial::Object(letters.iter().map(part).collect()), from.join(","), kind)
            }
        };
        let Some(template) = template else { return output };
        let nodes = self.state.routing.nodes.iter();
        let outputs = nodes.filter_map(|(name, node)| {
            Some((name.clone(), Some(node.output.as_ref().map(Shared::get)?.clone())))
        });
        let (output, outputs) = (Box::new(output), outputs.collect());
        InputMaterial::Template { template, output, from, kind, outputs }
    }

    /// Describes the reason why the workflow is stalled.
    pub(super) fn stalled(&self) -> String {
        let mut waits = Vec::new();
        for (name, node) in &self.state.routing.nodes {
            let Some(graph) = &self.graph else { continue };
            if node.queue.is_empty() {
                continue;
            }
            let said = |from: &&str| node.queue.iter().any(|letter| letter.from == *from);
            let missing: Vec<&str> =
                graph.upstream(name).into_iter().filter(|from| !said(from)).collect();
            waits.push(format!("{name} waits for {}", missing.join(" and ")));
        }
        if waits.is_empty() {
            "nothing is under way, and no edge took the last output to __end__".to_owned()
        } else {
            format!("nothing is under way, and {}", waits.join("; "))
        }
    }
}

fn ids_of(letters: &[CoordinatedMessage]) -> Vec<String> {
    letters.iter().map(|letter| letter.id.clone()).collect()
}
