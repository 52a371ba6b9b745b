//! A second, naive interpreter of workflows: it keeps everything it ever heard in lists, and finds
//! out anew each time what follows. What the model decides is compared with it.

use std::collections::{BTreeMap, BTreeSet};

use errand_model::event::MessageType;
use errand_model::plan::{END, Edge, Join, NEXT, Node, PREV, SELF, START, Workflow};
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) kind: MessageType,
    pub(crate) value: Value,
    pub(crate) is_delivered: bool,
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "it is naive on purpose")]
struct RunOfNode {
    key: String,
    node: String,
    wrote: String,
    is_live: bool,
    listens: bool,
    /// The place of the message that it asked for last.
    fed: Option<usize>,
    has_written: bool,
}

/// Outcome of a turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Keys and inputs of what is started, in order.
    pub(crate) starts: Vec<(String, Value)>,
    /// Keys of those that get a message which they asked for.
    pub(crate) fed: Vec<String>,
    /// Keys of those that are to end.
    pub(crate) stops: BTreeSet<String>,
    pub(crate) finish: Option<Result<Value, String>>,
}

/// News about a run, by its key.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Said {
        number: u32,
        to: String,
        kind: MessageType,
        value: Value,
    },
    Completed(Value),
    Failed(String),
    Listens,
    /// The message that was brought to it last did not reach it; what is heard next is its end.
    Missed,
}

