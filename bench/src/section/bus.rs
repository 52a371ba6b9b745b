//! Tasks that a dispatcher takes from a bus: messages in a stream of Redis, one consumer.
//!
//! The dispatcher has no slots, so the tasks stay in its queue. Each message is read, its order is opened,
//! and it is acknowledged once its task is stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use errand_blobs::{BlobAddress, PlacedOrders};
use errand_bus::{BusCredentials, BusLocation, BusMessage, BusSender, TaskOrder};
use errand_testkit::redis::RedisServer;
use serde_json::{Value, json};

use super::http::Server;
use super::memory::{Activity, TICKS_PER_SECOND};
use crate::Failure;
use crate::arguments::Arguments;
use crate::lab::{Lab, wait_for};
use crate::report::{Line, median};

/// Messages of a round.
const MESSAGES: u32 = 3_000;
/// Messages per second that one consumer is to carry out.
const PER_SECOND: f64 = 3_000.0;
/// Messages that are sent at once.
const AT_ONCE: usize = 64;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let Some(redis) = RedisServer::start() else {
        return Ok(vec![Line::failed("tasks from a bus", "there is no redis-server")]);
    };
    let lab = Lab::new(arguments)?;
    let words = ["keys", "create", "--json", "--name", "bench", "--scope", "runs:read,runs:write"];
    let made: Value = serde_json::from_str(&lab.output(&words)?)?;
    let key = made["key"].as_str().ok_or("the key has no text")?;
    let place = lab.folder().join("orders").to_string_lossy().into_owned();
    let url = redis.url();
    let words = ["dispatcher", "--slots", "0", "--bus", &url, "--blobs", &place];
    let server = Server::start(&lab, &words)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut per_second = Vec::new();
    let mut cpu_us = Vec::new();
    for round in 0..=arguments.rounds {
        let messages = runtime.block_on(orders(key, &place, round))?;
        let before = Activity::of(server.process_id())?;
        let began = Instant::now();
        runtime.block_on(send(&url, &messages))?;
        wait_for("all messages are acknowledged", || Ok(is_idle(&redis, &messages).then_some(())))?;
        let seconds = began.elapsed().as_secs_f64();
        let ticks = Activity::of(server.process_id())?.cpu_ticks.saturating_sub(before.cpu_ticks);
        // The first round connects.
        if round > 0 {
            per_second.push(f64::from(MESSAGES) / seconds);
            cpu_us.push(f64::from(ticks) / f64::from(TICKS_PER_SECOND) * 1e6 / f64::from(MESSAGES));
        }
    }
    drop(server);
    // Otherwise each of thousands of queued tasks would be stopped by a command of its own.
    std::fs::remove_dir_all(lab.registry())?;
    let (per_second, cpu_us) = (median(per_second), median(cpu_us));
    Ok(vec![Line {
        name: "tasks from a bus, one consumer".to_owned(),
        measured: format!("{per_second:.0}/s"),
        target: format!("{PER_SECOND}/s"),
        floor: String::new(),
        share: Some(PER_SECOND / per_second),
        note: format!("{cpu_us:.0} µs of the dispatcher's processor each"),
    }])
}

/// Stores the orders of a round, and returns their messages.
async fn orders(key: &str, place: &str, round: u32) -> Result<Vec<BusMessage>, Failure> {
    let address = BlobAddress::parse(place, Path::new("/"))?;
    let orders = PlacedOrders::new(address, &BTreeMap::new());
    let mut messages = Vec::new();
    for number in 0..MESSAGES {
        let task = json!({
            "task_id": format!("task-{round}-{number}"),
            "agent_image": "localhost/noop:1",
            "env": { "N": format!("{round}-{number}") },
            "timeout_seconds": 60,
        });
        let task = serde_json::from_value(task)?;
        let order = TaskOrder { api_key: key.to_owned(), brief: None, task };
        let sealed = order.seal(1)?;
        orders.put(&sealed.message.digest, sealed.bytes).await?;
        messages.push(sealed.message);
    }
    Ok(messages)
}

/// Sends messages, many at once.
async fn send(url: &str, messages: &[BusMessage]) -> Result<(), Failure> {
    let sender = BusSender::new(&BusLocation::parse(url)?, BusCredentials::default());
    for some in messages.chunks(AT_ONCE) {
        let mut sent = tokio::task::JoinSet::new();
        for message in some {
            let (sender, message) = (sender.clone(), message.clone());
            sent.spawn(async move { sender.send(&message).await });
        }
        while let Some(done) = sent.join_next().await {
            done??;
        }
    }
    Ok(())
}

/// Returns true if the consumer has read and acknowledged all messages.
fn is_idle(redis: &RedisServer, messages: &[BusMessage]) -> bool {
    let groups = redis.ask(&["XINFO", "GROUPS", "errand:tasks"]);
    let texts = groups.texts();
    let value = |name: &str| {
        let at = texts.iter().position(|&text| text == name)?;
        texts.get(at + 1)?.parse::<usize>().ok()
    };
    let has_read = value("entries-read").is_some_and(|read| read >= messages.len());
    has_read && value("pending") == Some(0) && value("lag") == Some(0)
}
