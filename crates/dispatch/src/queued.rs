//! Wait until a dispatcher begins with a task: before, the run of the task has not begun either.

use std::time::Duration;

use errand_api::gateway::task::{Task, TaskStatus};
use tokio::time::sleep;

use crate::by_bus::Untaken;
use crate::control::TaskControl;
use crate::live::TaskFollower;
use crate::silence::Silence;

/// Pause between two looks at a task in a queue, at first; it doubles each time.
const LOOK: Duration = Duration::from_millis(50);
/// Longest such pause.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

impl TaskFollower {
    /// Waits until the task is begun, or over, and tells the run for what it waits. A dispatcher that
    /// refuses to tell, or stays silent, ends the wait: who follows the task reports it.
    pub(crate) async fn until_begun(&self) {
        let (mut silence, mut look) = (Silence::default(), LOOK);
        let mut untaken = self.wire.as_ref().map(|_| Untaken::new(self.client.limit()));
        let (name, task_id) = (&self.route.dispatcher.dispatcher, &self.route.task_id);
        loop {
            match self.look().await {
                Ok(task) if waits(&task) => {
                    (silence, untaken) = (Silence::default(), None);
                    let message = format!("task {task_id} waits at dispatcher {name}");
                    self.output.waits.tell("TaskQueued", &message);
                    sleep(look).await;
                    look = (look * 2).min(LONGEST_LOOK);
                }
                Ok(_) => return,
                Err(error) if error.is_not_found() => {
                    let (Some(wire), Some(waiting)) = (&self.wire, &mut untaken) else { return };
                    silence = Silence::default();
                    let message = format!("dispatcher {name} has not taken task {task_id}");
                    self.output.waits.tell("TaskUntaken", &message);
                    if waiting.is_over() && self.cancel().await {
                        return;
                    }
                    if let (Some(message), true) = (&self.route.message, waiting.is_late()) {
                        // An error is that of the next look, or passes.
                        drop(wire.send(message).await);
                    }
                    sleep(waiting.pause()).await;
                }
                Err(error) if error.is_unreachable() && !silence.is_over() => {
                    silence.pause(&TaskControl::default(), true).await;
                }
                Err(_) => return,
            }
        }
    }
}

/// Returns true for a task that was never begun.
fn waits(task: &Task) -> bool {
    match task.status {
        TaskStatus::Queued => task.started_at.is_none() && task.waiting.is_none(),
        TaskStatus::Provisioning
        | TaskStatus::Running
        | TaskStatus::Completed
        | TaskStatus::Failed
        | TaskStatus::TimedOut
        | TaskStatus::Cancelled => false,
    }
}
