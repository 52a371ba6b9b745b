//! Budget of an agent's calls: checks, prices, reservations and settlement.
//!
//! Reservations of a run's own limits are in the memory of the one process that may write its
//! journal; those of its agent's day are in the store, which all processes share.

use errand_agent::agent_api::{CalledTool, Refusal};
use errand_api::agent_protocol::{BudgetProblem, Reserve, ReserveAnswer, ReserveKind};
use errand_api::budget::{spoken_amount, spoken_name};
use errand_api::error_code::ErrorCode;
use errand_model::accounting::{
    self, MAX_COST_MICRO_USD, MAX_TOKENS, MODEL_CALLED, ModelCall, TOOL_CALLED, ToolCall,
};
use errand_model::budget::{BudgetScope, LimitName, OnExceed};
use errand_model::event::{EventBody, PauseReason};
use errand_model::price::{Day, PriceTable};
use errand_model::run::{DeniedCall, Effect, Meter, Run, Status};
use errand_model::spend::{Amounts, BOOK_LIMIT, Spent, Want, WantKind};
use errand_store::{DayReservation, DayReserved};
use serde_json::Value;

use super::{AttemptBackend, refusal};
use crate::{Error, prices, reconcile};

/// Prefix of a reservation's 16 hex digits.
const RESERVATION_PREFIX: &str = "rsv_";
/// Prefix of the reservations of the gateways, which end with the process that has the gateways.
pub(super) const GATEWAY_PREFIX: &str = "rsv_gateway_";

/// Part of the program that reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReservedBy {
    /// The agent.
    Agent,
    /// The model gateway or the tool gateway.
    Gateway,
}

/// Returns the name of a new reservation.
pub(super) fn reservation_id(by: ReservedBy) -> Result<String, Refusal> {
    let random = crate::engine::random().map_err(|error| refusal(&error.into()))?;
    let prefix = match by {
        ReservedBy::Agent => RESERVATION_PREFIX,
        ReservedBy::Gateway => GATEWAY_PREFIX,
    };
    Ok(format!("{prefix}{random:016x}"))
}

/// Limit that left no room, by its name.
#[derive(Clone, Copy, Debug)]
struct Refused {
    limit: LimitName,
    spent: Spent,
}

impl AttemptBackend {
    /// Checks the report of a call, and adds the cost, its source, and the idempotency key.
    pub(in crate::supervise) async fn accounted(
        &self,
        place: usize,
        type_name: &str,
        data: &mut Value,
    ) -> Result<(), Refusal> {
        accounting::check(type_name, data).map_err(|wrong| {
            let message = format!("{type_name}: $.events[{place}].data.{wrong}");
            Refusal::new(422, ErrorCode::EventInvalid, message)
        })?;
        if type_name == MODEL_CALLED {
            let cost = ModelCall::cost(data, self.prices().await?, self.engine.now());
            ModelCall::put_cost(data, cost.as_ref());
        } else if type_name == TOOL_CALLED {
            ToolCall::put_cost(data);
            ToolCall::put_idempotency_key(self.journal.run_id(), data);
        }
        Ok(())
    }

    /// Settles reservations after a report, and checks the limits of the day.
    pub(super) async fn settle(&self, events: &[EventBody]) -> Result<(), Refusal> {
        let mut calls = 0;
        for event in events {
            let EventBody::Reported(reported) = event else { continue };
            let settled = match reported.type_name() {
                MODEL_CALLED => ModelCall::of(reported.data()).reservation_id,
                TOOL_CALLED => ToolCall::of(reported.data()).reservation_id,
                _ => continue,
            };
            calls += 1;
            if let Some(id) = settled {
                self.book(|book| book.take_back(&id));
            }
        }
        if calls > 0 { self.meter_day().await } else { Ok(()) }
    }

    /// Checks the usage of all runs of the agent today, if this run has a limit on that.
    pub(super) async fn meter_day(&self) -> Result<(), Refusal> {
        if self.journal.look(|run, _| run.caps(BudgetScope::Day).is_unlimited()) {
            return Ok(());
        }
        let agent = self.journal.look(|run, _| run.spec.agent_key());
        let today = Day::of(self.engine.now());
        let standing = self.engine.store().day_standing(&agent, today).await;
        let standing = standing.map_err(|error| refusal(&error.into()))?;
        self.meter(Some(standing.used), None).await
    }

