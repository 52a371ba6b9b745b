//! The OpenAPI 3.1 document, made of the table of routes and the types that it names.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::routes::{Answer, Area, Body, Media, Route, SchemaOf, all, areas, schema_of};
use crate::error_code::ErrorCode;
use crate::schema::without_null;

/// Where schemas are in the document.
const SCHEMAS: &str = "/components/schemas";

/// The media type of bytes of which nothing is said: what a route takes besides its own.
pub const ANY_BYTES: &str = "application/octet-stream";

/// The whole document.
pub fn document() -> Value {
    let (mut requests, mut answers) = (generator(), generator());
    let problem = schema_of::<Problem>(&mut answers);
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for area in areas() {
        for route in area.routes {
            let operation = operation(area, route, (&mut requests, &mut answers), &problem);
            let methods = paths.entry(route.path).or_default();
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    let tags: Vec<Value> =
        areas().iter().map(|area| json!({ "name": area.name, "description": area.says })).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "errand",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Runs of agents: started, watched, stopped, and their record.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas(requests, answers),
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// The schema of what a route takes as JSON, complete in itself; `None` if it takes none.
pub fn body_schema(route: &Route) -> Option<Value> {
    let (Body::Json(schema) | Body::MaybeJson(schema)) = route.body else { return None };
    let mut generator = generator();
    let schema = request_schema(&mut generator, schema);
    let mut whole = schema.to_value();
    let schemas = definitions(generator, Side::Request);
    if let Some(fields) = whole.as_object_mut() {
        fields.insert("components".to_owned(), json!({ "schemas": schemas }));
    }
    Some(whole)
}

/// The schema of a route's query, complete in itself; `None` if it has none.
pub fn query_schema(route: &Route) -> Option<Value> {
    Some(inline(route.query?))
}

/// The route of that name.
pub fn route(id: &str) -> Option<&'static Route> {
    all().find(|route| route.id == id)
}

/// What a schema is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// What clients write: a field that may be left out is not one that may be null.
    Request,
    /// What the gateway writes.
    Answer,
}

fn generator() -> SchemaGenerator {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = SCHEMAS.into());
    SchemaGenerator::new(settings)
}

fn request_schema(generator: &mut SchemaGenerator, schema: SchemaOf) -> Schema {
    let mut schema = schema(generator);
    without_null(&mut schema);
    schema
}

fn definitions(mut generator: SchemaGenerator, side: Side) -> Map<String, Value> {
    let mut definitions = generator.take_definitions(true);
    if side == Side::Request {
        for definition in definitions.values_mut() {
            if let Ok(schema) = <&mut Schema>::try_from(definition) {
                without_null(schema);
            }
        }
    }
    definitions
}

/// All schemas. What both clients and the gateway write is as the gateway writes it.
fn schemas(requests: SchemaGenerator, answers: SchemaGenerator) -> Map<String, Value> {
    let mut schemas = definitions(requests, Side::Request);
    schemas.extend(definitions(answers, Side::Answer));
    schemas
}

fn operation(
    area: &Area,
    route: &Route,
    (requests, answers): (&mut SchemaGenerator, &mut SchemaGenerator),
    problem: &Schema,
) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), route.id.into());
    operation.insert("tags".to_owned(), json!([area.name]));
    operation.insert("summary".to_owned(), route.says.into());
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(body) = body(route, requests) {
        operation.insert("requestBody".to_owned(), body);
    }
    let mut responses = Map::new();
    for answer in route.answers {
        let response = response(answer, answers);
        match responses.get_mut(&answer.status.to_string()) {
            Some(other) => add_form(other, response),
            None => drop(responses.insert(answer.status.to_string(), response)),
        }
    }
    for (status, codes) in problems(route) {
        let description = format!("{}.", codes.join(", "));
        responses.insert(status.to_string(), problem_response(&description, problem));
    }
    let rest = problem_response("Any other problem.", problem);
    responses.insert("default".to_owned(), rest);
    operation.insert("responses".to_owned(), responses.into());
    let security = route.scope.map_or(json!([]), |_| json!([{ "key": [] }]));
    operation.insert("security".to_owned(), security);
    if let Some(scope) = route.scope {
        operation.insert("x-errand-scope".to_owned(), scope.as_str().into());
    }
    operation.into()
}

