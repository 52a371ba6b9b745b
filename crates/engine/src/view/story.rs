//! Stories of runs, and comparisons with their replays.

use errand_api::story::{Comparison, OutsideEffect, STORY_SCHEMA, Story, StoryEvent, Strict};
use errand_model::RunId;

use crate::replay::{self, Narrative};
use crate::{Engine, Error, wait};

/// Returns the document of a run's story.
pub fn story(narrative: Narrative) -> Story {
    let told = narrative.told.into_iter().map(|told| StoryEvent {
        seq: told.seq,
        at_ms: told.at,
        attempt: told.attempt,
        replay: told.then.word().to_owned(),
        text: told.text,
    });
    let effects = narrative.effects.into_iter().map(|call| OutsideEffect {
        seq: call.seq,
        tool: call.tool,
        effect: call.effect,
    });
    Story {
        schema: STORY_SCHEMA,
        run_id: narrative.run_id,
        policy: "inspect".to_owned(),
        events: told.collect(),
        effects: effects.collect(),
        strict: Strict { possible: narrative.not_strict.is_none(), reason: narrative.not_strict },
    }
}

/// Returns the comparison of a finished strict replay with its original.
///
/// # Errors
///
/// As [`replay::result`].
pub async fn comparison(engine: &Engine, replay_run_id: &RunId) -> Result<Comparison, Error> {
    let run = wait::load(engine, replay_run_id).await?.run;
    let outcome = replay::result(engine, replay_run_id).await?;
    Ok(Comparison {
        schema: STORY_SCHEMA,
        policy: "strict".to_owned(),
        run_id: run.spec.origin_run_id.clone(),
        replay_run_id: replay_run_id.clone(),
        identical: outcome.is_same,
        status: run.status.name().to_owned(),
        divergence: outcome.divergence,
        error: outcome.error,
        compared: outcome.compared,
    })
}