    pub(super) async fn meter(
        &self,
        day: Option<Amounts>,
        denied: Option<DeniedCall>,
    ) -> Result<(), Refusal> {
        let meter = Meter { attempt: self.attempt, day, denied };
        let decision = self.journal.command(&meter.into()).await;
        self.order_now(decision.map_err(|error| refusal(&error.into()))?.effects).await;
        Ok(())
    }

    /// Reserves a part of the budget for a call, under that name. `tool` is the tool of a call through
    /// the tool gateway.
    pub(super) async fn reserve_for(
        &self,
        call: Reserve,
        tool: Option<&CalledTool>,
        id: String,
    ) -> Result<ReserveAnswer, Refusal> {
        let want = self.want(&call).await?;
        let changed = self.permit_call(&call, tool).await?;
        self.reserve_permitted(&call, &want, changed, id).await
    }

    /// Reserves a part of the budget for a call that the policies permit, with the arguments as they
    /// changed them.
    pub(super) async fn reserve_permitted(
        &self,
        call: &Reserve,
        want: &Want,
        changed: Option<Value>,
        id: String,
    ) -> Result<ReserveAnswer, Refusal> {
        let arguments = changed.clone().or_else(|| call.arguments.clone());
        self.admit_call(Some(&id), want).await?;
        let idempotency_key = call.tool.as_ref().map(|tool| {
            let arguments = arguments.map(|arguments| self.masked_json(arguments));
            let (run_id, step) = (self.journal.run_id(), call.step.as_deref());
            ToolCall::idempotency_key(run_id, step, tool, arguments.as_ref())
        });
        Ok(ReserveAnswer {
            reservation_id: id,
            tokens: want.amounts.tokens,
            cost_micro_usd: want.amounts.cost_micro_usd,
            idempotency_key,
            arguments: changed,
        })
    }

    /// Refuses a step of kind `model` or `tool` while a limit of such calls is spent.
    pub(super) async fn admit_step(&self, kind: Option<&str>) -> Result<(), Refusal> {
        let kind = match kind {
            Some("model") => WantKind::Model,
            Some("tool") => WantKind::Tool,
            Some(_) | None => return Ok(()),
        };
        let tool_calls = u64::from(kind == WantKind::Tool);
        let amounts = Amounts { tool_calls, ..Amounts::ZERO };
        self.admit_call(None, &Want { kind, amounts }).await
    }

    /// Releases a reservation.
    pub(super) async fn give_back(&self, reservation_id: &str) -> Result<(), Refusal> {
        self.book(|book| book.take_back(reservation_id));
        if self.journal.look(|run, _| run.caps(BudgetScope::Day).is_unlimited()) {
            return Ok(());
        }
        let (run_id, ids) = (self.journal.run_id(), vec![reservation_id.to_owned()]);
        self.engine.store().release(run_id, ids).await.map_err(|error| refusal(&error.into()))
    }

    /// Returns the most that a call will use, as far as the caller declares it.
    pub(super) async fn want(&self, call: &Reserve) -> Result<Want, Refusal> {
        let bad = |message: String| Refusal::new(422, ErrorCode::RequestInvalid, message);
        let tokens = call.tokens.unwrap_or(0);
        let output = call.output_tokens.unwrap_or(0);
        if tokens > MAX_TOKENS || output > tokens {
            let message = "tokens is too large, or less than output_tokens, which is a part of it";
            return Err(bad(message.to_owned()));
        }
        let said = call.cost_usd.as_ref().map(accounting::micro_usd).transpose();
        let said = said.map_err(|error| bad(format!("cost_usd: {error}")))?;
        let known = match (said, call.model.as_deref()) {
            (None, Some(model)) => {
                let prices = self.prices().await?;
                let price = prices.price_of(call.provider.as_deref(), model, self.engine.now());
                price.map(|it| it.most(tokens, call.output_tokens).min(MAX_COST_MICRO_USD))
            }
            (said, _) => said,
        };
        if known.is_none() && call.kind == ReserveKind::Model && self.has_limit_of_cost() {
            return Err(unpriced(call.model.as_deref()));
        }
        let cost_micro_usd = known.unwrap_or(0);
        Ok(match call.kind {
            ReserveKind::Model => {
                let amounts = Amounts { tokens, cost_micro_usd, ..Amounts::ZERO };
                Want { kind: WantKind::Model, amounts }
            }
            ReserveKind::Tool => {
                let amounts = Amounts { tool_calls: 1, cost_micro_usd, ..Amounts::ZERO };
                Want { kind: WantKind::Tool, amounts }
            }
        })
    }