/// The problems of a route by status: its own, and those that come with what it takes.
fn problems(route: &Route) -> BTreeMap<u16, Vec<&'static str>> {
    let mut codes: Vec<ErrorCode> = route.errors.to_vec();
    if route.scope.is_some() {
        codes.extend([ErrorCode::TokenInvalid, ErrorCode::ScopeMissing]);
    }
    if route.query.is_some() || route.path.contains('{') {
        codes.push(ErrorCode::ParameterInvalid);
    }
    match route.body {
        Body::None => {}
        Body::Json(_) | Body::MaybeJson(_) => codes.extend([
            ErrorCode::RequestMalformed,
            ErrorCode::RequestInvalid,
            ErrorCode::RequestTooLarge,
            ErrorCode::ContentTypeUnsupported,
        ]),
        Body::Bytes(_) => {
            codes.extend([ErrorCode::RequestTooLarge, ErrorCode::ContentTypeUnsupported]);
        }
    }
    let mut by_status: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    for code in codes {
        let words = by_status.entry(code.http_status()).or_default();
        if !words.contains(&code.as_str()) {
            words.push(code.as_str());
        }
    }
    by_status
}

fn problem_response(description: &str, problem: &Schema) -> Value {
    json!({
        "description": description,
        "content": { Problem::MEDIA_TYPE: { "schema": problem } },
    })
}

/// Adds another form of the same answer.
fn add_form(response: &mut Value, other: Value) {
    let content = response.get_mut("content").and_then(Value::as_object_mut);
    if let (Some(content), Value::Object(mut other)) = (content, other) {
        let more = other.remove("content");
        content.extend(more.as_ref().and_then(Value::as_object).cloned().unwrap_or_default());
    }
}

fn response(answer: &Answer, generator: &mut SchemaGenerator) -> Value {
    let mut response = json!({ "description": answer.says });
    let content = match answer.media {
        Media::None => None,
        Media::Json(schema) => Some(json!({ "application/json": { "schema": schema(generator) } })),
        Media::Bytes(media_type) => Some(json!({ media_type: {} })),
    };
    if let (Some(content), Some(fields)) = (content, response.as_object_mut()) {
        fields.insert("content".to_owned(), content);
    }
    let headers: Map<String, Value> = answer
        .headers
        .iter()
        .map(|header| {
            let says = json!({ "description": header.says, "schema": { "type": "string" } });
            (header.name.to_owned(), says)
        })
        .collect();
    if let (false, Some(fields)) = (headers.is_empty(), response.as_object_mut()) {
        fields.insert("headers".to_owned(), headers.into());
    }
    response
}

fn body(route: &Route, generator: &mut SchemaGenerator) -> Option<Value> {
    match route.body {
        Body::None => None,
        Body::Json(schema) => Some(json!({
            "required": true,
            "content": { "application/json": { "schema": request_schema(generator, schema) } },
        })),
        Body::MaybeJson(schema) => Some(json!({
            "required": false,
            "content": { "application/json": { "schema": request_schema(generator, schema) } },
        })),
        Body::Bytes(media_type) => Some(json!({
            "required": true,
            "content": { media_type: {}, ANY_BYTES: {} },
        })),
    }
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters: Vec<Value> = path_parameters(route.path).map(path_parameter).collect();
    if let Some(query) = route.query {
        parameters.extend(query_parameters(query));
    }
    parameters.extend(route.headers.iter().map(|header| {
        json!({
            "name": header.name, "in": "header", "required": false,
            "description": header.says,
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        })
    }));
    parameters
}

/// The names in braces.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Value {
    let schema = if name == "run_id" {
        json!({ "type": "string", "pattern": "^[0-9abcdefghjkmnpqrstvwxyz]{20}$" })
    } else {
        json!({ "type": "string", "minLength": 1 })
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// The schema of a type without references.
fn inline(schema: SchemaOf) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|it| it.inline_subschemas = true);
    request_schema(&mut SchemaGenerator::new(settings), schema).to_value()
}

/// The fields of a query's type, each as a parameter.
fn query_parameters(query: SchemaOf) -> Vec<Value> {
    let schema = inline(query);
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    fields
        .iter()
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            let description = schema.as_object_mut().and_then(|it| it.remove("description"));
            json!({
                "name": name, "in": "query", "required": required.contains(&name.as_str().into()),
                "description": description.unwrap_or_default(), "schema": schema,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_has_a_name_of_its_own_and_says_what_it_does() {
        let mut names = BTreeSet::new();
        let mut places = BTreeSet::new();
        for route in all() {
            assert!(names.insert(route.id), "{} is there twice", route.id);
            assert!(places.insert((route.path, route.method)), "{} is there twice", route.path);
            assert!(route.says.ends_with('.'), "{}: {:?}", route.id, route.says);
            assert!(!route.answers.is_empty(), "{} answers nothing", route.id);
        }
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let document = document();
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(!references.is_empty());
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    references.push(reference.clone());
                }
                fields.values().for_each(|value| collect(value, references));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}
