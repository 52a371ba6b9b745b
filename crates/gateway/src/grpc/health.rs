//! `grpc.health.v1.Health`: serving, until the gateway shuts down.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::Gateway;

/// Services whose health can be queried; the empty name is the whole server.
const SERVICES: [&str; 3] = ["", "errand.v1.Runs", "grpc.health.v1.Health"];

/// The health service.
#[derive(Debug)]
pub(super) struct Service {
    gateway: Gateway,
}

/// Returns the service for the router.
pub(super) fn server(gateway: Gateway) -> HealthServer<Service> {
    HealthServer::new(Service { gateway })
}

impl Service {
    fn check_name(request: &HealthCheckRequest) -> Result<(), Status> {
        if SERVICES.contains(&request.service.as_str()) {
            return Ok(());
        }
        Err(Status::not_found(format!("there is no service {:?}", request.service)))
    }

    fn answer(&self) -> HealthCheckResponse {
        let closing = self.gateway.is_closing();
        let status = if closing { ServingStatus::NotServing } else { ServingStatus::Serving };
        HealthCheckResponse { status: status.into() }
    }
}

#[tonic::async_trait]
impl Health for Service {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Self::check_name(request.get_ref())?;
        Ok(Response::new(self.answer()))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Self::check_name(request.get_ref())?;
        let gateway = self.gateway.clone();
        let last = stream::once(async move {
            gateway.closing().await;
            Ok(HealthCheckResponse { status: ServingStatus::NotServing.into() })
        });
        let all = stream::once(std::future::ready(Ok(self.answer()))).chain(last);
        Ok(Response::new(Box::pin(all)))
    }
}
