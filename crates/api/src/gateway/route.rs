//! A route of the gateway as data: method, path, scope, parameters, bodies, answers and errors.

use schemars::{JsonSchema, Schema, SchemaGenerator};

pub use crate::access::KeyScope;
use crate::error_code::ErrorCode;

/// The media type of bytes of which nothing is said: what a route takes besides its own.
pub const ANY_BYTES: &str = "application/octet-stream";

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Looks; changes nothing.
    Get,
    /// Does something.
    Post,
    /// Puts something in a place.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// As it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Makes the schema of a type, as a reference to where the document has it.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`.
pub fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Body of a request.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// Nothing; what comes all the same is not read.
    None,
    /// JSON of that schema.
    Json(SchemaOf),
    /// JSON of that schema, or no body.
    MaybeJson(SchemaOf),
    /// Bytes of that media type.
    Bytes(&'static str),
}

impl Body {
    /// JSON that is a `T`.
    pub const fn json<T: JsonSchema>() -> Self {
        Self::Json(schema_of::<T>)
    }

    /// JSON that is a `T`, or nothing, which is the same as `{}`.
    pub const fn maybe_json<T: JsonSchema>() -> Self {
        Self::MaybeJson(schema_of::<T>)
    }
}

/// An answer that is no problem.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Description of the case.
    pub says: &'static str,
    /// Body of the answer.
    pub media: Media,
    /// Headers that it has.
    pub headers: &'static [Header],
}

/// Body of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Media {
    /// Nothing.
    None,
    /// JSON of that schema.
    Json(SchemaOf),
    /// Bytes or text of that media type.
    Bytes(&'static str),
}

impl Answer {
    /// JSON that is a `T`.
    pub const fn json<T: JsonSchema>(status: u16, says: &'static str) -> Self {
        Self { status, says, media: Media::Json(schema_of::<T>), headers: &[] }
    }

    /// Bytes or text.
    pub const fn bytes(status: u16, media_type: &'static str, says: &'static str) -> Self {
        Self { status, says, media: Media::Bytes(media_type), headers: &[] }
    }

    /// No body.
    pub const fn empty(status: u16, says: &'static str) -> Self {
        Self { status, says, media: Media::None, headers: &[] }
    }

    /// With these headers.
    #[must_use]
    pub const fn with(mut self, headers: &'static [Header]) -> Self {
        self.headers = headers;
        self
    }
}

/// A header of a request or an answer; a string.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Its name.
    pub name: &'static str,
    /// Description of the header.
    pub says: &'static str,
}

/// A route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its name in the document and in the list of handlers: verb and noun.
    pub id: &'static str,
    /// The method.
    pub method: Method,
    /// The path, with names of parameters in braces.
    pub path: &'static str,
    /// Description in one line.
    pub says: &'static str,
    /// Required scope of the caller's key; `None`: no key is required.
    pub scope: Option<KeyScope>,
    /// The type whose fields are the parameters of the query; `None`: it has none.
    pub query: Option<SchemaOf>,
    /// Headers that it looks at.
    pub headers: &'static [Header],
    /// Body of the request.
    pub body: Body,
    /// Answers to a successful request.
    pub answers: &'static [Answer],
    /// The problems that are its own. Those that any route has go without saying.
    pub errors: &'static [ErrorCode],
}

impl Route {
    /// A route for `scope`, without query and body.
    pub const fn new(
        id: &'static str,
        method: Method,
        path: &'static str,
        scope: KeyScope,
    ) -> Self {
        Self {
            id,
            method,
            path,
            says: "",
            scope: Some(scope),
            query: None,
            headers: &[],
            body: Body::None,
            answers: &[],
            errors: &[],
        }
    }

    /// Anyone may ask.
    #[must_use]
    pub const fn open(mut self) -> Self {
        self.scope = None;
        self
    }

    /// Sets the description in one line.
    #[must_use]
    pub const fn says(mut self, says: &'static str) -> Self {
        self.says = says;
        self
    }

    /// The parameters of the query are the fields of `T`, which denies unknown ones.
    #[must_use]
    pub const fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(schema_of::<T>);
        self
    }

    /// Headers that it looks at.
    #[must_use]
    pub const fn headers(mut self, headers: &'static [Header]) -> Self {
        self.headers = headers;
        self
    }

    /// Sets the body of the request.
    #[must_use]
    pub const fn takes(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Sets the answers to a successful request.
    #[must_use]
    pub const fn answers(mut self, answers: &'static [Answer]) -> Self {
        self.answers = answers;
        self
    }

    /// The problems that are its own.
    #[must_use]
    pub const fn errors(mut self, errors: &'static [ErrorCode]) -> Self {
        self.errors = errors;
        self
    }
}

/// Routes that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    /// Its name in the document.
    pub name: &'static str,
    /// Description of the area.
    pub says: &'static str,
    /// Its routes.
    pub routes: &'static [Route],
}
