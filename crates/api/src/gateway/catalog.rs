//! Definitions of the catalog.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agent::PageQuery;
use super::route::{Answer, Area, Body, KeyScope, Method, Route};
use crate::catalog::{
    CatalogApplied, CatalogBatch, CatalogChange, CatalogItem, CatalogManifest, CatalogPage,
};
use crate::error_code::ErrorCode;

/// Version that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DefinitionQuery {
    /// A version, counted from 1; by default the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub version: Option<u64>,
}

/// Way of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeletionQuery {
    /// True to delete a definition that others refer to.
    pub force: bool,
}

const REFUSED: &[ErrorCode] = &[
    ErrorCode::ManifestInvalid,
    ErrorCode::DefinitionReadOnly,
    ErrorCode::TooManyDefinitions,
    ErrorCode::ChangedMeanwhile,
];

/// Routes about the catalog.
pub const AREA: Area = Area {
    name: "catalog",
    says: "Skills, configs and other definitions that runs refer to by name.",
    routes: &[
        Route::new("apply_catalog", Method::Post, "/v1/catalog", KeyScope::Catalog)
            .says("Applies manifests: all of them, or none.")
            .takes(Body::json::<CatalogBatch>())
            .answers(&[Answer::json::<CatalogApplied>(200, "What became of each.")])
            .errors(REFUSED),
        Route::new("list_definitions", Method::Get, "/v1/catalog/{kind}", KeyScope::Catalog)
            .says("Lists definitions of a kind by name.")
            .query::<PageQuery>()
            .answers(&[Answer::json::<CatalogPage>(200, "A page of them.")])
            .errors(&[ErrorCode::ManifestInvalid]),
        Route::new("get_definition", Method::Get, "/v1/catalog/{kind}/{name}", KeyScope::Catalog)
            .says("A definition with its manifest.")
            .query::<DefinitionQuery>()
            .answers(&[Answer::json::<CatalogItem>(200, "The definition.")])
            .errors(&[ErrorCode::DefinitionNotFound, ErrorCode::ManifestInvalid]),
        Route::new("put_definition", Method::Put, "/v1/catalog/{kind}/{name}", KeyScope::Catalog)
            .says("Makes a definition, or a new version of it.")
            .takes(Body::json::<CatalogManifest>())
            .answers(&[
                Answer::json::<CatalogChange>(201, "It is made."),
                Answer::json::<CatalogChange>(200, "It has a new version, or is unchanged."),
            ])
            .errors(REFUSED),
        Route::new(
            "delete_definition",
            Method::Delete,
            "/v1/catalog/{kind}/{name}",
            KeyScope::Catalog,
        )
        .says("Deletes a definition; runs that use a version of it keep that.")
        .query::<DeletionQuery>()
        .answers(&[Answer::empty(204, "It is deleted.")])
        .errors(&[
            ErrorCode::DefinitionNotFound,
            ErrorCode::DefinitionInUse,
            ErrorCode::DefinitionReadOnly,
            ErrorCode::ManifestInvalid,
            ErrorCode::ChangedMeanwhile,
        ]),
    ],
};
