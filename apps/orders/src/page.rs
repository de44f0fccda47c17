//! The page: three files, built from `page/` and part of the program.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use polywire::Server;
use polywire::http::{Request, Response};

/// What the page may load and reach: what comes from here, and the picture that stands in the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds the page at `/`.
pub(crate) fn mount(server: Server) -> Server {
    let index = file("text/html; charset=utf-8", include_str!("../page/dist/index.html"));
    let script = file("text/javascript; charset=utf-8", include_str!("../page/dist/page.js"));
    let style = file("text/css; charset=utf-8", include_str!("../page/dist/page.css"));
    server.route("/", index).route("/page.js", script).route("/page.css", style)
}

/// The handler of one file. The names stay when the content changes, so a browser asks each time, and is told when what it has is
/// still right.
fn file(content_type: &'static str, content: &'static str) -> impl polywire::http::Handler {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    move |request: Request| {
        let response = match request.method() {
            "GET" | "HEAD" if request.header("if-none-match") == Some(&tag) => Response::new(304),
            "GET" | "HEAD" => Response::of(content_type, content),
            _ => Response::new(405).header("allow", "GET, HEAD"),
        };
        let response = response
            .header("etag", tag.clone())
            .header("cache-control", "no-cache")
            .header("content-security-policy", POLICY)
            .header("referrer-policy", "no-referrer")
            .header("x-content-type-options", "nosniff");
        async move { response }
    }
}