    /// Returns true if a limit in dollars applies, of the run or of its agent's day.
    fn has_limit_of_cost(&self) -> bool {
        let scopes = [BudgetScope::Run, BudgetScope::Day];
        self.journal
            .look(|run, _| scopes.into_iter().any(|it| run.caps(it).cost_micro_usd.is_some()))
    }

    /// Makes a reservation, or with `None` only checks that there would be room. If the budget
    /// pauses the run, the answer comes once it is resumed.
    async fn admit_call(&self, id: Option<&str>, want: &Want) -> Result<(), Refusal> {
        loop {
            let Some(refused) = self.try_admit(id, want).await? else { return Ok(()) };
            let Spent { measure: _, used, reserved, wanted, allowed } = refused.spent;
            let limit = refused.limit;
            self.meter(None, Some(DeniedCall { limit, used, allowed })).await?;
            let held = |run: &Run| {
                matches!(run.status, Status::Paused { reason: PauseReason::Budget, .. })
            };
            let pauses = self
                .journal
                .look(|run, _| run.spec.budgets.on_exceed == OnExceed::Pause && held(run));
            if pauses {
                let gone_on = self.journal.until(|run| (!held(run)).then_some(())).await;
                gone_on.map_err(|error| refusal(&error.into()))?;
                continue;
            }
            let amount = |amount| spoken_amount(limit.measure(), amount);
            let message = format!(
                "{} leaves no room: {} used, {} reserved, {} wanted, {} allowed",
                spoken_name(limit),
                amount(used),
                amount(reserved),
                amount(wanted),
                amount(allowed)
            );
            let limit = limit.word().to_owned();
            let problem = BudgetProblem { limit, used, reserved, wanted, allowed };
            return Err(Refusal::budget(message, problem));
        }
    }

    async fn try_admit(&self, id: Option<&str>, want: &Want) -> Result<Option<Refused>, Refusal> {
        let now = self.engine.now();
        // The book is locked before the run is read: a settlement meanwhile is counted twice for a
        // moment, and never missed.
        let own = self.book(|book| {
            if id.is_some() && book.is_full() {
                return Err(Refusal::new(
                    409,
                    ErrorCode::RequestInvalid,
                    format!("{BOOK_LIMIT} calls of this run are under way already"),
                ));
            }
            let (caps, used) =
                self.journal.look(|run, _| (run.caps(BudgetScope::Run), run.spent(now)));
            let granted = match id {
                Some(id) => book.reserve(id, &caps, used, want),
                None => caps.grant(used, book.total(), want),
            };
            Ok(granted.err())
        })?;
        if let Some(spent) = own {
            let limit = LimitName::of(BudgetScope::Run, spent.measure);
            return Ok(Some(Refused { limit, spent }));
        }
        let refused = self.admit_today(id, want).await;
        if let (Some(id), Ok(Some(_)) | Err(_)) = (id, &refused) {
            self.book(|book| book.take_back(id));
        }
        refused
    }

