//! Texts for models about the budget of their run (`on_warn: steer`).

use errand_agent::agent_api::Refusal;
use errand_api::budget::{spoken_amount, spoken_name};
use errand_model::accounting::MODEL_REQUESTED;
use errand_model::budget::LimitName;
use errand_model::event::{BudgetSteered, EventBody};
use errand_model::run::{BudgetSteering, Run, SteeredLimit};
use serde_json::{Map, Value};

use super::AttemptBackend;

/// Text for a model, which the request of a call is to carry.
#[derive(Debug)]
pub(super) struct Steering {
    /// Limits that it is about; none if the same call told it before.
    limits: Vec<LimitName>,
    step: String,
    text: String,
}

/// A request with a text for its model, before it is recorded.
#[derive(Debug)]
pub(super) struct SteeredRequest {
    steering: Steering,
    requested: EventBody,
}

impl AttemptBackend {
    /// Returns what the model call of a step tells its model; `None`: nothing.
    pub(super) fn steering(&self, step: &str) -> Option<Steering> {
        let now = self.engine.now();
        let due = self.journal.look(|run, _| run.steering(step, now))?;
        let (limits, text) = match due {
            BudgetSteering::Due(limits) => {
                (limits.iter().map(|it| it.limit).collect(), text_of(&limits))
            }
            BudgetSteering::Again(text) => (Vec::new(), text),
        };
        Some(Steering { limits, step: step.to_owned(), text })
    }

    /// Returns the event of a request that carries a text, from the data of the plain one.
    pub(super) async fn steered(
        &self,
        data: &Map<String, Value>,
        steering: Option<Steering>,
    ) -> Result<Option<SteeredRequest>, Refusal> {
        let Some(steering) = steering else { return Ok(None) };
        let mut data = data.clone();
        data.insert("instruction".to_owned(), steering.text.clone().into());
        let requested = self.event_of_call(MODEL_REQUESTED, data).await?;
        Ok(Some(SteeredRequest { steering, requested }))
    }
}

impl SteeredRequest {
    /// Returns true if no other call has told the text meanwhile.
    pub(super) fn is_due(&self, run: &Run) -> bool {
        self.steering.limits.iter().all(|limit| run.budget.untold.contains_key(limit))
    }

    /// Returns the events of the request, and puts the text into `told`.
    pub(super) fn told(self, told: &mut Option<String>) -> Vec<EventBody> {
        let Self { steering: Steering { limits, step, text }, requested } = self;
        *told = Some(text.clone());
        let steered = EventBody::BudgetSteered(BudgetSteered { limits, step, text });
        vec![requested, steered]
    }
}

/// Returns the text about these limits.
fn text_of(limits: &[SteeredLimit]) -> String {
    let lines = limits.iter().map(|SteeredLimit { limit, used, allowed }| {
        let percent = u128::from(*used) * 100 / u128::from(*allowed).max(1);
        let left = spoken_amount(limit.measure(), allowed.saturating_sub(*used));
        let whole = spoken_amount(limit.measure(), *allowed);
        format!("{percent} % of {} is used: {left} of {whole} are left.", spoken_name(*limit))
    });
    let lines: Vec<String> = lines.collect();
    format!(
        "[errand] Budget notice. {} Calls that pass the limit are refused. Finish with what you have, \
         in as few further steps as you can.",
        lines.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_told_how_much_of_each_limit_is_left() {
        let limit = |limit, used, allowed| SteeredLimit { limit, used, allowed };
        let text = text_of(&[
            limit(LimitName::TokensPerRun, 850, 1_000),
            limit(LimitName::CostMicroUsdPerRun, 2_000_000, 2_500_000),
        ]);
        let expect = "[errand] Budget notice. 85 % of tokens_per_run is used: 150 tokens of 1000 \
                      tokens are left. 80 % of cost_usd_per_run is used: 0.500000 USD of 2.500000 \
                      USD are left. Calls that pass the limit are refused.";
        assert!(text.starts_with(expect), "{text}");
    }
}
