//! Schedules, hooks and callbacks of a server.

use async_trait::async_trait;
use errand_api::gateway::callback::{
    Callback, CallbackPage, CallbackQuery, CallbackTarget, CallbackTargetList,
};
use errand_api::gateway::hook::{Hook, HookDeliveryPage, HookPage, HookRequest};
use errand_api::gateway::schedule::{FiredRun, Schedule, SchedulePage, ScheduleRequest};
use errand_engine::operations::{CallbackTargetChange, TriggerOperations};
use errand_model::RunId;
use reqwest::Method;
use serde_json::json;

use super::Remote;
use crate::failure::Failure;

#[async_trait]
impl TriggerOperations<Failure> for Remote {
    async fn list_schedules(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<SchedulePage, Failure> {
        self.query(&["schedules"], &page(after, limit)).await
    }

    async fn put_schedule(&self, name: &str, wanted: ScheduleRequest) -> Result<Schedule, Failure> {
        self.ask(self.request(Method::PUT, &["schedules", name]).json(&wanted)).await
    }

    async fn remove_schedule(&self, name: &str) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, &["schedules", name])).await.map(drop)
    }

    async fn pause_schedule(&self, name: &str) -> Result<Schedule, Failure> {
        self.ask(self.request(Method::POST, &["schedules", name, "pause"])).await
    }

    async fn resume_schedule(&self, name: &str) -> Result<Schedule, Failure> {
        self.ask(self.request(Method::POST, &["schedules", name, "resume"])).await
    }

    async fn fire_schedule(&self, name: &str) -> Result<RunId, Failure> {
        let request = self.request(Method::POST, &["schedules", name, "fire"]);
        Ok(self.ask::<FiredRun>(request).await?.run_id)
    }

    async fn list_hooks(&self, after: Option<&str>, limit: u32) -> Result<HookPage, Failure> {
        self.query(&["hooks"], &page(after, limit)).await
    }

    async fn put_hook(&self, name: &str, wanted: HookRequest) -> Result<Hook, Failure> {
        self.ask(self.request(Method::PUT, &["hooks", name]).json(&wanted)).await
    }

    async fn remove_hook(&self, name: &str) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, &["hooks", name])).await.map(drop)
    }

    async fn hook_deliveries(
        &self,
        name: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<HookDeliveryPage, Failure> {
        self.query(&["hooks", name, "deliveries"], &page(after, limit)).await
    }

    async fn list_callbacks(&self, query: &CallbackQuery) -> Result<CallbackPage, Failure> {
        self.ask(self.request(Method::GET, &["callbacks"]).query(query)).await
    }

    async fn redeliver_callback(&self, id: &str) -> Result<Callback, Failure> {
        self.ask(self.request(Method::POST, &["callbacks", id, "redeliver"])).await
    }

    async fn callback_targets(&self) -> Result<Vec<CallbackTarget>, Failure> {
        let list: CallbackTargetList = self.get(&["callback-targets"]).await?;
        Ok(list.targets)
    }

    async fn add_callback_target(&self, url: &str) -> Result<CallbackTarget, Failure> {
        let wanted = json!({ "url": url });
        self.ask(self.request(Method::POST, &["callback-targets"]).json(&wanted)).await
    }

    async fn change_callback_target(
        &self,
        origin: &str,
        change: CallbackTargetChange,
    ) -> Result<CallbackTarget, Failure> {
        let how = match change {
            CallbackTargetChange::Enable => "enable",
            CallbackTargetChange::Disable { .. } => "disable",
            CallbackTargetChange::RotateSecret => "rotate",
        };
        self.ask(self.request(Method::POST, &["callback-targets", origin, how])).await
    }
}

pub(super) fn page(after: Option<&str>, limit: u32) -> Vec<(&'static str, String)> {
    let cursor = after.map(|after| ("cursor", after.to_owned()));
    [("limit", limit.to_string())].into_iter().chain(cursor).collect()
}
