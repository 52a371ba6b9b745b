//! The OpenAPI 3.1 document, made of the table of routes and the types that it names.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::meta::METRICS_MEDIA_TYPE;
use super::problem::ProblemDetails;
pub use super::route::ANY_BYTES;
use super::routes::{Answer, Area, Body, Media, Route, SchemaOf, all, areas, schema_of};
use crate::error_code::ErrorCode;
use crate::schema::without_null;

mod bounds;
mod examples;
mod plain;

/// Path of schemas in the document.
const SCHEMAS: &str = "/components/schemas";

/// Default address of `errand up`.
const DEFAULT_SERVER: &str = "http://127.0.0.1:7070";

/// The whole document.
pub fn document() -> Value {
    let (mut requests, mut answers) = (generator(Side::Request), generator(Side::Answer));
    let problem = schema_of::<ProblemDetails>(&mut answers);
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
        // Relative to where the document was got; the other is for clients that read it from a
        // file.
        "servers": [
            { "url": "/", "description": "The server that sent this document." },
            { "url": DEFAULT_SERVER, "description": "`errand up` unless told otherwise." },
        ],
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas(requests, answers),
            "examples": examples::components(),
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// The schema of what a route takes as JSON, complete in itself; `None` if it takes none.
pub fn body_schema(route: &Route) -> Option<Value> {
    let (Body::Json(schema) | Body::MaybeJson(schema)) = route.body else { return None };
    let mut generator = generator(Side::Request);
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

/// Direction of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// Written by clients: an optional field is not a nullable one.
    Request,
    /// Written by the gateway.
    Answer,
}

fn generator(side: Side) -> SchemaGenerator {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = SCHEMAS.into());
    SchemaGenerator::new(match side {
        Side::Request => settings.for_deserialize(),
        Side::Answer => settings.for_serialize(),
    })
}

fn request_schema(generator: &mut SchemaGenerator, schema: SchemaOf) -> Schema {
    let mut schema = schema(generator);
    without_null(&mut schema);
    plain::without_defaults(&mut schema, Side::Request);
    plain::with_enums(&mut schema);
    schema
}

fn definitions(mut generator: SchemaGenerator, side: Side) -> Map<String, Value> {
    let mut definitions = generator.take_definitions(true);
    for definition in definitions.values_mut() {
        let Ok(schema) = <&mut Schema>::try_from(definition) else { continue };
        if side == Side::Request {
            without_null(schema);
        }
        plain::without_defaults(schema, side);
        plain::without_true(schema);
        plain::with_enums(schema);
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
        let response = response(route, answer, answers);
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
        codes.extend([
            ErrorCode::KeyMissing,
            ErrorCode::KeyInvalid,
            ErrorCode::KeyExpired,
            ErrorCode::ScopeMissing,
        ]);
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
        let words = by_status.entry(crate::http_status::of(code)).or_default();
        if !words.contains(&code.as_str()) {
            words.push(code.as_str());
        }
    }
    by_status
}

fn problem_response(description: &str, problem: &Schema) -> Value {
    let examples = examples::reference("Problem");
    json!({
        "description": description,
        "content": { ProblemDetails::MEDIA_TYPE: { "schema": problem, "examples": examples } },
    })
}

/// JSON of a schema, with the example for this place or, without one, that of the schema.
fn json_content(place: &str, schema: &Schema) -> Value {
    let mut content = json!({ "schema": schema });
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|it| it.rsplit('/').next());
    let example = [Some(place), name].into_iter().flatten().find(|name| examples::has(name));
    if let (Some(name), Some(fields)) = (example, content.as_object_mut()) {
        fields.insert("examples".to_owned(), examples::reference(name));
    }
    content
}

/// Bytes or text of a media type. Generators know `format: binary`.
fn bytes_content(media_type: &str) -> Value {
    if media_type.starts_with("text/") || media_type == METRICS_MEDIA_TYPE {
        json!({ "schema": { "type": "string" } })
    } else if media_type == "application/json" {
        json!({ "schema": { "description": "Any JSON." } })
    } else {
        json!({ "schema": { "type": "string", "format": "binary" } })
    }
}

/// Adds another form of the same answer.
fn add_form(response: &mut Value, other: Value) {
    let content = response.get_mut("content").and_then(Value::as_object_mut);
    if let (Some(content), Value::Object(mut other)) = (content, other) {
        let more = other.remove("content");
        content.extend(more.as_ref().and_then(Value::as_object).cloned().unwrap_or_default());
    }
}

