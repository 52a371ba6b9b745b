//! Validation of inputs and outputs by the agent's JSON Schemas (draft 2020-12).

use errand_api::agent_file::Agent;
use errand_api::error_code::ErrorCode;
use serde_json::Value;
use thiserror::Error;

use crate::error::CodedError;

/// Checks that the schemas of an agent are valid.
///
/// # Errors
///
/// [`SchemaProblem::Malformed`] for the first invalid one.
pub(crate) fn check_schemas(agent: &Agent) -> Result<(), SchemaProblem> {
    let schemas = [("input_schema", &agent.input_schema), ("output_schema", &agent.output_schema)];
    for (field, schema) in schemas {
        let Some(schema) = schema else { continue };
        jsonschema::draft202012::new(schema)
            .map_err(|error| SchemaProblem::Malformed { field, reason: error.to_string() })?;
    }
    Ok(())
}

/// Checks a job's input.
///
/// # Errors
///
/// [`SchemaProblem::Input`] with the place of the first violation, [`SchemaProblem::Malformed`] if
/// the schema itself is invalid.
pub(crate) fn check_input(agent: &Agent, input: Option<&[u8]>) -> Result<(), SchemaProblem> {
    let Some(schema) = &agent.input_schema else { return Ok(()) };
    let text = |bytes| Value::String(String::from_utf8_lossy(bytes).into_owned());
    let (instance, other) = match input {
        None => (Value::Null, None),
        Some(bytes) => match serde_json::from_slice(bytes) {
            // Text that parses as a document is valid as either: `42` is a number, and the text of
            // "42".
            Ok(document) => (document, Some(text(bytes))),
            Err(_) => (text(bytes), None),
        },
    };
    let Some((path, reason)) = violation("input_schema", schema, &instance)? else { return Ok(()) };
    match other {
        Some(text) if violation("input_schema", schema, &text)?.is_none() => Ok(()),
        Some(_) | None => Err(SchemaProblem::Input { path, reason }),
    }
}

/// Returns place and reason of the first violation of the agent's `output_schema`, if any.
///
/// # Errors
///
/// [`SchemaProblem::Malformed`] if the schema itself is invalid.
pub(crate) fn check_output(
    agent: &Agent,
    output: &Value,
) -> Result<Option<(String, String)>, SchemaProblem> {
    match &agent.output_schema {
        None => Ok(None),
        Some(schema) => violation("output_schema", schema, output),
    }
}

/// Checks that the schema of a question is valid.
///
/// # Errors
///
/// [`SchemaProblem::Malformed`] if it is not.
pub(crate) fn check_question(schema: &Value) -> Result<(), SchemaProblem> {
    let compiled = jsonschema::draft202012::new(schema);
    compiled.map(|_| ()).map_err(|error| SchemaProblem::Malformed {
        field: "input schema",
        reason: error.to_string(),
    })
}

/// Returns place and reason of the first violation of a question's schema, if any.
pub(crate) fn check_answer(schema: &Value, answer: &Value) -> Option<(String, String)> {
    // The schema was compiled when the question was asked.
    violation("input schema", schema, answer).ok().flatten()
}

fn violation(
    field: &'static str,
    schema: &Value,
    instance: &Value,
) -> Result<Option<(String, String)>, SchemaProblem> {
    let validator = jsonschema::draft202012::new(schema)
        .map_err(|error| SchemaProblem::Malformed { field, reason: error.to_string() })?;
    let first = validator.iter_errors(instance).next();
    Ok(first.map(|error| {
        let path = error.instance_path().to_string();
        (if path.is_empty() { "/".to_owned() } else { path }, error.to_string())
    }))
}

/// Error: a schema in the agent file is malformed, or the input does not match it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SchemaProblem {
    /// The schema is malformed.
    #[error("the agent's {field} is not a JSON Schema: {reason}")]
    Malformed {
        /// `input_schema` or `output_schema`.
        field: &'static str,
        /// Reason in words.
        reason: String,
    },
    /// The input does not match the agent's schema.
    #[error("the input does not match the agent's input_schema at {path}: {reason}")]
    Input {
        /// A JSON pointer; empty for the whole input.
        path: String,
        /// Reason in words.
        reason: String,
    },
}

impl CodedError for SchemaProblem {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed { .. } => ErrorCode::SchemaInvalid,
            Self::Input { .. } => ErrorCode::InputInvalid,
        }
    }
}
