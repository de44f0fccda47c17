//! Which pages of other origins may call: the headers by which a server tells browsers (Fetch standard, "CORS protocol").
//!
//! A browser lets a page read the answer of another origin, or send more than a plain form to it, only when the server says so.
//! It asks beforehand with OPTIONS (the preflight) for everything a call needs: a content type of its own, metadata,
//! methods like PUT. Nothing here protects a server from callers that are no browsers.

use std::{error::Error, fmt, time::Duration};

use crate::wire::Headers;

/// Which pages may call a server from a browser.
///
/// Without one nothing changes for pages of the server's own origin and callers that are no browsers; all others are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsPolicy {
    origins: Origins,
    allow_headers: String,
    expose_headers: Vec<String>,
    max_age: Duration,
    credentials: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origins {
    Any,
    Listed(Vec<String>),
}

impl CorsPolicy {
    /// How long a browser may remember the answer to a preflight. Two hours, the most that Chromium does.
    pub const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

    /// Only pages of the server's own origin.
    pub fn same_origin() -> Self {
        Self::of(Origins::Listed(Vec::new()))
    }

    /// Pages of any origin, without credentials: what anybody may ask who reaches the server anyway.
    pub fn any() -> Self {
        Self::of(Origins::Any)
    }

    /// Pages of these origins, each `scheme://host` or `scheme://host:port` as browsers write them.
    ///
    /// # Errors
    /// When one is no origin.
    pub fn origins<S: AsRef<str>>(origins: impl IntoIterator<Item = S>) -> Result<Self, InvalidOrigin> {
        let listed = origins.into_iter().map(|origin| normalized(origin.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self::of(Origins::Listed(listed)))
    }

    fn of(origins: Origins) -> Self {
        Self {
            origins,
            allow_headers: REQUEST_HEADERS.join(", "),
            expose_headers: Vec::new(),
            max_age: Self::MAX_AGE,
            credentials: false,
        }
    }

    /// Lets pages send these headers as well: the metadata of the application. What the protocols need, `authorization` and
    /// `content-type` are allowed already.
    #[must_use]
    pub fn allow_headers<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        for name in names {
            self.allow_headers.push_str(", ");
            self.allow_headers.push_str(&name.as_ref().to_ascii_lowercase());
        }
        self
    }

    /// Lets pages read these headers as well. The status and all that an answer begins with are shown already.
    #[must_use]
    pub fn expose_headers<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.expose_headers.extend(names.into_iter().map(|name| name.as_ref().to_ascii_lowercase()));
        self
    }

    /// Whether pages of other origins are all refused.
    pub fn is_same_origin(&self) -> bool {
        matches!(&self.origins, Origins::Listed(listed) if listed.is_empty())
    }

    /// How long a browser may remember the answer to a preflight.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Lets pages of the listed origins send cookies and client certificates. Without effect with [`any`](Self::any): every
    /// page of the world could act for whoever visits it.
    #[must_use]
    pub fn credentials(mut self, credentials: bool) -> Self {
        self.credentials = credentials;
        self
    }

    /// Whether pages of this origin may call.
    pub fn allows(&self, origin: &[u8]) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::Listed(listed) => listed.iter().any(|listed| origin.eq_ignore_ascii_case(listed.as_bytes())),
        }
    }

    /// The whole answer, if the request is a preflight: 204 with what is allowed, or 403 for a page that may not call.
    ///
    /// A method or a header that is not allowed is no reason for 403: the browser compares, and can tell the page's author
    /// which it is.
    pub fn preflight(&self, request: &Headers) -> Option<Headers> {
        if request.find(":method") != Some(b"OPTIONS") {
            return None;
        }
        let origin = request.find("origin")?;
        // Without it an OPTIONS is an ordinary request.
        request.find("access-control-request-method")?;
        let mut response = Headers::new();
        if self.allows(origin) {
            response.push(":status", "204");
            self.allow_origin(origin, &mut response);
            response.push("access-control-allow-methods", METHODS);
            response.push("access-control-allow-headers", &self.allow_headers);
            response.push("access-control-max-age", self.max_age.as_secs().to_string());
        } else {
            response.push(":status", "403");
            response.push("content-length", "0");
        }
        response.push("vary", "origin, access-control-request-method, access-control-request-headers");
        Some(response)
    }

    /// Adds to the head of a response what lets a page of another origin read it, if it may.
    pub fn apply(&self, request: &Headers, response: &mut Headers) {
        if self.is_same_origin() {
            return;
        }
        if self.origins != Origins::Any {
            // Also for those who may not read it: a cache must not give their answer to others.
            response.push("vary", "origin");
        }
        let Some(origin) = request.find("origin").filter(|origin| self.allows(origin)) else { return };
        let mut exposed = EXPOSED_HEADERS.join(", ");
        for name in &self.expose_headers {
            exposed.push_str(", ");
            exposed.push_str(name);
        }
        for (name, _) in response.iter() {
            // A page may read these without being allowed to, or not at all.
            let known = SAFE_HEADERS.iter().chain(EXPOSED_HEADERS).any(|known| known.as_bytes() == name);
            if !known
                && !name.starts_with(b":")
                && let Ok(name) = std::str::from_utf8(name)
            {
                exposed.push_str(", ");
                exposed.push_str(name);
            }
        }
        self.allow_origin(origin, response);
        response.push("access-control-expose-headers", exposed);
    }

    fn allow_origin(&self, origin: &[u8], response: &mut Headers) {
        match &self.origins {
            Origins::Any => response.push("access-control-allow-origin", "*"),
            Origins::Listed(_) => {
                response.push("access-control-allow-origin", origin);
                if self.credentials {
                    response.push("access-control-allow-credentials", "true");
                }
            }
        }
    }
}

