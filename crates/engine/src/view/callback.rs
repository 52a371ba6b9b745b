//! Reports of runs, and their receivers.

use errand_api::gateway::callback::{Callback, CallbackState, CallbackTarget, CallbackTry};
use errand_model::Timestamp;

use crate::outbox::{DeliveryAttempt, EntryState, LoggedReport, SigningSecret, TargetView};

/// Returns the document of a report, with its tries if they are known.
pub fn callback(logged: LoggedReport) -> Callback {
    Callback {
        id: logged.id,
        run_id: logged.run_id,
        event: logged.event,
        url: logged.url,
        state: match logged.state {
            EntryState::Waiting => CallbackState::Waiting,
            EntryState::Held => CallbackState::Held,
            EntryState::Delivered => CallbackState::Delivered,
            EntryState::Abandoned => CallbackState::Abandoned,
        },
        note: logged.note,
        tries: logged.tries,
        at_ms: logged.at_ms.as_millis(),
        next_try_at_ms: logged.next_try_at_ms.map(Timestamp::as_millis),
        deliveries: logged.deliveries.into_iter().map(one_try).collect(),
    }
}

fn one_try(delivery: DeliveryAttempt) -> CallbackTry {
    CallbackTry {
        number: delivery.number,
        at_ms: delivery.at.as_millis(),
        duration_ms: delivery.duration_ms,
        status: delivery.status,
        error: delivery.error,
        response: delivery.response,
    }
}

/// Returns the document of a receiver; with its secret only for its creator.
pub fn callback_target(view: TargetView, secret: Option<&SigningSecret>) -> CallbackTarget {
    CallbackTarget {
        origin: view.origin,
        enabled: view.enabled,
        disabled_at_ms: view.disabled.as_ref().map(|disabled| disabled.at.as_millis()),
        disabled_because: view.disabled.map(|disabled| disabled.why),
        failures: view.failures,
        failing_since_ms: view.failing_since.map(Timestamp::as_millis),
        last_error: view.last_error,
        created_at_ms: view.created_at.as_millis(),
        secret: secret.map(SigningSecret::expose),
    }
}

/// Converts the state of a report to that of an outbox entry.
pub const fn callback_state(state: CallbackState) -> EntryState {
    match state {
        CallbackState::Waiting => EntryState::Waiting,
        CallbackState::Held => EntryState::Held,
        CallbackState::Delivered => EntryState::Delivered,
        CallbackState::Abandoned => EntryState::Abandoned,
    }
}
