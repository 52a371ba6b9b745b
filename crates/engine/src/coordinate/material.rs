//! What a child is given, and what a coordinator gives: put together of what is known.

use std::collections::BTreeMap;

use errand_agent::parcel;
use errand_model::Payload;
use errand_model::coordination::{Material, Pattern};
use errand_model::event::{Failure, MessageType};
use errand_model::run::Run;
use errand_store::Blobs;
use serde_json::{Map, Value};

use crate::{Engine, payload, schema};

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

/// The output of the run, if it is what the agent file says that it is; `None`: nothing.
///
/// # Errors
///
/// As [`bytes`], and `output_invalid`.
pub(super) fn output(
    engine: &Engine,
    run: &Run,
    material: &Material,
) -> Result<Option<Payload>, Failure> {
    let invalid = |message: String| failure("output_invalid", message);
    let opened = parcel::open(&engine.registry().parcels(), &run.spec.agent.digest);
    if let Ok(parcel) = opened
        && parcel.agent.output_schema.is_some()
    {
        let value = value(engine, run, material)?;
        match schema::check_output(&parcel.agent, &value) {
            Ok(None) => {}
            Ok(Some((path, reason))) => {
                return Err(invalid(format!(
                    "the output does not match the agent's output_schema at {path}: {reason}"
                )));
            }
            Err(error) => return Err(invalid(error.to_string())),
        }
    }
    as_payload(engine, run, material)
}

/// It as a payload; `None`: nothing.
///
/// # Errors
///
/// As [`bytes`].
fn as_payload(engine: &Engine, run: &Run, material: &Material) -> Result<Option<Payload>, Failure> {
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
                failure("mapping_failed", format!("the input's {member:?} has no item {index}"))
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
        Material::Template { template, output, from, kind, outputs } => {
            let known = Known {
                input: value(engine, run, &Material::Input)?,
                output: value(engine, run, output)?,
                from,
                kind: *kind,
                outputs,
            };
            let blobs = engine.blobs();
            errand_model::template::render(template, |reference| known.find(&blobs, reference))
                .map_err(|unfilled| failure("mapping_failed", unfilled.to_string()))
        }
    }
}

/// What a template may refer to.
struct Known<'a> {
    input: Value,
    output: Value,
    from: &'a str,
    kind: MessageType,
    outputs: &'a BTreeMap<String, Option<Payload>>,
}

impl Known<'_> {
    /// What stands there: `input`, `output`, `from`, `type`, `outputs.<name>`, each but `from` and
    /// `type` with members and numbers of items behind it.
    fn find(&self, blobs: &Blobs, reference: &str) -> Result<Value, String> {
        let (what, path) = reference.split_once('.').unwrap_or((reference, ""));
        let missing = || format!("there is no {reference}");
        match what {
            "input" => below(&self.input, path).ok_or_else(missing),
            "output" => below(&self.output, path).ok_or_else(missing),
            "from" if path.is_empty() => Ok(self.from.into()),
            "type" if path.is_empty() => Ok(self.kind.word().into()),
            "outputs" => {
                let (name, path) = path.split_once('.').unwrap_or((path, ""));
                let known = self.outputs.get(name).ok_or_else(missing)?;
                let known = known.as_ref().map(|known| payload::to_json(blobs, known)).transpose();
                let known = known.map_err(|error| format!("{reference}: {error}"))?;
                below(&known.unwrap_or_default(), path).ok_or_else(missing)
            }
            _ => Err(missing()),
        }
    }
}

/// What stands at `a.b.0` in a value; at nothing, the value itself.
fn below(value: &Value, path: &str) -> Option<Value> {
    let mut found = value;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        found = match found {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => found.get(part)?,
        };
    }
    Some(found.clone())
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
        Some(_) => Err(failure("mapping_failed", format!("the input's {member:?} is not a list"))),
        None => Err(failure(
            "mapping_failed",
            format!("the input is to be partitioned, and has no member {member:?}"),
        )),
    }
}
