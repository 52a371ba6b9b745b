//! The types of `proto/errand/v1/runs.proto`.

#![expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::doc_markdown,
    clippy::large_enum_variant,
    clippy::too_many_lines,
    unreachable_pub,
    unused_qualifications,
    reason = "the build makes them"
)]

tonic::include_proto!("errand.v1");
