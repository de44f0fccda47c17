//! Health checking: which services of a server are ready to answer, by the protocol `grpc.health.v1`.
//!
//! ```no_run
//! use polywire::{Server, health::{Health, ServingStatus}};
//!
//! # async fn run<S: polywire::Service>(orders: S) -> Result<(), polywire::ListenError> {
//! let (health, reporter) = Health::new();
//! reporter.set("orders.v1.Orders", ServingStatus::Serving);
//! Server::new().add(orders).add(health).listen("0.0.0.0:8080").await
//! # }
//! ```

use std::collections::BTreeMap;

use polywire_core::{BoxFuture, Call, Exchange, Method, Reply, Service, Status};
use tokio::sync::watch;

use self::v1::{
    HealthCheckRequestView, HealthCheckResponse, HealthListRequestView, HealthListResponse, HealthServer, HealthService,
};
use crate::Sender;

/// The messages, client and service of `grpc.health.v1`, as generated.
pub mod v1 {
    crate::include_proto!("grpc.health.v1");
}

pub use self::v1::health_check_response::ServingStatus;

/// The health service. Add it to a server; what it says comes from its [`HealthReporter`].
///
/// When the server begins to drain, everything becomes `NOT_SERVING` and every `Watch` ends, so that callers go elsewhere
/// and the drain does not wait for them.
#[derive(Debug)]
pub struct Health {
    server: HealthServer<Checks>,
}

/// Says how services stand. Cheap to clone; all clones speak for the same [`Health`].
#[derive(Clone, Debug)]
pub struct HealthReporter {
    statuses: watch::Sender<Statuses>,
}

#[derive(Debug)]
struct Statuses {
    /// The empty name is the server as a whole.
    by_service: BTreeMap<String, ServingStatus>,
    /// Once set, nothing serves any more.
    draining: bool,
}

/// Most services that one `List` names (gRFC A90).
const LIST_ENTRIES_MAX: usize = 100;

impl Health {
    /// The service, and the handle that sets what it says. The server as a whole is `SERVING` from the start; other services
    /// are unknown until they are set.
    pub fn new() -> (Self, HealthReporter) {
        let by_service = BTreeMap::from([(String::new(), ServingStatus::Serving)]);
        let statuses = watch::Sender::new(Statuses { by_service, draining: false });
        let checks = Checks { statuses: statuses.clone() };
        (Self { server: HealthServer::new(checks) }, HealthReporter { statuses })
    }
}

impl HealthReporter {
    /// Sets how a service stands, by its full name; the empty name is the server as a whole. Without effect once the server
    /// drains.
    pub fn set(&self, service: impl Into<String>, status: ServingStatus) {
        let service = service.into();
        self.statuses.send_if_modified(|statuses| {
            !statuses.draining && statuses.by_service.insert(service, status) != Some(status)
        });
    }

    /// Forgets a service: from now on it is unknown.
    pub fn clear(&self, service: &str) {
        self.statuses.send_if_modified(|statuses| !statuses.draining && statuses.by_service.remove(service).is_some());
    }

    /// Sets the server and all services that are known to `NOT_SERVING`. They can be set to another status again.
    pub fn set_all_not_serving(&self) {
        self.statuses.send_modify(Statuses::stop);
    }

    /// How a service stands; `None` when nothing was said about it.
    pub fn status(&self, service: &str) -> Option<ServingStatus> {
        self.statuses.borrow().by_service.get(service).copied()
    }
}

impl Statuses {
    fn stop(&mut self) {
        self.by_service.values_mut().for_each(|status| *status = ServingStatus::NotServing);
    }
}

impl Service for Health {
    fn name(&self) -> &'static str {
        self.server.name()
    }

    fn methods(&self) -> &'static [Method] {
        self.server.methods()
    }

    fn descriptors(&self) -> &'static [u8] {
        self.server.descriptors()
    }

    fn openapi(&self) -> &'static str {
        self.server.openapi()
    }

    fn drain(&self) {
        self.server.service().statuses.send_modify(|statuses| {
            statuses.stop();
            statuses.draining = true;
        });
    }

    fn call<'a>(
        &'a self,
        method: usize,
        call: &'a mut Call,
        exchange: Exchange,
    ) -> BoxFuture<'a, Result<Reply, Status>> {
        self.server.call(method, call, exchange)
    }
}

/// Answers from the statuses.
#[derive(Debug)]
struct Checks {
    statuses: watch::Sender<Statuses>,
}

impl HealthService for Checks {
    async fn check(
        &self,
        _call: &mut Call,
        request: HealthCheckRequestView<'_>,
    ) -> Result<HealthCheckResponse, Status> {
        match self.statuses.borrow().by_service.get(request.service) {
            Some(&status) => Ok(response(status)),
            None => Err(Status::not_found(format!("nothing is known about the service {:?}", request.service))),
        }
    }

    async fn list(&self, _call: &mut Call, _request: HealthListRequestView<'_>) -> Result<HealthListResponse, Status> {
        let statuses = self.statuses.borrow();
        let found = statuses.by_service.len();
        if found > LIST_ENTRIES_MAX {
            return Err(Status::resource_exhausted(format!(
                "{found} services are more than one answer names ({LIST_ENTRIES_MAX})"
            )));
        }
        let by_service = statuses.by_service.iter();
        let statuses = by_service.map(|(name, &status)| (name.clone(), response(status))).collect();
        Ok(HealthListResponse { statuses, ..Default::default() })
    }

    async fn watch(
        &self,
        _call: &mut Call,
        request: HealthCheckRequestView<'_>,
        mut responses: Sender<HealthCheckResponse>,
    ) -> Result<(), Status> {
        let mut statuses = self.statuses.subscribe();
        let mut told = None;
        loop {
            let (status, draining) = {
                let statuses = statuses.borrow_and_update();
                (statuses.by_service.get(request.service).copied(), statuses.draining)
            };
            let status = status.unwrap_or(ServingStatus::ServiceUnknown);
            if told.replace(status) != Some(status) {
                responses.send(response(status)).await?;
            }
            if draining || statuses.changed().await.is_err() {
                return Err(Status::unavailable("the server is going away"));
            }
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into(), ..Default::default() }
}
