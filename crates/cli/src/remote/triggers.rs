//! Schedules, hooks and reports of a server.

use errand_api::gateway::callback::{Callback, CallbackPage, CallbackTarget, CallbackTargetList};
use errand_api::gateway::hook::{Hook, HookDelivery, HookDeliveryPage, HookPage, HookRequest};
use errand_api::gateway::schedule::{FiredRun, Schedule, SchedulePage, ScheduleRequest};
use reqwest::Method;
use serde_json::json;

use super::Remote;
use crate::failure::Failure;

/// The most that one page holds.
const PAGE: &str = "500";

impl Remote {
    /// The schedules, by name.
    pub(crate) async fn schedules(&self) -> Result<Vec<Schedule>, Failure> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page: SchedulePage = self.query(&["schedules"], &query(cursor)).await?;
            all.extend(page.schedules);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// Makes a schedule, or changes it.
    pub(crate) async fn put_schedule(
        &self,
        name: &str,
        wanted: &ScheduleRequest,
    ) -> Result<Schedule, Failure> {
        self.ask(self.request(Method::PUT, &["schedules", name]).json(wanted)).await
    }

    /// Forgets a schedule.
    pub(crate) async fn remove_schedule(&self, name: &str) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, &["schedules", name])).await.map(drop)
    }

    /// `pause` or `resume`.
    pub(crate) async fn change_schedule(&self, name: &str, how: &str) -> Result<(), Failure> {
        self.send(self.request(Method::POST, &["schedules", name, how])).await.map(drop)
    }

    /// Fires a run at once.
    pub(crate) async fn fire_schedule(&self, name: &str) -> Result<FiredRun, Failure> {
        self.ask(self.request(Method::POST, &["schedules", name, "fire"])).await
    }

    /// The hooks, by name.
    pub(crate) async fn hooks(&self) -> Result<Vec<Hook>, Failure> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page: HookPage = self.query(&["hooks"], &query(cursor)).await?;
            all.extend(page.hooks);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// Makes a hook, or changes it.
    pub(crate) async fn put_hook(&self, name: &str, wanted: &HookRequest) -> Result<Hook, Failure> {
        self.ask(self.request(Method::PUT, &["hooks", name]).json(wanted)).await
    }

    /// Forgets a hook.
    pub(crate) async fn remove_hook(&self, name: &str) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, &["hooks", name])).await.map(drop)
    }

    /// The latest requests to a hook.
    pub(crate) async fn hook_deliveries(&self, name: &str) -> Result<Vec<HookDelivery>, Failure> {
        let path = ["hooks", name, "deliveries"];
        let page: HookDeliveryPage = self.query(&path, &query(None)).await?;
        Ok(page.deliveries)
    }

    /// The latest reports.
    pub(crate) async fn callbacks(&self) -> Result<Vec<Callback>, Failure> {
        let page: CallbackPage = self.query(&["callbacks"], &query(None)).await?;
        Ok(page.callbacks)
    }

    /// Delivers a report again.
    pub(crate) async fn redeliver(&self, id: &str) -> Result<Callback, Failure> {
        self.ask(self.request(Method::POST, &["callbacks", id, "redeliver"])).await
    }

    /// The receivers of reports.
    pub(crate) async fn callback_targets(&self) -> Result<Vec<CallbackTarget>, Failure> {
        let list: CallbackTargetList = self.get(&["callback-targets"]).await?;
        Ok(list.targets)
    }

    /// Makes a receiver.
    pub(crate) async fn add_callback_target(&self, url: &str) -> Result<CallbackTarget, Failure> {
        let wanted = json!({ "url": url });
        self.ask(self.request(Method::POST, &["callback-targets"]).json(&wanted)).await
    }

    /// `enable`, `disable` or `rotate`.
    pub(crate) async fn change_callback_target(
        &self,
        origin: &str,
        how: &str,
    ) -> Result<CallbackTarget, Failure> {
        self.ask(self.request(Method::POST, &["callback-targets", origin, how])).await
    }
}

fn query(cursor: Option<String>) -> Vec<(&'static str, String)> {
    let cursor = cursor.map(|cursor| ("cursor", cursor));
    [("limit", PAGE.to_owned())].into_iter().chain(cursor).collect()
}
