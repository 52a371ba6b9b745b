//! What the agent says to other agents of its coordinated run, and what they say to it.
//!
//! A message that it sends is recorded, and left for its coordinator, in one commit. One that is for
//! it waits as a document until it asks; it is recorded, and the document gone, in one commit. An
//! attempt is given again what earlier ones received since the last checkpoint, in the same order.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::agent_api::{CoordinationBackend, Refusal};
use errand_api::agent_protocol::{
    HandOver, HandOverAnswer, Message, MessageAnswer, SendMessage, limit,
};
use errand_api::error_code::ErrorCode;
use errand_model::coordination::{COORDINATOR, END, Membership, NEXT, PREV, SELF, START};
use errand_model::event::{EventBody, MessageReceived, MessageSent, UnknownEvent};
use errand_model::run::{Command, Report};
use errand_model::{Event, Payload};
use errand_store::{
    Change, Changes, Document, DocumentKind, DocumentOrder, DocumentQuery, Namespaces,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::{AttemptBackend, refusal};
use crate::news::report;
use crate::{Error, payload};

/// The inbox is looked at again after this long at first, and after twice as long each time: what
/// another process puts there is not told everywhere.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// But never later than that.
const LOOK_AGAIN_AT_MOST: Duration = Duration::from_millis(500);
/// Its coordinator is told again that the agent waits after this long, and then after twice as long
/// each time: that may have been lost, with a registry that was made anew since.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// But never later than that.
const ASK_AGAIN_AT_MOST: Duration = Duration::from_secs(600);
/// Events that are read at once.
const PAGE: u32 = 500;

/// What went through an agent's hands so far.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// Whether it is known what earlier attempts sent and received.
    is_known: bool,
    /// What it is given before anything new, the oldest first.
    again: VecDeque<MessageReceived>,
    /// Messages that it received, in all attempts.
    received: u32,
    /// Messages that it sent, in all attempts.
    sent: u32,
    /// When its coordinator was told that it waits for another one.
    asked: Option<Asked>,
}

/// An agent's coordinator was told that it waits for another message.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// How many it had received.
    received: u32,
    at: Instant,
    /// How long that is good for.
    again_after: Duration,
}

#[async_trait]
impl CoordinationBackend for AttemptBackend {
    async fn send_message(&self, message: SendMessage) -> Result<MessageAnswer, Refusal> {
        let member = self.member()?;
        check_target(&member, &message.to)?;
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
            Ok(Command::Report(Report { attempt: self.attempt, events }))
        };
        let recorded = self.journal.record_numbered(make, Vec::new(), |_| {}).await;
        let seq = recorded.map_err(|error| refusal(&error))?;
        Ok(MessageAnswer { seq, id: format!("{}/{seq}", self.run_id()) })
    }

    async fn next_message(&self, wait: Duration) -> Result<Option<Message>, Refusal> {
        let member = self.member()?;
        let deadline = Instant::now() + wait;
        let mut look_again = LOOK_AGAIN;
        // Before the first look: what comes after it is heard of.
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
            // Whether it heard of something or waited long enough: it looks.
            drop(tokio::time::timeout_at(until, self.heard(&mut changes)).await);
        }
    }

    async fn hand_over(&self, handoff: HandOver) -> Result<HandOverAnswer, Refusal> {
        self.handed_over(handoff).await
    }
}

impl AttemptBackend {
    /// Its place in a coordinated run.
    fn member(&self) -> Result<Membership, Refusal> {
        let member = self.journal.look(|run, _| run.spec.member.as_deref().cloned());
        member.ok_or_else(|| {
            let text = "the run is no part of a coordinated one: there is nobody to write to";
            Refusal::new(409, ErrorCode::NoCoordinator, text)
                .with_hint("only an agent that a coordinator started can send and receive messages")
        })
    }

