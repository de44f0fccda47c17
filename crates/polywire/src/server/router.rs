use std::{collections::HashMap, sync::Arc};

use polywire_core::{BoxFuture, Call, Exchange, Handler, Method, Outgoing, Reply, Service, Status};

use super::calls::chosen_compression;
use crate::{
    http,
    message::{open_envelope, plain},
};

/// Finds the handler for a path.
pub(crate) struct Router {
    services: Vec<Arc<dyn Service>>,
    routes: HashMap<&'static str, Arc<Route>>,
}

/// One method of one service.
pub(crate) struct Route {
    service: Arc<dyn Service>,
    index: usize,
    spawn: bool,
}

impl Router {
    pub(crate) fn new(services: Vec<Arc<dyn Service>>, spawn_always: &[&'static str]) -> Self {
        let mut routes = HashMap::new();
        for service in &services {
            let spawn = spawn_always.contains(&service.name());
            for (index, method) in service.methods().iter().enumerate() {
                routes.insert(method.path(), Arc::new(Route { service: Arc::clone(service), index, spawn }));
            }
        }
        Self { services, routes }
    }

    /// Tells all services that the server begins to drain.
    pub(crate) fn drain(&self) {
        for service in &self.services {
            service.drain();
        }
    }

    /// The route of a path, or the status that says what is unknown about it.
    pub(crate) fn find(&self, path: &str) -> Result<&Arc<Route>, Status> {
        self.routes.get(path).ok_or_else(|| self.explain(path))
    }

    /// What is said to a request that is neither a call nor has a handler.
    pub(crate) fn explain_http(&self, request: &http::Request) -> http::Response {
        if !self.routes.contains_key(request.path()) {
            return http::Response::text("There is nothing here.\n").status(404);
        }
        if request.method() != "POST" {
            let text =
                "A call is made by POST; by GET only in the Connect protocol, with its parameters in the query.\n";
            return http::Response::text(text).status(405).header("allow", "POST");
        }
        if request.header("content-type").is_some_and(|kind| kind.starts_with("application/grpc")) {
            return http::Response::text("gRPC needs HTTP/2; over HTTP/1.1 use gRPC-Web or Connect.\n").status(505);
        }
        const ACCEPTS: &str = "application/grpc, application/grpc-web, application/connect+proto, \
            application/connect+json, application/proto, application/json";
        let text = format!("{} takes these content types: {ACCEPTS}\n", request.path());
        http::Response::text(text).status(415).header("accept-post", ACCEPTS)
    }

    fn explain(&self, path: &str) -> Status {
        let (service, method) = path.strip_prefix('/').unwrap_or(path).rsplit_once('/').unwrap_or((path, ""));
        if self.services.iter().any(|known| known.name() == service) {
            Status::unimplemented(format!("service {service} has no method {method:?}"))
        } else {
            Status::unimplemented(format!("there is no service {service:?} here"))
        }
    }
}

impl Route {
    pub(crate) fn method(&self) -> &'static Method {
        &self.service.methods()[self.index]
    }

    /// Whether the handler gets a task of its own at once.
    pub(crate) fn spawn(&self) -> bool {
        self.spawn
    }
}

impl Handler for Route {
    fn call<'a>(&'a self, call: &'a mut Call, mut exchange: Exchange) -> BoxFuture<'a, Result<Reply, Status>> {
        if exchange.responses.is_inspected() && exchange.responses.as_queue().is_none() {
            let inspected = std::mem::replace(&mut exchange.responses, Outgoing::none());
            return Box::pin(self.call_inspected(call, exchange, inspected));
        }
        self.service.call(self.index, call, exchange)
    }
}

impl Route {
    /// Shows the one response to the interceptors that asked for it: only those of a stream pass a queue.
    async fn call_inspected(
        &self,
        call: &mut Call,
        exchange: Exchange,
        mut inspected: Outgoing,
    ) -> Result<Reply, Status> {
        let reply = self.service.call(self.index, call, exchange).await?;
        if let Reply::Message(response) = &reply {
            let response = open_envelope(response.clone(), chosen_compression(call))?;
            inspected.show(&plain(response, usize::MAX)?)?;
        }
        Ok(reply)
    }
}
