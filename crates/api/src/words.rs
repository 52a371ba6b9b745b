//! Schemas of the model's words: enums that documents show and that the model, which knows no
//! JSON Schema, defines.
//!
//! Each is named in `#[schemars(with = "…")]` of the field that has it. A variant that the model
//! gains and that is missing here does not compile.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

macro_rules! words {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident as $published:literal of $model:path { $($variant:ident = $word:literal,)* }
    )*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Copy, Debug)]
            pub(crate) struct $name;

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    $published.into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    let description = concat!($($doc),*).trim();
                    json_schema!({
                        "description": description,
                        "type": "string",
                        "enum": [$($word),*]
                    })
                }
            }

            const _: fn($model) = |word| {
                use $model as Word;
                match word { $(Word::$variant => {})* }
            };
        )*

        #[cfg(test)]
        fn published_and_stored() -> Vec<(&'static str, String)> {
            let mut all = Vec::new();
            $({
                use $model as Word;
                $(all.push(($word, serde_json::to_value(Word::$variant).unwrap().to_string()));)*
            })*
            all
        }
    };
}

words! {
    /// Reason for an attempt.
    AttemptReasonWord as "AttemptReason" of errand_model::event::AttemptReason {
        Initial = "initial",
        Retry = "retry",
        Resume = "resume",
        Restart = "restart",
        Recovery = "recovery",
    }
    /// Stage of a starting attempt.
    AttemptStageWord as "AttemptStage" of errand_model::event::Stage {
        Leased = "leased",
        Provisioning = "provisioning",
        Briefing = "briefing",
        AwaitingCheckin = "awaiting_checkin",
    }
    /// Reason for which a paused run waits.
    PauseReasonWord as "PauseReason" of errand_model::event::PauseReason {
        Operator = "operator",
        Approval = "approval",
        Input = "input",
        Budget = "budget",
        Secret = "secret",
    }
    /// The kind of source that made a run.
    TriggerKindWord as "TriggerType" of errand_model::event::TriggerKind {
        Manual = "manual",
        Webhook = "webhook",
        Schedule = "schedule",
        Upstream = "upstream",
    }
    /// One input and one output, a wake without a task, or a long-lived service.
    RunKindWord as "AnyKind" of errand_model::event::RunKind {
        Job = "job",
        Heartbeat = "heartbeat",
        Service = "service",
    }
    /// Action at a limit.
    OnExceedWord as "OnExceed" of errand_model::budget::OnExceed {
        DenyCall = "deny_call",
        Pause = "pause",
        Cancel = "cancel",
    }
    /// A limit by its stored name; the unit is in it.
    LimitNameWord as "LimitName" of errand_model::budget::LimitName {
        TokensPerRun = "tokens_per_run",
        CostMicroUsdPerRun = "cost_micro_usd_per_run",
        ToolCallsPerRun = "tool_calls_per_run",
        WallTimeMsPerRun = "wall_time_ms_per_run",
        TokensPerDay = "tokens_per_day",
        CostMicroUsdPerDay = "cost_micro_usd_per_day",
        ToolCallsPerDay = "tool_calls_per_day",
        WallTimeMsPerDay = "wall_time_ms_per_day",
    }
    /// Treatment of slots that passed while the service was down.
    MissedWord as "ServiceMissed" of errand_model::event::Missed {
        FireOnce = "fire_once",
        Skip = "skip",
        FireAll = "fire_all",
    }
    /// Treatment of a slot while the wake before it still runs.
    OverlapWord as "ServiceOverlap" of errand_model::event::Overlap {
        Skip = "skip",
        Queue = "queue",
        Allow = "allow",
    }
    /// Condition for a service to come back after its supervisor is gone.
    ServiceRestartWord as "ServiceRestart" of errand_model::event::ServiceRestart {
        Always = "always",
        OnFailure = "on_failure",
        No = "no",
    }
    /// Time of a listener's answer to a request.
    RespondWord as "Respond" of errand_model::event::Respond {
        AtEnd = "at_end",
        AtOnce = "at_once",
    }
    /// Source of a schedule: the command line, the agent file or an API.
    ScheduleSourceWord as "ScheduleSource" of errand_model::event::ScheduleSource {
        Flag = "flag",
        AgentFile = "agent_file",
        Api = "api",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_words_are_the_stored_ones() {
        for (published, stored) in published_and_stored() {
            assert_eq!(format!("\"{published}\""), stored);
        }
    }
}
