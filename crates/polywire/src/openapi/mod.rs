//! What a server offers to plain HTTP: `/openapi.json`, an OpenAPI 3.1 document of all services, and `/docs`, a page to read it and try
//! calls.
//!
//! [`Server::with_openapi`](crate::Server::with_openapi) adds both. Each generated service brings its part of the document along; here
//! the parts are put together.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use polywire_core::Service;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::http::{Request, Response, Routes};

/// Where the document is.
pub const DOCUMENT_PATH: &str = "/openapi.json";

/// Where the page is. It looks for the document beside itself.
pub const PAGE_PATH: &str = "/docs";

/// The page, which needs nothing but the document.
static PAGE: &str = include_str!("docs.html");

/// The page may run its own script and ask its own server, nothing else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds document and page for these services.
pub(crate) fn add_to(routes: &mut Routes, services: &[Arc<dyn Service>]) {
    let document = Bytes::from(document(services.iter().map(|service| service.openapi())));
    let describe = move |request: Request| {
        let document = document.clone();
        async move { answer(&request, || Response::of("application/json", document)) }
    };
    routes.add(DOCUMENT_PATH, Arc::new(describe));
    let show = |request: Request| async move {
        answer(&request, || Response::html(PAGE).header("content-security-policy", PAGE_POLICY))
    };
    routes.add(PAGE_PATH, Arc::new(show));
}

/// The document of services, from the parts that [`Service::openapi`] gives. What is no such part is left out.
pub fn document<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut whole = Part::default();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        let Ok(part) = serde_json::from_str::<Part>(part) else { continue };
        whole.tags.extend(part.tags);
        for (path, operations) in part.paths {
            whole.paths.entry(path).or_default().extend(operations);
        }
        whole.schemas.extend(part.schemas);
    }
    let (title, version) = named_after(&whole.tags);
    let document = Document {
        openapi: "3.1.0",
        info: About { title, version },
        servers: [Place { url: "/" }],
        tags: whole.tags,
        paths: whole.paths,
        components: Components { schemas: whole.schemas },
        security: [],
    };
    serde_json::to_string(&document).unwrap_or_default()
}

fn answer(request: &Request, response: impl FnOnce() -> Response) -> Response {
    match request.method() {
        "GET" | "HEAD" => response(),
        _ => Response::new(405).header("allow", "GET, HEAD"),
    }
}

/// What one service brings along. Inside it stays as it was written.
#[derive(Default, Deserialize)]
struct Part {
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    paths: BTreeMap<String, BTreeMap<String, Box<RawValue>>>,
    #[serde(default)]
    schemas: BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize, Deserialize)]
struct Tag {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Serialize)]
struct Document {
    openapi: &'static str,
    info: About,
    servers: [Place; 1],
    tags: Vec<Tag>,
    paths: BTreeMap<String, BTreeMap<String, Box<RawValue>>>,
    components: Components,
    security: [(); 0],
}

#[derive(Serialize)]
struct About {
    title: String,
    version: String,
}

/// Where the services are, seen from the document.
#[derive(Serialize)]
struct Place {
    url: &'static str,
}

#[derive(Serialize)]
struct Components {
    schemas: BTreeMap<String, Box<RawValue>>,
}

/// Title and version: the packages of the services, and the version that all of them end in.
fn named_after(services: &[Tag]) -> (String, String) {
    let mut packages: Vec<&str> = services
        .iter()
        .map(|tag| tag.name.rsplit_once('.').map_or(tag.name.as_str(), |(package, _)| package))
        .collect();
    packages.dedup();
    let mut versions: Vec<&str> = packages.iter().filter_map(|package| package.rsplit('.').next()).collect();
    versions.dedup();
    let version = match versions[..] {
        [only] if only.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) => only,
        _ => "1",
    };
    (if packages.is_empty() { "Services".to_owned() } else { packages.join(", ") }, version.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_parts_of_services_become_one_document() {
        let parts = [
            r#"{"tags":[{"name":"a.v1.A","description":"One."}],"paths":{"/a":{"get":{"z":1,"a":2}}},"schemas":{"a.v1.M":{"type":"object"}}}"#,
            "",
            "no JSON",
            r#"{"tags":[{"name":"b.v1.B"}],"paths":{"/a":{"post":{}}},"schemas":{"a.v1.M":{"type":"object"}}}"#,
        ];
        let document = document(parts);
        assert!(document.contains(r#"{"z":1,"a":2}"#), "what is inside keeps its order: {document}");
        let document: Value = serde_json::from_str(&document).expect("it is JSON");
        assert_eq!(document["info"]["title"], "a.v1, b.v1");
        assert_eq!(document["info"]["version"], "v1");
        assert_eq!(document["paths"]["/a"].as_object().expect("it is there").len(), 2);
        assert_eq!(document["components"]["schemas"].as_object().expect("they are there").len(), 1);
    }

    #[test]
    fn a_server_describes_its_services_and_shows_them() {
        let mut routes = Routes::default();
        let (health, _) = crate::health::Health::new();
        add_to(&mut routes, &[Arc::new(health)]);
        let ask = |method: &str, path: &str| {
            let mut headers = polywire_engine::wire::Headers::new();
            headers.push(":method", method);
            let request = Request::new(Arc::new(headers), Bytes::new(), Arc::default());
            let mut answer = routes.find(path).expect("it is there").handle(request);
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            match answer.as_mut().poll(&mut cx) {
                std::task::Poll::Ready(response) => response.into_parts(false),
                std::task::Poll::Pending => panic!("it waits"),
            }
        };
        let (status, _, body) = ask("GET", "/openapi.json");
        let document: Value = serde_json::from_slice(&body).expect("it is JSON");
        assert_eq!((status, &document["tags"][0]["name"]), (200, &Value::from("grpc.health.v1.Health")));
        let (status, headers, body) = ask("GET", "/docs");
        assert!(headers.find("content-security-policy").is_some());
        assert_eq!((status, body), (200, Bytes::from_static(PAGE.as_bytes())));
        assert_eq!(ask("POST", "/docs").0, 405);
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for word in ["src=", "@import", "url(", "http://", "https://"] {
            assert!(!PAGE.contains(word), "{word}");
        }
    }
}