fn response(route: &Route, answer: &Answer, generator: &mut SchemaGenerator) -> Value {
    let mut response = json!({ "description": answer.says });
    let content = match answer.media {
        Media::None => None,
        Media::Json(schema) => {
            let place = format!("{}.{}", route.id, answer.status);
            let content = json_content(&place, &schema(generator));
            Some(json!({ "application/json": content }))
        }
        Media::Bytes(media_type) => Some(json!({ media_type: bytes_content(media_type) })),
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
    let (is_required, schema) = match route.body {
        Body::None => return None,
        Body::Json(schema) => (true, schema),
        Body::MaybeJson(schema) => (false, schema),
        Body::Bytes(media_type) => {
            let mut body = json!({
                "required": true,
                "description": format!("Sent as {media_type} or {ANY_BYTES}."),
                "content": { ANY_BYTES: bytes_content(ANY_BYTES) },
            });
            // A generator that does not know a media type leaves the whole route out.
            if let (true, Some(content)) =
                (media_type == "application/json", body.get_mut("content"))
            {
                content[media_type] = bytes_content(media_type);
            }
            return Some(body);
        }
    };
    let content = json_content(&format!("{}.body", route.id), &request_schema(generator, schema));
    Some(json!({ "required": is_required, "content": { "application/json": content } }))
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
    let settings = settings.for_deserialize();
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
            let mut schema = bounds::bounded(schema.clone());
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

    use jsonschema::error::ValidationErrorKind;

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

    /// All places of the document that hold JSON: route and place, and the media type's object.
    fn json_places(document: &Value) -> Vec<(String, &Value)> {
        let mut places = Vec::new();
        let paths = document["paths"].as_object().unwrap().values();
        for operation in paths.flat_map(|path| path.as_object().unwrap().values()) {
            let id = operation["operationId"].as_str().unwrap();
            let answers = operation["responses"].as_object().unwrap();
            let answers = answers.iter().map(|(status, answer)| (status.as_str(), answer));
            let body = operation.get("requestBody").map(|body| ("body", body));
            for (place, holder) in answers.chain(body) {
                for media_type in ["application/json", ProblemDetails::MEDIA_TYPE] {
                    let content =
                        holder.pointer(&format!("/content/{}", media_type.replace('/', "~1")));
                    places.extend(content.map(|content| (format!("{id}.{place}"), content)));
                }
            }
        }
        places
    }

    #[test]
    fn every_json_document_has_an_example_that_fits_its_schema() {
        let document = document();
        let mut used = BTreeSet::new();
        for (place, content) in json_places(&document) {
            // The body of a hook is its sender's, and that of a brief is covered by a digest.
            let is_raw = place.starts_with("receive_hook") || place.starts_with("put_task_brief");
            if content["schema"].get("$ref").is_none() && is_raw {
                continue;
            }
            let reference = content["examples"]["example"]["$ref"].as_str();
            let reference = reference.unwrap_or_else(|| panic!("{place} has no example"));
            let example = document.pointer(&format!("{}/value", &reference[1..])).unwrap();
            let mut schema = content["schema"].clone();
            schema["components"] = document["components"].clone();
            if used.insert((reference.to_owned(), content["schema"].to_string())) {
                let validator = jsonschema::draft202012::new(&schema).unwrap();
                // A field that was added since may be missing in an example of an answer.
                let is_new = |error: &jsonschema::ValidationError<'_>| {
                    matches!(error.kind(), ValidationErrorKind::Required { .. })
                        && !place.ends_with(".body")
                };
                let errors: Vec<String> = validator
                    .iter_errors(example)
                    .filter(|error| !is_new(error))
                    .map(|error| format!("{}: {error}", error.instance_path()))
                    .collect();
                assert!(errors.is_empty(), "{place}: {errors:#?}");
            }
        }
        let used: BTreeSet<&str> =
            used.iter().map(|(reference, _)| reference.rsplit('/').next().unwrap()).collect();
        let all = document["components"]["examples"].as_object().unwrap();
        let unused: Vec<_> = all.keys().filter(|name| !used.contains(name.as_str())).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn generators_meet_no_default_of_null_and_no_schema_that_is_true() {
        let document = document();
        let mut odd = Vec::new();
        find_odd(&document["components"]["schemas"], "#", &mut odd);
        find_odd(&document["paths"], "#", &mut odd);
        assert!(odd.is_empty(), "{odd:#?}");
    }

    fn find_odd(value: &Value, path: &str, odd: &mut Vec<String>) {
        for (name, member) in value.as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            let is_null_default = name == "default" && member.is_null();
            if is_null_default || (name == "items" && member.is_boolean()) {
                odd.push(path.clone());
            }
            let properties = (name == "properties").then_some(member).and_then(Value::as_object);
            let bare = properties.into_iter().flatten().filter(|(_, schema)| schema.is_boolean());
            odd.extend(bare.map(|(field, _)| format!("{path}/{field}")));
            find_odd(member, &path, odd);
        }
        for member in value.as_array().into_iter().flatten() {
            find_odd(member, path, odd);
        }
    }

    #[test]
    fn routes_name_the_codes_of_keys_that_the_server_sends() {
        let document = document();
        for (place, _) in json_places(&document).iter().filter(|(place, _)| place.ends_with(".401"))
        {
            let (id, _) = place.split_once('.').unwrap();
            let route = route(id).unwrap();
            let method = route.method.as_str().to_ascii_lowercase();
            let said = &document["paths"][route.path][method]["responses"]["401"]["description"];
            if route.scope.is_some() {
                assert_eq!(said, "key_missing, key_invalid, key_expired.", "{id}");
            }
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
