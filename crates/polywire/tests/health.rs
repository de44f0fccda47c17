//! Health checking, as a load balancer or a supervisor sees it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shared;

use std::time::Duration;

use polywire::{
    Channel, Code, Server, ServerHandle,
    health::{
        Health, HealthReporter, ServingStatus,
        v1::{HealthCheckRequest, HealthCheckResponse, HealthClient, HealthListRequest},
    },
};
use shared::in_memory;

fn healthy() -> (ServerHandle, HealthClient, HealthReporter) {
    let (health, reporter) = Health::new();
    let (server, _echo) = in_memory(Server::new().add(health));
    let channel = Channel::in_memory(&server).build().unwrap();
    (server, HealthClient::new(channel), reporter)
}

fn service(name: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: name.to_owned(), ..Default::default() }
}

fn status(response: Option<HealthCheckResponse>) -> Option<ServingStatus> {
    response.and_then(|response| response.status.as_known())
}

#[tokio::test]
async fn the_whole_server_serves_from_the_start_and_others_are_not_found() {
    let (_server, health, reporter) = healthy();
    assert_eq!(status(health.check(service("")).await.ok()), Some(ServingStatus::Serving));
    assert_eq!(health.check(service("a.B")).await.unwrap_err().code(), Code::NotFound);
    reporter.set("a.B", ServingStatus::NotServing);
    assert_eq!(status(health.check(service("a.B")).await.ok()), Some(ServingStatus::NotServing));
    reporter.clear("a.B");
    assert_eq!(health.check(service("a.B")).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_watch_tells_the_status_and_each_change_once() {
    let (_server, health, reporter) = healthy();
    let mut watch = health.watch(service("a.B")).await.unwrap();
    assert_eq!(status(watch.next().await.unwrap()), Some(ServingStatus::ServiceUnknown));
    reporter.set("a.B", ServingStatus::Serving);
    assert_eq!(status(watch.next().await.unwrap()), Some(ServingStatus::Serving));
    reporter.set("a.B", ServingStatus::Serving);
    reporter.set("c.D", ServingStatus::Serving);
    reporter.set_all_not_serving();
    assert_eq!(status(watch.next().await.unwrap()), Some(ServingStatus::NotServing));
    reporter.clear("a.B");
    assert_eq!(status(watch.next().await.unwrap()), Some(ServingStatus::ServiceUnknown));
}

#[tokio::test]
async fn a_list_names_all_services_up_to_a_hundred() {
    let (_server, health, reporter) = healthy();
    for i in 1..100 {
        reporter.set(format!("a.S{i}"), ServingStatus::Serving);
    }
    let list = health.list(HealthListRequest::default()).await.unwrap();
    assert_eq!(list.statuses.len(), 100);
    assert_eq!(status(list.statuses.get("a.S99").cloned()), Some(ServingStatus::Serving));
    reporter.set("a.S100", ServingStatus::Serving);
    assert_eq!(health.list(HealthListRequest::default()).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn draining_turns_everything_off_and_ends_the_watches() {
    let (server, health, reporter) = healthy();
    reporter.set("a.B", ServingStatus::Serving);
    let mut watch = health.watch(service("a.B")).await.unwrap();
    assert_eq!(status(watch.next().await.unwrap()), Some(ServingStatus::Serving));
    let before = tokio::time::Instant::now();
    let drain = tokio::spawn(async move { server.drain(Duration::from_secs(60)).await });
    assert_eq!(status(watch.next().await.unwrap()), Some(ServingStatus::NotServing));
    assert_eq!(watch.next().await.unwrap_err().code(), Code::Unavailable);
    drain.await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(1), "the drain waited for a watch");
    reporter.set("a.B", ServingStatus::Serving);
    assert_eq!(reporter.status("a.B"), Some(ServingStatus::NotServing));
}
