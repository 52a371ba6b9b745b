//! Background loops of a server: schedules, reports, and the removal of old data.
//!
//! Any number of gateways on one registry may run them at once.

use std::time::Duration;

use errand_engine::outbox::{DeliverySettings, Outbox};
use errand_engine::retention::Retention;
use errand_engine::schedules::Scheduler;
use errand_engine::{garbage, logs, orphans, tasks};

use crate::Gateway;

/// Interval of checks for keys.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Interval of checks for copies of logs that are no longer needed.
const SWEEP_EVERY: Duration = Duration::from_mins(10);
/// Interval of garbage collection: half of the grace period.
const FREE_EVERY: Duration = Duration::from_mins(30);

/// Fires the slots of schedules until the gateway closes.
pub(crate) async fn fire(gateway: Gateway) {
    let scheduler = Scheduler::new(gateway.engine().clone());
    Box::pin(scheduler.run(gateway.closing())).await;
}

/// Delivers reports of runs until the gateway closes.
pub(crate) async fn report(gateway: Gateway) {
    let addresses = loop {
        match gateway.callback_addresses().await {
            Ok(addresses) => break addresses,
            Err(refusal) => {
                tracing::error!(code = refusal.code(), "reports cannot be delivered yet");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    };
    let outbox = Outbox::new(gateway.engine().clone(), DeliverySettings::new(addresses));
    Box::pin(outbox.run(gateway.closing())).await;
}

/// Reconciles runs of this machine whose supervisor died, until the gateway closes.
pub(crate) async fn look_after(gateway: Gateway) {
    tokio::select! {
        () = gateway.closing() => {}
        () = orphans::watch(gateway.engine()) => {}
    }
}

/// Removes copies of logs that are no longer needed, until the gateway closes.
pub(crate) async fn sweep(gateway: Gateway) {
    if gateway.engine().store().shared_logs().is_none() {
        return;
    }
    let mut closing = std::pin::pin!(gateway.closing());
    loop {
        let engine = gateway.engine().clone();
        match tokio::task::spawn_blocking(move || logs::sweep(&engine)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "copies of logs cannot be removed"),
            Err(error) => tracing::warn!(error = %error, "copies of logs are not looked after"),
        }
        tokio::select! {
            () = &mut closing => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
    }
}

/// Collects garbage periodically, until the gateway closes.
pub(crate) async fn free(gateway: Gateway) {
    let mut closing = std::pin::pin!(gateway.closing());
    loop {
        tokio::select! {
            () = &mut closing => return,
            () = tokio::time::sleep(FREE_EVERY) => {}
        }
        if let Err(error) = tasks::forget_refusals(gateway.engine()).await {
            tracing::warn!(error = %error, "refusals of tasks cannot be removed");
        }
        let engine = gateway.engine().clone();
        let runtime = tokio::runtime::Handle::current();
        // Files are read and removed: not on the threads that answer requests.
        let freed = tokio::task::spawn_blocking(move || {
            runtime.block_on(garbage::collect(&engine, garbage::GRACE))
        });
        match freed.await {
            Ok(Ok(freed)) if freed.bytes > 0 => {
                tracing::info!(bytes = freed.bytes, "what nothing names any more was freed");
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "garbage cannot be freed"),
            Err(error) => tracing::warn!(error = %error, "garbage is not looked after"),
        }
    }
}

/// Removes terminal runs after the configured retention, until the gateway closes.
pub(crate) async fn forget(gateway: Gateway) {
    let Some(keep) = gateway.config().retention else { return };
    let retention = Retention::new(gateway.engine().clone(), keep);
    Box::pin(retention.run(gateway.closing())).await;
}
