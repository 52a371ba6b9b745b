//! The suite on Redis, and what only Redis has.

use errand_bus::BusLocation;
use errand_testkit::redis::RedisServer;

use crate::conformance::{self, Bus, World, until};

/// Stream of tasks.
const STREAM: &str = "errand:tasks";

impl Bus for RedisServer {
    fn location(&self) -> BusLocation {
        BusLocation::parse(&self.url()).unwrap()
    }

    fn waiting(&self) -> u64 {
        let groups = self.ask(&["XINFO", "GROUPS", STREAM]);
        let texts = groups.texts();
        let number = |name: &str| -> Option<u64> {
            let at = texts.iter().position(|&text| text == name)?;
            texts.get(at + 1)?.parse().ok()
        };
        // Without a group, nothing was read.
        match (number("pending"), number("lag")) {
            (Some(pending), lag) => pending + lag.unwrap_or_default(),
            (None, _) => self.number(&["XLEN", STREAM]),
        }
    }

    fn lose(&mut self) {
        let _flushed = self.ask(&["FLUSHALL"]);
    }

    fn restart(&mut self) {
        self.kill();
        self.start_again();
    }
}

#[tokio::test]
async fn a_task_is_carried_out_once_wherever_its_consumer_dies() {
    let Some(redis) = RedisServer::start() else { return };
    conformance::a_task_is_carried_out_once_wherever_its_consumer_dies(redis).await;
}

#[tokio::test]
async fn messages_that_come_twice_or_late_change_nothing() {
    let Some(redis) = RedisServer::start() else { return };
    conformance::messages_that_come_twice_or_late_change_nothing(redis).await;
}

#[tokio::test]
async fn a_lost_message_is_carried_out_when_it_is_sent_again() {
    let Some(redis) = RedisServer::start() else { return };
    conformance::a_lost_message_is_carried_out_when_it_is_sent_again(redis).await;
}

#[tokio::test]
async fn a_consumer_that_ends_leaves_the_rest_to_the_next_one() {
    let Some(redis) = RedisServer::start() else { return };
    conformance::a_consumer_that_ends_leaves_the_rest_to_the_next_one(redis).await;
}

#[tokio::test]
async fn the_stream_is_trimmed_behind_what_every_group_has_acknowledged() {
    let Some(redis) = RedisServer::start() else { return };
    let world = World::new(redis);
    // A node of a stream has a hundred entries, and only whole nodes are removed.
    let task_ids: Vec<String> = (0..250).map(|number| format!("t-{number:03}")).collect();
    for task_id in &task_ids {
        world.send(&world.order(task_id, 1).await).await;
    }
    let _made = world.bus.ask(&["XGROUP", "CREATE", STREAM, "other", "0"]);
    let running = world.consumer("one");
    let task_ids: Vec<&str> = task_ids.iter().map(String::as_str).collect();
    until("all messages are read", async || world.registry.carried_out().len() == task_ids.len())
        .await;
    assert_eq!(world.bus.number(&["XLEN", STREAM]), 250, "the other group has read nothing");
    let _removed = world.bus.ask(&["XGROUP", "DESTROY", STREAM, "other"]);
    until("the stream is trimmed", async || world.bus.number(&["XLEN", STREAM]) <= 100).await;
    running.end().await;
}

#[tokio::test]
async fn messages_that_cannot_be_opened_go_to_the_dead_stream_with_the_reason() {
    let Some(redis) = RedisServer::start() else { return };
    let world = World::new(redis);
    let _added = world.bus.ask(&["XADD", STREAM, "*", "m", "no json"]);
    let _added = world.bus.ask(&["XADD", STREAM, "*", "x", "y"]);
    let mut message = world.order("t", 1).await;
    message.key = "00000000".to_owned();
    world.send(&message).await;
    let mut message = world.order("t", 1).await;
    message.order = 2;
    world.send(&message).await;
    let running = world.consumer("one");
    until("all are dead", async || world.bus.number(&["XLEN", "errand:tasks:dead"]) == 4).await;
    world.send(&world.order("sound", 1).await).await;
    world.carried_out(&["sound"]).await;
    let dead = world.bus.ask(&["XRANGE", "errand:tasks:dead", "-", "+"]);
    let said = dead.texts().join("\n");
    for reason in ["it is no message of errand", "has no API key 00000000", "not the one that was"]
    {
        assert!(said.contains(reason), "{reason}: {said}");
    }
    running.end().await;
}

#[tokio::test]
async fn a_message_that_killed_its_consumers_many_times_is_not_delivered_for_ever() {
    let Some(redis) = RedisServer::start() else { return };
    let world = World::new(redis);
    world.send(&world.order("poison", 1).await).await;
    let _made = world.bus.ask(&["XGROUP", "CREATE", STREAM, "errand", "0"]);
    let read = ["XREADGROUP", "GROUP", "errand", "one", "STREAMS", STREAM];
    let _read = world.bus.ask(&[&read[..], &[">"]].concat());
    for _ in 0..8 {
        let _again = world.bus.ask(&[&read[..], &["0"]].concat());
    }
    let running = world.consumer("one");
    until("it is dead", async || world.bus.number(&["XLEN", "errand:tasks:dead"]) == 1).await;
    world.send(&world.order("sound", 1).await).await;
    world.carried_out(&["sound"]).await;
    running.end().await;
}
