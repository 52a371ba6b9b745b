//! Messages between the agents of a coordinated run.
//!
//! A message that the agent sends is recorded and left for its coordinator in one commit. A message
//! to the agent waits as a document until the agent asks; it is recorded, and the document removed,
//! in one commit. An attempt first gets again the messages that earlier attempts received since the
//! last checkpoint, in the same order.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::agent_api::{CoordinationBackend, Refusal};
use errand_api::agent_protocol::{
    AgentMessage, HandOver, HandOverAnswer, MessageAnswer, SendMessage, limit,
};
use errand_api::error_code::ErrorCode;
use errand_model::event::{EventBody, MessageReceived, MessageSent, UnknownEvent};
use errand_model::plan::{COORDINATOR, END, Membership, NEXT, PREV, SELF, START};
use errand_model::run::{AttemptReport, Command};
use errand_model::{Event, Payload};
use errand_store::{
    Changes, Document, DocumentKind, DocumentOrder, DocumentQuery, Namespaces, StoreChange,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::{AttemptBackend, refusal};
use crate::kept::KeptAttempt;
use crate::news::report;
use crate::payload;

/// First interval between looks into the inbox, doubled each time: messages from another process
/// are not always announced.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// Longest interval between looks.
const LOOK_AGAIN_AT_MOST: Duration = Duration::from_millis(500);
/// First interval between reports to the coordinator that the agent waits, doubled each time: a
/// report may have been lost with a registry that was rebuilt since.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Longest interval between reports.
const ASK_AGAIN_AT_MOST: Duration = Duration::from_secs(600);
/// Events read at once.
const PAGE: u32 = 500;

/// Messages of an agent so far.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// Messages of earlier attempts were read.
    is_known: bool,
    /// Messages that the agent gets again before new ones, oldest first.
    again: VecDeque<MessageReceived>,
    /// Number of messages received, in all attempts.
    received: u32,
    /// Number of messages sent, in all attempts.
    sent: u32,
    /// Last report to the coordinator that the agent waits.
    asked: Option<MessageRequest>,
    /// Number of messages that the agent got in this attempt, those of earlier attempts included.
    given: usize,
}

/// Report to the coordinator that the agent waits for a message.
#[derive(Clone, Copy, Debug)]
struct MessageRequest {
    /// Number of messages received before it.
    received: u32,
    at: Instant,
    /// Time after which the report is repeated.
    again_after: Duration,
}

#[async_trait]
impl CoordinationBackend for AttemptBackend {
    async fn send_message(&self, message: SendMessage) -> Result<MessageAnswer, Refusal> {
        let member = self.member()?;
        check_target(&member, &message.to)?;
        self.permit_message(&message).await?;
        let payload = self.kept(Payload::Json(message.payload))?;
        let mut mailbox = self.mailbox.lock().await;
        self.know(&mut mailbox).await?;
        if mailbox.sent >= limit::MESSAGES_PER_RUN {
            let most = limit::MESSAGES_PER_RUN;
            let text = format!("a run sends at most {most} messages");
            return Err(Refusal::new(409, ErrorCode::TooManyMessages, text));
        }
        mailbox.sent += 1;
        drop(mailbox);
        let (to, kind) = (message.to, message.kind);
        let sent = |id| MessageSent {
            id,
            from: member.name.clone(),
            to,
            kind,
            payload,
            step: Some(member.key.clone()),
        };
        let make = |run: &errand_model::run::Run, seq: u64| {
            let events = vec![EventBody::MessageSent(sent(format!("{}/{seq}", run.id)))];
            Ok(Command::AttemptReport(AttemptReport { attempt: self.attempt, events }))
        };
        let recorded = self.journal.record_numbered(make, Vec::new(), |_| {}).await;
        let seq = recorded.map_err(|error| refusal(&error.into()))?;
        Ok(MessageAnswer { seq, id: format!("{}/{seq}", self.run_id()) })
    }

    async fn next_message(&self, wait: Duration) -> Result<Option<AgentMessage>, Refusal> {
        let member = self.member()?;
        let deadline = Instant::now() + wait;
        let mut look_again = LOOK_AGAIN;
        // Subscribed before the first look, so that no later message is missed.
        let mut changes = self.engine.store().changes();
        loop {
            if let Some(received) = self.look(&member).await? {
                return self.shown(received).map(Some);
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(None);
            }
            let until = deadline.min(now + look_again);
            look_again = (look_again * 2).min(LOOK_AGAIN_AT_MOST);
            // Looks both after a notification and after the timeout.
            drop(tokio::time::timeout_at(until, self.heard(&mut changes)).await);
        }
    }

