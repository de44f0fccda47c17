//! REST: calls as JSON over HTTP, by the annotation `google.api.http`.
//!
//! A verb and a path lead to a rule ([`Routes`]). What the path, the query and the body say becomes the JSON text of the
//! request message ([`Request`]); what the handler answers becomes the body of an HTTP response ([`Answer`]). Nothing here
//! knows Protobuf: the rule brings a table of the request's fields.

mod answer;
mod assemble;
mod bindings;
mod client;
mod json;
mod lines;
mod near;
mod percent;
mod request;
mod routes;

pub use answer::{Answer, DetailJson, Output, http_status};
pub use client::{ClientRequest, ReadDetail, answer_message, answer_status, client_request};
pub(crate) use client::{answer_head, request_headers};
pub use lines::Lines;
pub use request::{Reading, Refusal, Request};
pub use routes::{NoRoute, Route, RouteError, Routes};

#[cfg(test)]
mod tests;
