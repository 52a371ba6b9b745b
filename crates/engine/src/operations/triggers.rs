//! Schedules and hooks that fire runs, and callbacks that report them.

use async_trait::async_trait;
use errand_api::gateway::callback::{Callback, CallbackPage, CallbackQuery, CallbackTarget};
use errand_api::gateway::hook::{Hook, HookDeliveryPage, HookPage, HookRequest};
use errand_api::gateway::schedule::{Schedule, SchedulePage, ScheduleRequest};
use errand_model::RunId;

use super::local::{LocalError, LocalOperations};
use crate::hooks::HookDefinition;
use crate::outbox::{self, CallbackProblem, CallbackUrl};
use crate::schedules::{self, Existing};
use crate::{Error, hooks, view};

/// Things that are listed at once.
const PAGE: u32 = 500;

/// Change of the receiver of callbacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackTargetChange {
    /// Delivers to it again.
    Enable,
    /// Delivers nothing to it, for that reason. A server names its caller instead.
    Disable {
        /// Reason, for people.
        why: String,
    },
    /// Signs with a new secret.
    RotateSecret,
}

/// Defines, lists and removes schedules, hooks and receivers of callbacks.
#[async_trait]
pub trait TriggerOperations<E: Send + 'static>: Send + Sync {
    /// Lists schedules by name: those after `after`, at most `limit`.
    async fn list_schedules(&self, after: Option<&str>, limit: u32) -> Result<SchedulePage, E>;

    /// Lists all schedules by name.
    async fn all_schedules(&self) -> Result<Vec<Schedule>, E> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.list_schedules(after.as_deref(), PAGE).await?;
            all.extend(page.schedules);
            after = page.next_cursor;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Makes a schedule, or changes the one of that name.
    async fn put_schedule(&self, name: &str, wanted: ScheduleRequest) -> Result<Schedule, E>;

    /// Removes a schedule; its runs are kept.
    async fn remove_schedule(&self, name: &str) -> Result<(), E>;

    /// Keeps a schedule from firing.
    async fn pause_schedule(&self, name: &str) -> Result<Schedule, E>;

    /// Lets a schedule fire from its next slot on.
    async fn resume_schedule(&self, name: &str) -> Result<Schedule, E>;

    /// Fires a run of a schedule at once. Returns the run.
    async fn fire_schedule(&self, name: &str) -> Result<RunId, E>;

    /// Lists hooks by name: those after `after`, at most `limit`.
    async fn list_hooks(&self, after: Option<&str>, limit: u32) -> Result<HookPage, E>;

    /// Lists all hooks by name.
    async fn all_hooks(&self) -> Result<Vec<Hook>, E> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.list_hooks(after.as_deref(), PAGE).await?;
            all.extend(page.hooks);
            after = page.next_cursor;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Makes a hook, or changes the one of that name.
    async fn put_hook(&self, name: &str, wanted: HookRequest) -> Result<Hook, E>;

    /// Removes a hook; its runs are kept.
    async fn remove_hook(&self, name: &str) -> Result<(), E>;

    /// Lists requests to a hook, latest first: those after `after`, at most `limit`.
    async fn hook_deliveries(
        &self,
        name: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<HookDeliveryPage, E>;

    /// Lists callbacks, those of the newest run first.
    async fn list_callbacks(&self, query: &CallbackQuery) -> Result<CallbackPage, E>;

    /// Delivers a callback again.
    async fn redeliver_callback(&self, id: &str) -> Result<Callback, E>;

    /// Lists receivers of callbacks.
    async fn callback_targets(&self) -> Result<Vec<CallbackTarget>, E>;

    /// Makes a receiver of callbacks; the answer has its secret.
    async fn add_callback_target(&self, url: &str) -> Result<CallbackTarget, E>;

    /// Changes a receiver of callbacks; the answer has its secret if that is new.
    async fn change_callback_target(
        &self,
        origin: &str,
        change: CallbackTargetChange,
    ) -> Result<CallbackTarget, E>;
}

impl LocalOperations {
    /// Makes a schedule; `existing` says what happens to one of that name. Returns whether it is
    /// new.
    ///
    /// # Errors
    ///
    /// As [`schedules::define`].
    pub async fn define_schedule(
        &self,
        name: &str,
        existing: Existing,
        wanted: ScheduleRequest,
    ) -> Result<(Schedule, bool), Error> {
        let name = (name, existing);
        schedules::define(self.engine(), self.namespace(), name, &wanted.into()).await
    }

    /// Makes a hook, or changes the one of that name. Returns whether it is new.
    ///
    /// # Errors
    ///
    /// As [`hooks::define`].
    pub async fn define_hook(
        &self,
        name: &str,
        wanted: HookRequest,
    ) -> Result<(Hook, bool), Error> {
        let (definition, secret) = HookDefinition::of(wanted)?;
        let given = (&definition, secret.as_ref());
        hooks::define(self.engine(), self.namespace(), name, given).await
    }
}

