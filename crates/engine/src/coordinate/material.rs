//! Materials: inputs of children and outputs of coordinators, put together from known values.

use std::collections::BTreeMap;

use errand_model::Payload;
use errand_model::coordination::{InputMaterial, Reference};
use errand_model::error_code::ErrorCode;
use errand_model::event::{Failure, MessageType};
use errand_model::plan::Pattern;
use errand_model::run::Run;
use errand_model::template;
use errand_store::Blobs;
use serde_json::{Map, Value};

use crate::{Engine, parcels, payload, schema};

/// Failure of a material, which is not a failure of errand.
fn failure(code: ErrorCode, message: String) -> Failure {
    Failure::new(code, message).for_good()
}

fn unreadable(error: &crate::Error) -> Failure {
    failure(ErrorCode::Internal, format!("what was said cannot be read: {error}"))
}

/// Returns the bytes of a material; `None`: nothing.
///
/// # Errors
///
/// The reason why it cannot be put together.
pub(super) fn bytes(
    engine: &Engine,
    run: &Run,
    material: &InputMaterial,
) -> Result<Option<Vec<u8>>, Failure> {
    let exact = |payload: &Payload| {
        payload::input_of(&engine.blobs(), payload).map_err(|error| unreadable(&error.into()))
    };
    match material {
        InputMaterial::Nothing => Ok(None),
        InputMaterial::Input => run.spec.input.as_ref().map(exact).transpose(),
        InputMaterial::Payload(payload) => exact(payload).map(Some),
        InputMaterial::Item { .. }
        | InputMaterial::Object(_)
        | InputMaterial::List(_)
        | InputMaterial::Template { .. } => {
            let value = value(engine, run, material)?;
            Ok(Some(payload::input_of_value(&value)))
        }
    }
}

