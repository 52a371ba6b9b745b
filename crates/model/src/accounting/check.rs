//! Checks of reports before they are recorded.
//!
//! Unknown members are kept; known members have the type by which they are counted, or the report
//! is refused.

use serde_json::Value;

use super::fields::{Fields, InvalidField, shown};
use super::model_call::said;
use super::{
    KNOWLEDGE_RETRIEVED, MAX_DURATION_MS, MAX_NAME_BYTES, MAX_TOKENS, MEMORY_ACCESSED,
    MODEL_CALLED, SideEffect, TOOL_CALLED,
};

/// Checks what an agent reports of a call; other types of events are not looked at.
///
/// # Errors
///
/// [`InvalidField`] with the first member that is not as it must be.
pub fn check(type_name: &str, data: &Value) -> Result<(), InvalidField> {
    let fields = Fields::of(data);
    match type_name {
        MODEL_CALLED => model_call(fields),
        TOOL_CALLED => tool_call(fields),
        MEMORY_ACCESSED | KNOWLEDGE_RETRIEVED => look_up(fields),
        _ => Ok(()),
    }
}

/// Checks the members that all reports of calls share.
fn call(fields: Fields<'_>) -> Result<(), InvalidField> {
    for name in ["step", "agent", "reservation_id"] {
        fields.name(name)?;
    }
    fields.count("duration_ms", MAX_DURATION_MS)?;
    fields.truth("success")?;
    Ok(())
}

fn model_call(fields: Fields<'_>) -> Result<(), InvalidField> {
    call(fields)?;
    for name in ["provider", "model"] {
        fields.name(name)?;
    }
    let tokens = |name| Ok(fields.count(name, MAX_TOKENS)?.unwrap_or(0));
    let (input, output) = (tokens("input_tokens")?, tokens("output_tokens")?);
    let (cached, reasoning) = (tokens("cached_tokens")?, tokens("reasoning_tokens")?);
    if cached > input {
        let message =
            format!("{cached} is more than input_tokens ({input}), of which it is a part");
        return Err(InvalidField::at("cached_tokens", message));
    }
    let written = [tokens("cache_write_tokens")?, tokens("cache_write_long_tokens")?];
    let of_cache = written.into_iter().fold(cached, u64::saturating_add);
    if of_cache > input {
        let message = format!(
            "{of_cache} tokens were read from a cache or written to one, which is more than \
             input_tokens ({input}), of which they are a part"
        );
        return Err(InvalidField::at("cache_write_tokens", message));
    }
    fields.name("service_tier")?;
    fields.truth("regional")?;
    if reasoning > output {
        let message =
            format!("{reasoning} is more than output_tokens ({output}), of which it is a part");
        return Err(InvalidField::at("reasoning_tokens", message));
    }
    cost(fields)
}

/// Checks the cost of a call as the agent reports it.
fn cost(fields: Fields<'_>) -> Result<(), InvalidField> {
    for name in ["priced_by", "price_source", "price_date"] {
        if fields.get(name).is_some() {
            return Err(InvalidField::at(name, "errand writes this itself"));
        }
    }
    said(fields)?;
    Ok(())
}

fn tool_call(fields: Fields<'_>) -> Result<(), InvalidField> {
    call(fields)?;
    for name in ["name", "idempotency_key"] {
        fields.name(name)?;
    }
    if let Some(class) = fields.get("side_effect") {
        let known = class.as_str().is_some_and(|class| class.parse::<SideEffect>().is_ok());
        if !known {
            let words = SideEffect::ALL.map(|(word, _)| word).join(", ");
            let message = format!("{} is not a class of side effects: {words}", shown(class));
            return Err(InvalidField::at("side_effect", message));
        }
    }
    if let Some(labels) = fields.get("labels") {
        let are_names = labels.as_array().is_some_and(|all| all.iter().all(is_label));
        if !are_names {
            let message = format!("{} is not a list of labels, such as [\"web\"]", shown(labels));
            return Err(InvalidField::at("labels", message));
        }
    }
    cost(fields)
}

fn is_label(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty() && text.len() <= MAX_NAME_BYTES)
}