impl Default for CorsPolicy {
    fn default() -> Self {
        Self::same_origin()
    }
}

/// What should be an origin is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin {
    origin: String,
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no origin: scheme://host or scheme://host:port is expected, without a path", self.origin)
    }
}

impl Error for InvalidOrigin {}

/// The origin as browsers write it: lower case, without the port that the scheme has anyway.
fn normalized(origin: &str) -> Result<String, InvalidOrigin> {
    let invalid = || InvalidOrigin { origin: origin.to_owned() };
    let lower = origin.to_ascii_lowercase();
    let (scheme, host) = lower.split_once("://").ok_or_else(invalid)?;
    let scheme_is_good = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let host_is_good = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    if scheme.is_empty() || host.is_empty() || !scheme_is_good || !host_is_good {
        return Err(invalid());
    }
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    Ok(format!("{scheme}://{}", host.strip_suffix(default_port).unwrap_or(host)))
}

/// What Connect, gRPC-Web and the REST form are called by.
const METHODS: &str = "DELETE, GET, HEAD, PATCH, POST, PUT";

/// What pages may send: the headers of Connect and gRPC-Web, and what nearly every call wants.
const REQUEST_HEADERS: &[&str] = &[
    "authorization",
    "connect-accept-encoding",
    "connect-content-encoding",
    "connect-protocol-version",
    "connect-timeout-ms",
    "content-encoding",
    "content-type",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-timeout",
    "x-grpc-web",
    "x-user-agent",
];

/// What pages may read of every answer.
const EXPOSED_HEADERS: &[&str] = &[
    "connect-accept-encoding",
    "connect-content-encoding",
    "content-encoding",
    "grpc-encoding",
    "grpc-message",
    "grpc-status",
    "grpc-status-details-bin",
];