    async fn hand_over(&self, handoff: HandOver) -> Result<HandOverAnswer, Refusal> {
        self.handed_over(handoff).await
    }
}

impl AttemptBackend {
    /// Returns its place in a coordinated run.
    fn member(&self) -> Result<Membership, Refusal> {
        let member = self.journal.look(|run, _| run.spec.member.as_deref().cloned());
        member.ok_or_else(|| {
            let text = "the run is no part of a coordinated one: there is nobody to write to";
            Refusal::new(409, ErrorCode::NoCoordinator, text)
                .with_hint("only an agent that a coordinator started can send and receive messages")
        })
    }

    /// Reads the messages of earlier attempts, once.
    async fn know(&self, mailbox: &mut Mailbox) -> Result<(), Refusal> {
        if mailbox.is_known {
            return Ok(());
        }
        let given = mailbox.given;
        let mut known = Mailbox { is_known: true, given, ..Mailbox::default() };
        let mut after = 0;
        // Before the first attempt there are none, unless it was adopted.
        let mut is_whole = self.attempt == 1 && !self.is_adopted;
        while !is_whole {
            let events = self.engine.store().events(self.run_id(), after, PAGE).await;
            let events = events.map_err(|error| refusal(&error.into()))?;
            for event in &events {
                let taken = if event.attempt < self.attempt {
                    known.take_in(event)
                } else {
                    known.take_in_own(event)
                };
                taken.map_err(|error| Refusal::internal(error.to_string()))?;
            }
            let has_begun = |last: &Event| last.attempt >= self.attempt && !self.is_adopted;
            is_whole = events.last().is_none_or(has_begun);
            after = events.last().map_or(after, |last| last.seq);
        }
        // An earlier supervisor of this attempt gave these to the agent.
        known.again.drain(..given.min(known.again.len()));
        *mailbox = known;
        Ok(())
    }

    /// Returns the next message; without one, tells the coordinator that the agent waits.
    async fn look(&self, member: &Membership) -> Result<Option<MessageReceived>, Refusal> {
        let mut mailbox = self.mailbox.lock().await;
        self.know(&mut mailbox).await?;
        if mailbox.again.is_empty() {
            match self.first_in_inbox(mailbox.received).await? {
                Some((document, received)) => self.take(&mut mailbox, &document, received).await?,
                None => self.ask_for_more(&mut mailbox, member).await?,
            }
        }
        // If the caller goes away before this line, the message stays for the next call.
        let given = mailbox.again.pop_front();
        if given.is_some() {
            mailbox.given += 1;
            self.keep_messages_given(mailbox.given);
        }
        Ok(given)
    }

    /// Returns the first message in the inbox that was not received yet.
    async fn first_in_inbox(
        &self,
        received: u32,
    ) -> Result<Option<(Document, MessageReceived)>, Refusal> {
        let prefix = format!("{}/", self.run_id());
        let namespace = self.journal.look(|run, _| run.spec.namespace.clone());
        let query = DocumentQuery {
            kind: DocumentKind::Inbox,
            namespaces: Namespaces::One(namespace),
            prefix: prefix.clone(),
            order: DocumentOrder::Ascending,
            after: None,
            limit: 2,
        };
        let documents = self.engine.store().documents(&query).await;
        for document in documents.map_err(|error| refusal(&error.into()))? {
            let number = document.key.strip_prefix(&prefix).and_then(|it| it.parse::<u32>().ok());
            if number.is_some_and(|number| number <= received) {
                // The message was received before, and came back with the rebuilt registry.
                self.forget(&document).await?;
                continue;
            }
            let message = serde_json::from_value(document.body.clone());
            let message = message.map_err(|error| {
                Refusal::internal(format!("the message {} is damaged: {error}", document.key))
            })?;
            return Ok(Some((document, message)));
        }
        Ok(None)
    }

    /// Records that the agent has a message, and removes it from the inbox.
    async fn take(
        &self,
        mailbox: &mut Mailbox,
        document: &Document,
        received: MessageReceived,
    ) -> Result<(), Refusal> {
        let events = vec![EventBody::MessageReceived(received.clone())];
        let command = Command::AttemptReport(AttemptReport { attempt: self.attempt, events });
        let noted = |_| {
            mailbox.again.push_back(received);
            mailbox.received += 1;
        };
        let documents = vec![report::removal(document)];
        let recorded = self.journal.record_numbered(|_, _| Ok(command), documents, noted).await;
        recorded.map(|_| ()).map_err(|error| refusal(&error.into()))
    }