#[async_trait]
impl<E: LocalError> TriggerOperations<E> for LocalOperations {
    async fn list_schedules(&self, after: Option<&str>, limit: u32) -> Result<SchedulePage, E> {
        let found = schedules::list(self.engine(), self.namespace(), after, limit + 1).await?;
        let (schedules, next_cursor) = page(found, limit, |found| found.name.clone());
        Ok(SchedulePage { schedules, next_cursor })
    }

    async fn put_schedule(&self, name: &str, wanted: ScheduleRequest) -> Result<Schedule, E> {
        Ok(self.define_schedule(name, Existing::Change, wanted).await?.0)
    }

    async fn remove_schedule(&self, name: &str) -> Result<(), E> {
        Ok(schedules::remove(self.engine(), self.namespace(), name).await?)
    }

    async fn pause_schedule(&self, name: &str) -> Result<Schedule, E> {
        Ok(schedules::pause(self.engine(), self.namespace(), name).await?)
    }

    async fn resume_schedule(&self, name: &str) -> Result<Schedule, E> {
        Ok(schedules::resume(self.engine(), self.namespace(), name).await?)
    }

    async fn fire_schedule(&self, name: &str) -> Result<RunId, E> {
        Ok(schedules::fire_now(self.engine(), self.namespace(), name).await?)
    }

    async fn list_hooks(&self, after: Option<&str>, limit: u32) -> Result<HookPage, E> {
        let found = hooks::list(self.engine(), self.namespace(), after, limit + 1).await?;
        let (hooks, next_cursor) = page(found, limit, |found| found.name.clone());
        Ok(HookPage { hooks, next_cursor })
    }

    async fn put_hook(&self, name: &str, wanted: HookRequest) -> Result<Hook, E> {
        Ok(self.define_hook(name, wanted).await?.0)
    }

    async fn remove_hook(&self, name: &str) -> Result<(), E> {
        Ok(hooks::remove(self.engine(), self.namespace(), name).await?)
    }

    async fn hook_deliveries(
        &self,
        name: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<HookDeliveryPage, E> {
        let (engine, namespace) = (self.engine(), self.namespace());
        drop(hooks::get(engine, namespace, name).await?);
        let found = hooks::deliveries(engine, namespace, name, (after, limit + 1)).await?;
        let (deliveries, next_cursor) = page(found, limit, |logged| logged.id.clone());
        Ok(HookDeliveryPage { deliveries, next_cursor })
    }

    async fn list_callbacks(&self, query: &CallbackQuery) -> Result<CallbackPage, E> {
        let states: Vec<_> = query.state.into_iter().map(view::callback_state).collect();
        let limit = query.limit.unwrap_or(PAGE);
        let which = (states.as_slice(), query.cursor.as_deref(), limit + 1);
        let found = outbox::entries(self.engine(), self.namespace(), which).await?;
        let (found, next_cursor) = page(found, limit, |logged| logged.id.clone());
        Ok(CallbackPage { callbacks: found.into_iter().map(view::callback).collect(), next_cursor })
    }

    async fn redeliver_callback(&self, id: &str) -> Result<Callback, E> {
        Ok(view::callback(outbox::redeliver(self.engine(), self.namespace(), id).await?))
    }

    async fn callback_targets(&self) -> Result<Vec<CallbackTarget>, E> {
        let found = outbox::targets(self.engine(), self.namespace()).await?;
        Ok(found.into_iter().map(|it| view::callback_target(it, None)).collect())
    }

    async fn add_callback_target(&self, url: &str) -> Result<CallbackTarget, E> {
        let url =
            CallbackUrl::parse(url).map_err(CallbackProblem::from).map_err(outbox::Error::from)?;
        let (made, secret) = outbox::add_target(self.engine(), self.namespace(), &url).await?;
        Ok(view::callback_target(made, Some(&secret)))
    }

    async fn change_callback_target(
        &self,
        origin: &str,
        change: CallbackTargetChange,
    ) -> Result<CallbackTarget, E> {
        let (engine, namespace) = (self.engine(), self.namespace());
        let changed = match change {
            CallbackTargetChange::Enable => outbox::enable(engine, namespace, origin).await?,
            CallbackTargetChange::Disable { why } => {
                outbox::disable(engine, namespace, origin, &why).await?
            }
            CallbackTargetChange::RotateSecret => {
                let (changed, secret) = outbox::rotate(engine, namespace, origin).await?;
                return Ok(view::callback_target(changed, Some(&secret)));
            }
        };
        Ok(view::callback_target(changed, None))
    }
}

/// Cuts a page of `limit` out of the entries that were found: an additional entry means another
/// page, which begins after the key of this one's last entry.
pub(super) fn page<T>(
    mut found: Vec<T>,
    limit: u32,
    key: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(key).filter(|_| has_more);
    (found, next)
}