/// What pages may read anyway (Fetch standard, "CORS-safelisted response-header name"), never, or have no use for.
const SAFE_HEADERS: &[&str] = &[
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "date",
    "expires",
    "last-modified",
    "pragma",
    "set-cookie",
    "vary",
];

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "https://shop.example.org";

    fn request(method: &str, origin: Option<&str>) -> Headers {
        let mut headers: Headers = [(":method", method), (":path", "/a.B/C")].into_iter().collect();
        if let Some(origin) = origin {
            headers.push("origin", origin);
        }
        headers
    }

    fn preflight_of(origin: &str) -> Headers {
        let mut headers = request("OPTIONS", Some(origin));
        headers.push("access-control-request-method", "POST");
        headers.push("access-control-request-headers", "content-type,connect-protocol-version");
        headers
    }

    fn text<'a>(headers: &'a Headers, name: &str) -> &'a str {
        headers.find(name).map_or("", |value| std::str::from_utf8(value).unwrap())
    }

    #[test]
    fn without_a_policy_no_page_of_another_origin_may_call() {
        let policy = CorsPolicy::default();
        let answer = policy.preflight(&preflight_of(SHOP)).unwrap();
        assert_eq!(text(&answer, ":status"), "403");
        assert_eq!(answer.find("access-control-allow-origin"), None);
        let mut response = Headers::new();
        policy.apply(&request("POST", Some(SHOP)), &mut response);
        assert!(response.is_empty());
    }

    #[test]
    fn a_listed_origin_is_named_in_the_answer_and_no_other() {
        let policy = CorsPolicy::origins([SHOP, "http://localhost:5173"]).unwrap();
        let answer = policy.preflight(&preflight_of(SHOP)).unwrap();
        assert_eq!(text(&answer, ":status"), "204");
        assert_eq!(text(&answer, "access-control-allow-origin"), SHOP);
        assert_eq!(text(&answer, "access-control-max-age"), "7200");
        assert!(text(&answer, "vary").starts_with("origin"));
        assert_eq!(answer.find("access-control-allow-credentials"), None);
        for stranger in ["https://shop.example.org.evil.net", "http://shop.example.org", "null", "https://example.org"]
        {
            let answer = policy.preflight(&preflight_of(stranger)).unwrap();
            assert_eq!(text(&answer, ":status"), "403", "{stranger}");
            let mut response = Headers::new();
            policy.apply(&request("POST", Some(stranger)), &mut response);
            assert_eq!(response.iter().collect::<Vec<_>>(), [(&b"vary"[..], &b"origin"[..])], "{stranger}");
        }
    }

    #[test]
    fn every_header_of_the_protocols_may_be_sent_and_more_if_allowed() {
        let policy = CorsPolicy::any().allow_headers(["X-Trace"]);
        let answer = policy.preflight(&preflight_of(SHOP)).unwrap();
        assert_eq!(text(&answer, "access-control-allow-origin"), "*");
        let allowed: Vec<_> = text(&answer, "access-control-allow-headers").split(", ").collect();
        for name in ["content-type", "connect-timeout-ms", "x-grpc-web", "grpc-timeout", "authorization", "x-trace"] {
            assert!(allowed.contains(&name), "{name}");
        }
        assert!(text(&answer, "access-control-allow-methods").split(", ").any(|method| method == "PATCH"));
    }

    #[test]
    fn what_is_no_preflight_goes_on() {
        let policy = CorsPolicy::any();
        let mut post = preflight_of(SHOP);
        assert!(policy.preflight(&post).is_some());
        post = post.iter().map(|(name, value)| (name, if name == b":method" { b"POST" } else { value })).collect();
        assert_eq!(policy.preflight(&post), None);
        assert_eq!(policy.preflight(&request("OPTIONS", Some(SHOP))), None);
        assert_eq!(policy.preflight(&request("OPTIONS", None)), None);
    }

    #[test]
    fn a_page_may_read_the_status_and_the_metadata_of_an_answer() {
        let policy = CorsPolicy::any().expose_headers(["Etag"]);
        let mut response: Headers =
            [(":status", "200"), ("content-type", "application/proto"), ("x-trace", "7"), ("grpc-status", "0")]
                .into_iter()
                .collect();
        policy.apply(&request("POST", Some(SHOP)), &mut response);
        assert_eq!(text(&response, "access-control-allow-origin"), "*");
        assert_eq!(response.find("vary"), None, "the answer is the same for all");
        let exposed: Vec<_> = text(&response, "access-control-expose-headers").split(", ").collect();
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-trace", "etag"] {
            assert_eq!(exposed.iter().filter(|exposed| **exposed == name).count(), 1, "{name}");
        }
        assert!(!exposed.contains(&":status") && !exposed.contains(&"content-type"));
        let mut untouched = Headers::new();
        policy.apply(&request("POST", None), &mut untouched);
        assert!(untouched.is_empty(), "a caller that is no page");
    }

    #[test]
    fn credentials_are_for_listed_origins_only() {
        let listed = CorsPolicy::origins([SHOP]).unwrap().credentials(true);
        let answer = listed.preflight(&preflight_of(SHOP)).unwrap();
        assert_eq!(text(&answer, "access-control-allow-credentials"), "true");
        let mut response = Headers::new();
        listed.apply(&request("GET", Some(SHOP)), &mut response);
        assert_eq!(text(&response, "access-control-allow-credentials"), "true");
        let answer = CorsPolicy::any().credentials(true).preflight(&preflight_of(SHOP)).unwrap();
        assert_eq!(answer.find("access-control-allow-credentials"), None);
        assert_eq!(text(&answer, "access-control-allow-origin"), "*");
    }

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        let policy = CorsPolicy::origins(["HTTPS://Shop.Example.org:443", "http://[::1]:8080"]).unwrap();
        assert!(policy.allows(SHOP.as_bytes()));
        assert!(policy.allows(b"http://[::1]:8080"));
        for bad in
            ["shop.example.org", "https://", "https://a/b", "https://a.org/", "*", "", "ht tp://a", "https://a b"]
        {
            assert_eq!(CorsPolicy::origins([bad]), Err(InvalidOrigin { origin: bad.to_owned() }));
        }
    }
}
