//! What a child is given, and what a coordinator gives: put together of what is known.

use errand_model::Payload;
use errand_model::coordination::{Material, Pattern};
use errand_model::event::Failure;
use errand_model::run::Run;
use serde_json::{Map, Value};

use crate::{Engine, payload};

/// A failure of what is put together, and not of errand.
fn failure(code: &str, message: String) -> Failure {
    Failure { code: code.to_owned(), message, step: None, retryable: Some(false) }
}

fn unreadable(error: &crate::Error) -> Failure {
    failure("internal", format!("what was said cannot be read: {error}"))
}

/// The bytes of it; `None`: nothing.
///
/// # Errors
///
/// Why it cannot be put together.
pub(super) fn bytes(
    engine: &Engine,
    run: &Run,
    material: &Material,
) -> Result<Option<Vec<u8>>, Failure> {
    let exact = |payload: &Payload| {
        payload::to_bytes(&engine.blobs(), payload).map_err(|error| unreadable(&error))
    };
    match material {
        Material::Nothing => Ok(None),
        Material::Input => run.spec.input.as_ref().map(exact).transpose(),
        Material::Payload(payload) => exact(payload).map(Some),
        Material::Item { .. }
        | Material::Object(_)
        | Material::List(_)
        | Material::Template { .. } => {
            let value = value(engine, run, material)?;
            Ok(Some(errand_model::canonical::to_string(&value).into_bytes()))
        }
    }
}

/// It as a payload; `None`: nothing.
///
/// # Errors
///
/// As [`bytes`].
pub(super) fn as_payload(
    engine: &Engine,
    run: &Run,
    material: &Material,
) -> Result<Option<Payload>, Failure> {
    match material {
        Material::Nothing => Ok(None),
        Material::Input => Ok(run.spec.input.clone()),
        Material::Payload(payload) => Ok(Some(payload.clone())),
        Material::Item { .. }
        | Material::Object(_)
        | Material::List(_)
        | Material::Template { .. } => {
            let value = value(engine, run, material)?;
            payload::from_json(&engine.blobs(), value).map(Some).map_err(|error| unreadable(&error))
        }
    }
}

/// It as JSON; `null`: nothing.
///
/// # Errors
///
/// As [`bytes`].
pub(super) fn value(engine: &Engine, run: &Run, material: &Material) -> Result<Value, Failure> {
    let read = |payload: &Payload| {
        payload::to_json(&engine.blobs(), payload).map_err(|error| unreadable(&error))
    };
    let part = |part: &Option<Payload>| part.as_ref().map_or(Ok(Value::Null), read);
    match material {
        Material::Nothing => Ok(Value::Null),
        Material::Input => part(&run.spec.input),
        Material::Payload(payload) => read(payload),
        Material::Item { member, index } => {
            let index = usize::try_from(*index).unwrap_or(usize::MAX);
            items(engine, run, member)?.get(index).cloned().ok_or_else(|| {
                failure("input_invalid", format!("the input's {member:?} has no item {index}"))
            })
        }
        Material::Object(members) => {
            let mut object = Map::new();
            for (name, member) in members {
                object.insert(name.clone(), part(member)?);
            }
            Ok(Value::Object(object))
        }
        Material::List(items) => items.iter().map(part).collect::<Result<_, _>>().map(Value::Array),
        Material::Template { .. } => {
            Err(failure("mapping_failed", "templates cannot be filled in here".to_owned()))
        }
    }
}

/// How many items there are to be given out; `None`: the input is not partitioned.
///
/// # Errors
///
/// If the input has no such list.
pub(super) fn count_items(engine: &Engine, run: &Run) -> Result<Option<u32>, Failure> {
    let Some(plan) = &run.spec.plan else { return Ok(None) };
    let Pattern::FanOut(fan_out) = &plan.pattern else { return Ok(None) };
    let Some(member) = &fan_out.partition else { return Ok(None) };
    let count = items(engine, run, member)?.len();
    Ok(Some(u32::try_from(count).unwrap_or(u32::MAX)))
}

fn items(engine: &Engine, run: &Run, member: &str) -> Result<Vec<Value>, Failure> {
    let input = value(engine, run, &Material::Input)?;
    let found = match input {
        Value::Object(mut object) => object.remove(member),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    };
    match found {
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(failure("input_invalid", format!("the input's {member:?} is not a list"))),
        None => Err(failure(
            "input_invalid",
            format!("the input is to be partitioned, and has no member {member:?}"),
        )),
    }
}
