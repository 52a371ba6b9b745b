//! The run service over gRPC, beside REST on the same port.
//!
//! A call becomes the request of REST that does the same, answered by the same router: the same
//! guard, the same checks, the same errors. What is left to do here is shape. Streams are the ones
//! that SSE tells, frame by frame.
//!
//! Deliberately absent: anything that REST cannot do.

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

/// The descriptors of everything that is served, for reflection.
const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("runs_descriptor");

/// Adds the services to a router that answers REST.
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
    // Descriptors that were made by the build can be read.
    if let Ok(service) = reflection().build_v1() {
        router = router.route_service("/grpc.reflection.v1.ServerReflection/{method}", service);
    }
    if let Ok(service) = reflection().build_v1alpha() {
        router =
            router.route_service("/grpc.reflection.v1alpha.ServerReflection/{method}", service);
    }
    router
}