    async fn forget(&self, document: &Document) -> Result<(), Refusal> {
        let removed = self.engine.store().write_documents(vec![report::removal(document)]).await;
        removed.map_err(|error| refusal(&error.into()))
    }

    /// Tells the coordinator that the agent waits for a message, once per message unless it waits
    /// long.
    async fn ask_for_more(
        &self,
        mailbox: &mut Mailbox,
        member: &Membership,
    ) -> Result<(), Refusal> {
        let asked = mailbox.asked.filter(|asked| asked.received == mailbox.received);
        if asked.is_some_and(|asked| asked.at.elapsed() < asked.again_after) {
            return Ok(());
        }
        let now = self.engine.now();
        let ask = self.journal.look(|run, _| report::listens(run, member, mailbox.received, now));
        let written = self.engine.store().write_documents(vec![ask]).await;
        written.map_err(|error| refusal(&error.into()))?;
        let again_after = asked.map_or(ASK_AGAIN, |asked| asked.again_after * 2);
        mailbox.asked = Some(MessageRequest {
            received: mailbox.received,
            at: Instant::now(),
            again_after: again_after.min(ASK_AGAIN_AT_MOST),
        });
        Ok(())
    }

    /// Waits until a message may have come.
    async fn heard(&self, changes: &mut Changes) {
        loop {
            match changes.recv().await {
                Ok(StoreChange::Inbox { run_id }) if run_id == *self.run_id() => return,
                Ok(StoreChange::Elsewhere) | Err(RecvError::Lagged(_)) => return,
                Ok(
                    StoreChange::Run { .. }
                    | StoreChange::Queued
                    | StoreChange::Asked { .. }
                    | StoreChange::Turn
                    | StoreChange::Inbox { .. },
                ) => {}
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
    }

    /// Returns a message as the agent sees it.
    fn shown(&self, received: MessageReceived) -> Result<AgentMessage, Refusal> {
        let MessageReceived { id, from, to, kind, payload } = received;
        let payload = payload::to_json(&self.engine.blobs(), &payload)
            .map_err(|error| refusal(&error.into()))?;
        Ok(AgentMessage { id, from, to, message_type: kind, payload })
    }
}

impl Mailbox {
    /// Returns the mailbox of an attempt, before its messages were read.
    pub(super) fn of_kept(kept: &KeptAttempt) -> Self {
        Self { given: kept.messages_given, ..Self::default() }
    }

    /// Notes an event of this attempt, from an earlier supervisor. What the agent got before a
    /// checkpoint of this attempt counts as given.
    fn take_in_own(&mut self, event: &Event) -> Result<(), UnknownEvent> {
        if event.kind == "checkpoint.saved" { Ok(()) } else { self.take_in(event) }
    }

    /// Notes an event of an earlier attempt.
    fn take_in(&mut self, event: &Event) -> Result<(), UnknownEvent> {
        match event.kind.as_str() {
            "message.sent" => self.sent += 1,
            // The checkpoint includes messages received before it.
            "checkpoint.saved" => self.again.clear(),
            "message.received" => {
                if let EventBody::MessageReceived(received) = event.body()? {
                    self.again.push_back(received);
                    self.received += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Checks that the agent may send messages to `to`.
fn check_target(member: &Membership, to: &str) -> Result<(), Refusal> {
    let previous = member.previous.as_deref().filter(|it| ![START, COORDINATOR].contains(it));
    let has_next = !member.sends_to.is_empty();
    let may = member.sends_to.iter().any(|known| known == to)
        || to == SELF
        || to == member.name
        || (to == PREV && previous.is_some())
        || (to == NEXT && has_next)
        || (to != PREV && Some(to) == previous);
    if may {
        return Ok(());
    }
    let mut known: Vec<&str> = member.sends_to.iter().map(String::as_str).collect();
    let roles = [(NEXT, has_next), (PREV, previous.is_some()), (SELF, true)];
    for (role, is_known) in roles {
        if is_known && !known.contains(&role) {
            known.push(role);
        }
    }
    let known = known.join(", ");
    let text = match to {
        PREV => format!("no agent wrote to {}: __prev__ is nobody", member.name),
        END => format!("{} has no edge to {END}", member.name),
        _ => format!("{} may not write to {to:?}", member.name),
    };
    Err(Refusal::new(422, ErrorCode::MessageTargetInvalid, text)
        .with_hint(format!("it may write to {known}")))
}