    /// Reserves from the day that all runs of the agent share.
    async fn admit_today(&self, id: Option<&str>, want: &Want) -> Result<Option<Refused>, Refusal> {
        let caps = self.journal.look(|run, _| run.caps(BudgetScope::Day));
        if caps.is_unlimited() {
            return Ok(None);
        }
        let (agent, day) =
            (self.journal.look(|run, _| run.spec.agent_key()), Day::of(self.engine.now()));
        let failed = |error: errand_store::Error| refusal(&error.into());
        let name =
            |spent: Spent| Refused { limit: LimitName::of(BudgetScope::Day, spent.measure), spent };
        let Some(id) = id else {
            let standing = self.engine.store().day_standing(&agent, day).await.map_err(failed)?;
            let granted = caps.grant(standing.used, standing.reserved, want);
            return Ok(granted.err().map(name));
        };
        let reservation = DayReservation {
            id: id.to_owned(),
            run_id: self.journal.run_id().clone(),
            epoch: self.journal.epoch(),
            agent,
            day,
            want: *want,
            caps,
        };
        for is_last in [false, true] {
            let reserved =
                self.engine.store().reserve(reservation.clone()).await.map_err(failed)?;
            let DayReserved::Refused { spent, holders } = reserved else { return Ok(None) };
            // Reservations of a run with a dead supervisor are released first.
            if is_last || !self.bury(&holders).await? {
                return Ok(Some(name(spent)));
            }
        }
        Ok(None)
    }

    /// Reconciles runs with reservations. Returns whether one of them was dead.
    pub(super) async fn bury(&self, holders: &[errand_model::RunId]) -> Result<bool, Refusal> {
        let failed = |error: Error| refusal(&error);
        let mut buried = false;
        for run_id in holders {
            let stored = self.engine.store().load(run_id).await;
            let Some(stored) = stored.map_err(|error| failed(error.into()))? else { continue };
            if stored.run.status.is_terminal() || reconcile::is_supervised(&self.engine, &stored) {
                continue;
            }
            reconcile::reconcile(&self.engine, stored)
                .await
                .map_err(|error| failed(error.into()))?;
            buried = true;
        }
        Ok(buried)
    }

    /// Returns the prices in force when the attempt's first call was priced.
    async fn prices(&self) -> Result<&PriceTable, Refusal> {
        let read = || {
            let namespace = self.journal.look(|run, _| run.spec.namespace.clone());
            async move { prices::of_namespace(&self.engine, namespace.as_deref()).await }
        };
        self.prices.get_or_try_init(read).await.map_err(|error| refusal(&error))
    }

    /// Queues effects on the agent for its supervisor.
    pub(super) fn order(&self, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        self.ordered.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(effects);
        self.order_came.notify_one();
    }

    /// Queues effects on the agent, and waits until they are carried out: an agent that is paused
    /// must not get an answer first, and continue.
    pub(super) async fn order_now(&self, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        let mut done = self.orders_done.subscribe();
        done.mark_unchanged();
        self.order(effects);
        // The supervisor ends only after the agent.
        drop(done.changed().await);
    }

    /// Notes that all effects of the last [`Self::ordered`] were carried out.
    pub(in crate::supervise) fn orders_done(&self) {
        self.orders_done.send_modify(|done| *done += 1);
    }

    /// Waits for effects on the agent.
    pub(in crate::supervise) async fn ordered(&self) -> Vec<Effect> {
        loop {
            let effects: Vec<Effect> = std::mem::take(
                &mut *self.ordered.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
            );
            if !effects.is_empty() {
                return effects;
            }
            self.order_came.notified().await;
        }
    }

    pub(super) fn book<T>(&self, change: impl FnOnce(&mut errand_model::spend::Book) -> T) -> T {
        let mut book = self.book.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = self.kept.is_some().then(|| book.clone());
        let changed = change(&mut book);
        if before.is_some_and(|before| before != *book) {
            self.keep_book(&book);
        }
        changed
    }
}

/// Refuses a call whose cost is not known: it would pass any limit in dollars.
fn unpriced(model: Option<&str>) -> Refusal {
    let message = match model {
        Some(model) => format!(
            "a budget in dollars applies, and no price of the model {model:?} is known: give it one in \
             .errand/prices.yaml, or say what the call costs at most"
        ),
        None => "a budget in dollars applies: name the model, or say what the call costs at most"
            .to_owned(),
    };
    Refusal::new(409, ErrorCode::ModelUnpriced, message)
}
