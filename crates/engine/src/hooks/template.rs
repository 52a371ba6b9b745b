//! Input templates: JSON in which strings may refer to parts of a request.

use errand_model::template::{self, Unfilled};
use serde_json::Value;

use super::reference::{Reference, Request};

/// Checks that a template can be parsed; fails with the first mistake and the JSON pointer to it.
pub(super) fn check(template: &Value) -> Result<(), Unfilled> {
    template::check(template, |written| Reference::parse(written).map(drop))
}

/// Returns the template filled from a request; fails with the first reference to a missing part.
pub(super) fn render(template: &Value, request: &Request<'_>) -> Result<Value, String> {
    template::render(template, |written| find(written, request)).map_err(|error| error.to_string())
}

/// Returns a string filled from a request, as text.
pub(super) fn render_text(text: &str, request: &Request<'_>) -> Result<String, String> {
    template::render_text(text, |written| find(written, request))
}

fn find(written: &str, request: &Request<'_>) -> Result<Value, String> {
    let found = Reference::parse(written)?.find(request);
    found.ok_or_else(|| format!("{written} is not in the request"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn filled(template: &Value) -> Result<Value, String> {
        let headers = BTreeMap::from([("x-event".to_owned(), "push".to_owned())]);
        let query = BTreeMap::from([("page".to_owned(), "2".to_owned())]);
        let body = json!({ "a": { "b": [1, { "c": null }] }, "x/y": "z", "t": "{{ body.a }}" });
        let raw = hyper::header::HeaderMap::new();
        let request = Request {
            raw: &raw,
            headers: &headers,
            query: &query,
            body: &body,
            hook: "mine",
            delivery_id: "d1",
        };
        render(template, &request)
    }

    #[test]
    fn a_lone_reference_keeps_its_json_type_and_one_within_text_becomes_text() {
        let template = json!({
            "whole": "{{ body.a.b }}", "text": "n={{body.a.b.0}}, {{ headers.X-Event }}!",
            "pointer": "{{ body#/x~1y }}", "null": "{{ body.a.b.1.c }}", "page": "{{query.page}}",
            "list": [true, "{{ hook.name }}/{{ delivery.id }}"], "plain": "as it is", "empty": "",
            "default": "{{ body.no | [1] }}", "text_default": "{{ body.no | \"x\" }}y",
        });
        let expected = json!({
            "whole": [1, { "c": null }], "text": "n=1, push!", "pointer": "z", "null": null,
            "page": "2", "list": [true, "mine/d1"], "plain": "as it is", "empty": "",
            "default": [1], "text_default": "xy",
        });
        assert_eq!(filled(&template), Ok(expected));
    }

    #[test]
    fn a_reference_to_a_missing_part_is_named_in_the_error() {
        let error = filled(&json!({ "deep": ["{{ body.a.c }}"] })).unwrap_err();
        assert_eq!(error, "the template's \"/deep/0\": body.a.c is not in the request");
    }

    #[test]
    fn check_finds_mistakes_of_a_template_without_a_request() {
        for (template, place) in [
            (json!("{{ body.a"), ""),
            (json!({ "a": "{{ secrets.x }}" }), "/a"),
            (json!(["{{ body. }}"]), "/0"),
            (json!({ "a/b": "{{ body#x }}" }), "/a~1b"),
            (json!("{{ body.a | x }}"), ""),
            (json!("{{ }}"), ""),
            (json!("{{ headers. }}"), ""),
        ] {
            assert_eq!(check(&template).unwrap_err().pointer, place, "{template}");
        }
        check(&json!({ "a": ["{{ body }}", 1, null, "}} {"] })).unwrap();
    }
}