pub(crate) struct Reference<'a> {
    workflow: &'a Workflow,
    pub(crate) messages: Vec<Message>,
    runs: Vec<RunOfNode>,
    failed: Option<String>,
    end: Option<(Value, Option<String>)>,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(workflow: &'a Workflow) -> Self {
        Self { workflow, messages: Vec::new(), runs: Vec::new(), failed: None, end: None }
    }

    pub(crate) fn begin(&mut self, input: &Value) -> Outcome {
        self.send(START, &self.workflow.start.clone(), (MessageType::Task, input), None);
        self.follow()
    }

    pub(crate) fn hear(&mut self, news: &[(String, Heard)]) -> Outcome {
        let was_over = self.is_over();
        let mut outcome = self.take(news);
        if was_over {
            let last = self.end.as_ref().and_then(|(_, key)| key.as_ref());
            let listens = |key: &String| {
                let listens = |(told, heard): &(String, Heard)| {
                    told == key && matches!(heard, Heard::Listens)
                };
                Some(key) == last && news.iter().any(listens)
            };
            outcome.stops.retain(listens);
        }
        outcome
    }

    fn take(&mut self, news: &[(String, Heard)]) -> Outcome {
        for (key, heard) in news {
            let Some(at) = self.runs.iter().position(|run| run.key == *key && run.is_live) else {
                continue;
            };
            let run = self.runs[at].clone();
            match heard {
                Heard::Said { to, kind, value, .. } => {
                    for to in self.addressed(&run, to, *kind, value) {
                        if self.is_over() {
                            continue;
                        }
                        self.send(&run.node, &to, (*kind, value), Some(&run.key));
                        self.runs[at].has_written |= self.failed.is_none();
                    }
                }
                Heard::Completed(value) => {
                    self.runs[at].is_live = false;
                    if !run.has_written {
                        for to in self.takers(&run, MessageType::Result, value) {
                            self.send(&run.node, &to, (MessageType::Result, value), Some(&run.key));
                        }
                    }
                }
                Heard::Failed(run_id) => {
                    self.runs[at].is_live = false;
                    let value = json!({"code": "broken", "message": "it broke", "node": run.node, "run_id": run_id});
                    let takers = self.takers(&run, MessageType::Error, &value);
                    if takers.is_empty() && !self.is_over() {
                        self.failed = Some("child_failed".to_owned());
                    }
                    for to in takers {
                        self.send(&run.node, &to, (MessageType::Error, &value), Some(&run.key));
                    }
                }
                Heard::Listens => self.runs[at].listens = true,
                Heard::Missed => {
                    if let Some(place) = run.fed.filter(|_| !self.is_over()) {
                        self.messages[place].is_delivered = false;
                    }
                }
            }
        }
        self.follow()
    }

    fn node(&self, name: &str) -> &Node {
        &self.workflow.nodes[name]
    }

    fn is_over(&self) -> bool {
        self.failed.is_some() || self.end.is_some()
    }

    fn send(
        &mut self,
        from: &str,
        to: &str,
        (kind, value): (MessageType, &Value),
        key: Option<&str>,
    ) {
        if self.is_over() {
            return;
        }
        if self.messages.len() >= usize::try_from(self.workflow.max_messages).unwrap() {
            self.failed = Some("too_many_messages".to_owned());
            return;
        }
        self.messages.push(Message {
            from: from.to_owned(),
            to: to.to_owned(),
            kind,
            value: value.clone(),
            is_delivered: false,
        });
        if to == END {
            self.end = Some((value.clone(), key.map(str::to_owned)));
        }
    }

    fn takers(&self, run: &RunOfNode, kind: MessageType, value: &Value) -> Vec<String> {
        let mut takers: Vec<String> = Vec::new();
        for Edge { to, when } in &self.node(&run.node).outputs_to {
            let takes = match when {
                None => kind != MessageType::Error,
                Some(when) => when.holds(kind, value),
            };
            if let (true, Some(to)) = (takes, real(run, to))
                && !takers.contains(&to)
            {
                takers.push(to);
            }
        }
        takers
    }

    fn addressed(
        &self,
        run: &RunOfNode,
        to: &str,
        kind: MessageType,
        value: &Value,
    ) -> Vec<String> {
        if to == NEXT {
            return self.takers(run, kind, value);
        }
        let Some(found) = real(run, to) else { return Vec::new() };
        let edges = &self.node(&run.node).outputs_to;
        let may = to == SELF
            || to == PREV
            || found == run.node
            || found == run.wrote
            || edges.iter().any(|edge| real(run, &edge.to).as_ref() == Some(&found));
        if may { vec![found] } else { Vec::new() }
    }

    /// Places of messages that a new run of a node would begin with.
    fn next_places(&self, name: &str) -> Option<Vec<usize>> {
        let mut open = Vec::new();
        for (place, message) in self.messages.iter().enumerate() {
            if message.to == name && !message.is_delivered {
                open.push(place);
            }
        }
        let first = *open.first()?;
        if self.node(name).join == Join::Any {
            return Some(vec![first]);
        }
        let mut upstream = BTreeSet::new();
        for (other, node) in &self.workflow.nodes {
            if other != name && node.outputs_to.iter().any(|edge| edge.to == name) {
                upstream.insert(other.clone());
            }
        }
        for place in &open {
            if !upstream.contains(&self.messages[*place].from) {
                return Some(vec![*place]);
            }
        }
        let mut places = Vec::new();
        for sender in &upstream {
            places.push(*open.iter().find(|place| self.messages[**place].from == *sender)?);
        }
        places.sort_unstable();
        Some(places)
    }

    fn follow(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        if !self.is_over() {
            self.feed(&mut outcome);
            self.start(&mut outcome);
        }
        let live = self.runs.iter().filter(|run| run.is_live);
        if self.is_over() {
            let last = self.end.as_ref().and_then(|(_, key)| key.as_ref());
            let stops = live.filter(|run| last != Some(&run.key) || run.listens);
            outcome.stops = stops.map(|run| run.key.clone()).collect();
        }
        if self.runs.iter().all(|run| !run.is_live) {
            outcome.finish = Some(match (&self.failed, &self.end) {
                (Some(code), _) => Err(code.clone()),
                (None, Some((value, _))) => Ok(value.clone()),
                (None, None) => Err("workflow_stalled".to_owned()),
            });
        }
        outcome
    }

    fn feed(&mut self, outcome: &mut Outcome) {
        let names: Vec<String> = self.workflow.nodes.keys().cloned().collect();
        for name in names {
            let live = self.runs.iter().position(|run| run.node == name && run.is_live);
            let Some(at) = live.filter(|at| self.runs[*at].listens) else { continue };
            let open = |message: &Message| message.to == name && !message.is_delivered;
            if let Some(place) = self.messages.iter().position(open) {
                self.messages[place].is_delivered = true;
                (self.runs[at].listens, self.runs[at].fed) = (false, Some(place));
                outcome.fed.push(self.runs[at].key.clone());
            }
        }
    }

    fn start(&mut self, outcome: &mut Outcome) {
        let names: Vec<String> = self.workflow.nodes.keys().cloned().collect();
        for name in names {
            if self.failed.is_some() || self.runs.iter().any(|run| run.node == name && run.is_live)
            {
                continue;
            }
            let Some(places) = self.next_places(&name) else { continue };
            let number = self.runs.iter().filter(|run| run.node == name).count() + 1;
            let bound = self.node(&name).max_runs.map(|bound| usize::try_from(bound).unwrap());
            if bound.is_some_and(|bound| number > bound) {
                self.failed = Some("too_many_runs".to_owned());
                continue;
            }
            let said: Vec<Message> = places.iter().map(|at| self.messages[*at].clone()).collect();
            for place in places {
                self.messages[place].is_delivered = true;
            }
            let is_one = self.node(&name).join == Join::Any || said[0].from == START;
            let input = if is_one {
                said[0].value.clone()
            } else {
                let parts: BTreeMap<_, _> =
                    said.iter().map(|said| (said.from.clone(), said.value.clone())).collect();
                json!(parts)
            };
            let key = format!("{name}#{number}");
            outcome.starts.push((key.clone(), input));
            self.runs.push(RunOfNode {
                key,
                node: name,
                wrote: said.last().unwrap().from.clone(),
                is_live: true,
                listens: false,
                fed: None,
                has_written: false,
            });
        }
    }
}

fn real(run: &RunOfNode, to: &str) -> Option<String> {
    match to {
        SELF => Some(run.node.clone()),
        PREV => (run.wrote != START).then(|| run.wrote.clone()),
        NEXT => None,
        _ => Some(to.to_owned()),
    }
}