    /// Reads what earlier attempts sent and received, once.
    async fn know(&self, mailbox: &mut Mailbox) -> Result<(), Refusal> {
        if mailbox.is_known {
            return Ok(());
        }
        let mut known = Mailbox { is_known: true, ..Mailbox::default() };
        let mut after = 0;
        // Nothing was before the first attempt.
        let mut is_whole = self.attempt == 1;
        while !is_whole {
            let events = self.engine.store().events(self.run_id(), after, PAGE).await;
            let events = events.map_err(|error| refusal(&error.into()))?;
            let earlier = events.iter().take_while(|event| event.attempt < self.attempt);
            for event in earlier {
                known.take_in(event).map_err(|error| Refusal::internal(error.to_string()))?;
            }
            is_whole = events.last().is_none_or(|last| last.attempt >= self.attempt);
            after = events.last().map_or(after, |last| last.seq);
        }
        *mailbox = known;
        Ok(())
    }

    /// The next message, if there is one; otherwise its coordinator knows that it waits.
    async fn look(&self, member: &Membership) -> Result<Option<MessageReceived>, Refusal> {
        let mut mailbox = self.mailbox.lock().await;
        self.know(&mut mailbox).await?;
        if mailbox.again.is_empty() {
            match self.first_in_inbox(mailbox.received).await? {
                Some((document, received)) => self.take(&mut mailbox, &document, received).await?,
                None => self.ask_for_more(&mut mailbox, member).await?,
            }
        }
        // Until here whoever asked may have gone away without it: it is there for the next call.
        Ok(mailbox.again.pop_front())
    }

    /// The first message in the inbox that was not received yet.
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
                // It was received, and is here again since the registry was made anew.
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

    /// Records that the agent has a message, and takes it out of the inbox.
    async fn take(
        &self,
        mailbox: &mut Mailbox,
        document: &Document,
        received: MessageReceived,
    ) -> Result<(), Refusal> {
        let events = vec![EventBody::MessageReceived(received.clone())];
        let command = Command::Report(Report { attempt: self.attempt, events });
        let noted = |_| {
            mailbox.again.push_back(received);
            mailbox.received += 1;
        };
        let documents = vec![report::removal(document)];
        let recorded = self.journal.record_numbered(|_, _| Ok(command), documents, noted).await;
        recorded.map(|_| ()).map_err(|error| refusal(&error))
    }

    async fn forget(&self, document: &Document) -> Result<(), Refusal> {
        let removed = self.engine.store().write_documents(vec![report::removal(document)]).await;
        removed.map_err(|error| refusal(&error.into()))
    }

    /// Tells its coordinator that it waits for a message, once for each unless it waits long.
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
        mailbox.asked = Some(Asked {
            received: mailbox.received,
            at: Instant::now(),
            again_after: again_after.min(ASK_AGAIN_AT_MOST),
        });
        Ok(())
    }

    /// Waits until something may have come for it.
    async fn heard(&self, changes: &mut Changes) {
        loop {
            match changes.recv().await {
                Ok(Change::Inbox { run_id }) if run_id == *self.run_id() => return,
                Ok(Change::Elsewhere) | Err(RecvError::Lagged(_)) => return,
                Ok(
                    Change::Run { .. }
                    | Change::Queued
                    | Change::Asked { .. }
                    | Change::Turn
                    | Change::Inbox { .. },
                ) => {}
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
    }

    /// A message as the agent sees it.
    fn shown(&self, received: MessageReceived) -> Result<Message, Refusal> {
        let MessageReceived { id, from, to, kind, payload } = received;
        let payload = payload::to_json(&self.engine.blobs(), &payload)
            .map_err(|error: Error| refusal(&error))?;
        Ok(Message { id, from, to, message_type: kind, payload })
    }
}

impl Mailbox {
    /// Notes an event of an earlier attempt.
    fn take_in(&mut self, event: &Event) -> Result<(), UnknownEvent> {
        match event.kind.as_str() {
            "message.sent" => self.sent += 1,
            // What is saved knows of what was received before.
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

/// Whether the agent may write there.
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