/// Returns the output of the run, checked against the agent file; `None`: nothing.
///
/// # Errors
///
/// As [`bytes`], and `output_invalid`.
pub(super) fn output(
    engine: &Engine,
    run: &Run,
    material: &InputMaterial,
) -> Result<Option<Payload>, Failure> {
    let invalid = |message: String| failure(ErrorCode::OutputInvalid, message);
    let opened = parcels::open(engine, &run.spec.agent.digest);
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

/// Returns a material as a payload; `None`: nothing.
///
/// # Errors
///
/// As [`bytes`].
fn as_payload(
    engine: &Engine,
    run: &Run,
    material: &InputMaterial,
) -> Result<Option<Payload>, Failure> {
    match material {
        InputMaterial::Nothing => Ok(None),
        InputMaterial::Input => Ok(run.spec.input.clone()),
        InputMaterial::Payload(payload) => Ok(Some(payload.clone())),
        InputMaterial::Item { .. }
        | InputMaterial::Object(_)
        | InputMaterial::List(_)
        | InputMaterial::Template { .. } => {
            let value = value(engine, run, material)?;
            payload::from_json(&engine.blobs(), value)
                .map(Some)
                .map_err(|error| unreadable(&error.into()))
        }
    }
}

/// Returns a material as JSON; `null`: nothing.
///
/// # Errors
///
/// As [`bytes`].
pub(super) fn value(
    engine: &Engine,
    run: &Run,
    material: &InputMaterial,
) -> Result<Value, Failure> {
    let read = |payload: &Payload| {
        payload::to_json(&engine.blobs(), payload).map_err(|error| unreadable(&error.into()))
    };
    let part = |part: &Option<Payload>| part.as_ref().map_or(Ok(Value::Null), read);
    check_size(engine, material)?;
    match material {
        InputMaterial::Nothing => Ok(Value::Null),
        InputMaterial::Input => part(&run.spec.input),
        InputMaterial::Payload(payload) => read(payload),
        InputMaterial::Item { member, index } => {
            let index = usize::try_from(*index).unwrap_or(usize::MAX);
            items(engine, run, member)?.get(index).cloned().ok_or_else(|| {
                failure(
                    ErrorCode::MappingFailed,
                    format!("the input's {member:?} has no item {index}"),
                )
            })
        }
        InputMaterial::Object(members) => {
            let mut object = Map::new();
            for (name, member) in members {
                object.insert(name.clone(), part(member)?);
            }
            Ok(Value::Object(object))
        }
        InputMaterial::List(items) => {
            items.iter().map(part).collect::<Result<_, _>>().map(Value::Array)
        }
        InputMaterial::Template { template, output, from, kind, outputs } => {
            let written = template::references(template).unwrap_or_default();
            let references = written.iter().filter_map(|written| Reference::parse(written).ok());
            let mut known =
                Known { input: Value::Null, output: Value::Null, from, kind: *kind, outputs };
            // A value that no template refers to may be large, and is not read.
            for reference in references {
                if matches!(reference, Reference::Input(_)) && known.input.is_null() {
                    known.input = value(engine, run, &InputMaterial::Input)?;
                } else if matches!(reference, Reference::Output(_)) && known.output.is_null() {
                    known.output = value(engine, run, output)?;
                }
            }
            let blobs = engine.blobs();
            template::render(template, |written| known.find(&blobs, written))
                .map_err(|unfilled| failure(ErrorCode::MappingFailed, unfilled.to_string()))
        }
    }
}

/// Refuses outputs of several agents that are together larger than one output may be, since they
/// are composed in memory.
fn check_size(engine: &Engine, material: &InputMaterial) -> Result<(), Failure> {
    let size = |part: &Option<Payload>| part.as_ref().map_or(0, payload::size_bytes);
    let size_bytes: u64 = match material {
        InputMaterial::Object(members) => members.values().map(size).sum(),
        InputMaterial::List(items) => items.iter().map(size).sum(),
        InputMaterial::Nothing
        | InputMaterial::Input
        | InputMaterial::Payload(_)
        | InputMaterial::Item { .. }
        | InputMaterial::Template { .. } => return Ok(()),
    };
    let limit_bytes = engine.output_limit_bytes();
    if size_bytes <= limit_bytes {
        return Ok(());
    }
    let message = format!(
        "the outputs that are put together have {size_bytes} bytes, and an output at most \
         {limit_bytes}; give larger results as artifacts, or raise limits.output (ERRAND_MAX_OUTPUT)"
    );
    Err(failure(ErrorCode::OutputTooLarge, message))
}

/// Values that a template may refer to.
struct Known<'a> {
    input: Value,
    output: Value,
    from: &'a str,
    kind: MessageType,
    outputs: &'a BTreeMap<String, Option<Payload>>,
}

impl Known<'_> {
    /// Returns the value under a name.
    fn find(&self, blobs: &Blobs, written: &str) -> Result<Value, String> {
        let missing = || format!("there is no {written}");
        let below =
            |value: &Value, pointer: &str| value.pointer(pointer).cloned().ok_or_else(missing);
        match Reference::parse(written)? {
            Reference::Input(pointer) => below(&self.input, &pointer),
            Reference::Output(pointer) => below(&self.output, &pointer),
            Reference::From => Ok(self.from.into()),
            Reference::Type => Ok(self.kind.word().into()),
            Reference::OutputOf { name, pointer } => {
                let known = self.outputs.get(&name).ok_or_else(missing)?;
                let known = known.as_ref().map(|known| payload::to_json(blobs, known)).transpose();
                let known = known.map_err(|error| format!("{written}: {error}"))?;
                below(&known.unwrap_or_default(), &pointer)
            }
        }
    }
}

/// Returns the number of items to be given out; `None`: the input is not partitioned.
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

/// Returns the list in the input whose items are given out.
///
/// # Errors
///
/// If the input has no such list.
pub(super) fn items(engine: &Engine, run: &Run, member: &str) -> Result<Vec<Value>, Failure> {
    let input = value(engine, run, &InputMaterial::Input)?;
    let found = match input {
        Value::Object(mut object) => object.remove(member),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    };
    match found {
        Some(Value::Array(items)) => Ok(items),
        Some(_) => {
            Err(failure(ErrorCode::MappingFailed, format!("the input's {member:?} is not a list")))
        }
        None => Err(failure(
            ErrorCode::MappingFailed,
            format!("the input is to be partitioned, and has no member {member:?}"),
        )),
    }
}