fn look_up(fields: Fields<'_>) -> Result<(), InvalidField> {
    call(fields)?;
    for name in ["store", "operation", "source"] {
        fields.name(name)?;
    }
    fields.count("results", MAX_TOKENS)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaint(type_name: &str, data: &Value) -> String {
        check(type_name, data).map_or_else(|wrong| wrong.to_string(), |()| "fine".to_owned())
    }

    fn expect(cases: &[(&str, Value, &str)]) {
        for (type_name, data, expected) in cases {
            assert_eq!(complaint(type_name, data), *expected, "{type_name} {data}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_model_call_is_named_with_its_place() {
        expect(&[
            (MODEL_CALLED, json!({}), "fine"),
            (MODEL_CALLED, json!({"model": null, "temperature": 0.2}), "fine"),
            (
                MODEL_CALLED,
                json!({"input_tokens": -1}),
                "input_tokens: expected a whole number of at least 0, found -1",
            ),
            (
                MODEL_CALLED,
                json!({"output_tokens": 1.5}),
                "output_tokens: expected a whole number of at least 0, found 1.5",
            ),
            (
                MODEL_CALLED,
                json!({"input_tokens": u64::MAX}),
                "input_tokens: 18446744073709551615 is more than 1000000000000",
            ),
            (
                MODEL_CALLED,
                json!({"input_tokens": 5, "cached_tokens": 6}),
                "cached_tokens: 6 is more than input_tokens (5), of which it is a part",
            ),
            (
                MODEL_CALLED,
                json!({"input_tokens": 5, "cached_tokens": 3, "cache_write_tokens": 3}),
                "cache_write_tokens: 6 tokens were read from a cache or written to one, which is \
                 more than input_tokens (5), of which they are a part",
            ),
            (
                MODEL_CALLED,
                json!({"regional": "eu"}),
                "regional: expected true or false, found \"eu\"",
            ),
            (
                MODEL_CALLED,
                json!({"output_tokens": 5, "reasoning_tokens": 6}),
                "reasoning_tokens: 6 is more than output_tokens (5), of which it is a part",
            ),
            (
                MODEL_CALLED,
                json!({"cost_usd": -0.1}),
                "cost_usd: expected US dollars as a decimal of at least 0, found -0.1",
            ),
            (
                MODEL_CALLED,
                json!({"cost_usd": 0.1, "cost_micro_usd": 5}),
                "cost_micro_usd: cost_usd says 100000, and this says 5",
            ),
            (
                MODEL_CALLED,
                json!({"price_source": "me"}),
                "price_source: errand writes this itself",
            ),
            (MODEL_CALLED, json!({"model": 4}), "model: expected text, found 4"),
            (MODEL_CALLED, json!({"step": " "}), "step: the text is empty"),
        ]);
    }

    #[test]
    fn what_is_wrong_with_any_other_call_is_named_with_its_place() {
        expect(&[
            (
                TOOL_CALLED,
                json!({"name": "send", "side_effect": "evil"}),
                "side_effect: \"evil\" is not a class of side effects: read_only, local_write, \
                 external_write, financial, communication, code_execution, privileged",
            ),
            (
                TOOL_CALLED,
                json!({"name": "send", "side_effect": "communication", "success": "yes"}),
                "success: expected true or false, found \"yes\"",
            ),
            (
                TOOL_CALLED,
                json!({"name": "search", "cost_usd": "free"}),
                "cost_usd: expected US dollars as a decimal of at least 0, found \"free\"",
            ),
            (TOOL_CALLED, json!({"name": "search", "cost_usd": 0.05}), "fine"),
            (
                TOOL_CALLED,
                json!({"name": "send", "arguments": [1, {"a": null}], "result": 7, "x": {}}),
                "fine",
            ),
            (
                MEMORY_ACCESSED,
                json!({"operation": "read", "duration_ms": "5"}),
                "duration_ms: expected a whole number of at least 0, found \"5\"",
            ),
            (
                KNOWLEDGE_RETRIEVED,
                json!({"source": "wiki", "results": -1}),
                "results: expected a whole number of at least 0, found -1",
            ),
            ("progress.reported", json!({"step": 5}), "fine"),
        ]);
    }
}
