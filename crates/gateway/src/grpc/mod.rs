//! The run service over gRPC, beside REST on the same port.
//!
//! A call is translated into the equivalent REST request, and answered by the same router: with the
//! same authentication, checks and errors. Streams have the same frames as SSE.
//!
//! Deliberately absent: operations that REST does not have.

mod call;
mod health;
mod proto;
mod runs;
mod shape;
mod stream;

use axum::Router;
use tonic_reflection::server::Builder;

use crate::Gateway;
use proto::runs_server::RunsServer;

/// Descriptors of all services, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!("generated/runs_descriptor.bin");

/// Adds the services to the REST router.
pub(crate) fn beside(gateway: &Gateway, rest: Router) -> Router {
    let most = gateway.config().body_limit_bytes;
    let runs = RunsServer::new(runs::Service::new(gateway.clone(), rest.clone()))
        .max_decoding_message_size(most)
        .max_encoding_message_size(usize::MAX);
    let mut router = rest
        .route_service("/errand.v1.Runs/{method}", runs)
        .route_service("/grpc.health.v1.Health/{method}", health::server(gateway.clone()));
    let reflection = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Descriptors from the build are always valid.
    if let Ok(service) = reflection().build_v1() {
        router = router.route_service("/grpc.reflection.v1.ServerReflection/{method}", service);
    }
    if let Ok(service) = reflection().build_v1alpha() {
        router =
            router.route_service("/grpc.reflection.v1alpha.ServerReflection/{method}", service);
    }
    router
}
