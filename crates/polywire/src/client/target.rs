use std::{fmt, path::PathBuf};

use polywire_core::Protocol;

use crate::transport::memory::MemoryTarget;

/// What a channel is asked to reach.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) place: Place,
    /// What goes into `:authority`.
    pub(crate) authority: String,
    /// Whether the target's scheme asks for TLS.
    pub(crate) tls: bool,
    /// Which wire it asks for.
    pub(crate) wire: WireChoice,
    /// How calls are written.
    pub(crate) protocol: Protocol,
    /// gRPC-Web in base64.
    pub(crate) text_form: bool,
    /// Where a WebSocket is opened.
    pub(crate) path: String,
}

/// Which wire a target asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireChoice {
    /// HTTP/1.1, or under TLS whichever the server prefers.
    Http,
    /// HTTP/2, also without TLS.
    Http2,
    /// polywire's own frames.
    Native,
    /// polywire's own frames in WebSocket messages, at this path.
    WebSocket,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Host and port, resolved by the system's resolver; or several addresses to be tried in order.
    Tcp(Vec<(String, u16)>),
    Unix(PathBuf),
    Memory(MemoryTarget),
}

/// A target that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTarget {
    target: String,
    reason: &'static str,
}

impl Target {
    /// A place that is reached by gRPC over HTTP/2 without TLS.
    pub(crate) fn new(place: Place, authority: String) -> Self {
        Self {
            place,
            authority,
            tls: false,
            wire: WireChoice::Http2,
            protocol: Protocol::Grpc,
            text_form: false,
            path: "/".to_owned(),
        }
    }

    /// Reads a target as gRPC's naming page describes it: `dns:///host:port` (also without the scheme), `unix:path`,
    /// `ipv4:a:port,b:port`, `ipv6:[a]:port`, and `http://` or `https://` as people write them. A word in front of the scheme
    /// chooses the protocol: `connect+https://`, `grpc-web+http://`, `grpc-web-text+http://`, `rest+http://`; `native://`, `native+tls://`, `native+unix:`, `ws://` and
    /// `wss://` choose wire and protocol.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidTarget> {
        let invalid = |reason| InvalidTarget { target: text.to_owned(), reason };
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let (protocol, wire, place) = match scheme.split_once('+') {
            Some((word @ ("connect" | "grpc-web" | "grpc-web-text" | "rest"), "h2c")) => {
                (of_word(word), WireChoice::Http2, format!("http:{}", &text[scheme.len() + 1..]))
            }
            Some((word @ ("connect" | "grpc-web" | "grpc-web-text" | "rest"), "http" | "https")) => {
                (of_word(word), WireChoice::Http, text[word.len() + 1..].to_owned())
            }
            Some((word @ ("connect" | "grpc-web" | "grpc-web-text" | "rest"), _)) => {
                (of_word(word), WireChoice::Http2, text[word.len() + 1..].to_owned())
            }
            Some(("native", "tls")) => {
                (Protocol::Native, WireChoice::Native, format!("https:{}", &text[scheme.len() + 1..]))
            }
            Some(("native", "unix")) => (Protocol::Native, WireChoice::Native, text["native+".len()..].to_owned()),
            _ => match scheme {
                "native" => (Protocol::Native, WireChoice::Native, format!("http:{}", &text[scheme.len() + 1..])),
                "ws" => (Protocol::Native, WireChoice::WebSocket, format!("http:{}", &text[scheme.len() + 1..])),
                "wss" => (Protocol::Native, WireChoice::WebSocket, format!("https:{}", &text[scheme.len() + 1..])),
                _ => (Protocol::Grpc, WireChoice::Http2, text.to_owned()),
            },
        };
        let target = Self::parse_place(&place).map_err(|error| invalid(error.reason))?;
        let behind = text.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        let path = behind.map_or_else(|| "/".to_owned(), |(_, path)| format!("/{path}"));
        let text_form = scheme.starts_with("grpc-web-text+");
        Ok(Self { wire, protocol, text_form, path, ..target })
    }

    fn parse_place(text: &str) -> Result<Self, InvalidTarget> {
        let invalid = |reason| InvalidTarget { target: text.to_owned(), reason };
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme @ ("dns" | "http" | "https" | "ipv4" | "ipv6" | "unix" | "unix-abstract"), rest)) => {
                (scheme, rest)
            }
            Some((_, rest)) if rest.starts_with("//") => {
                return Err(invalid(
                    "unknown scheme; known are dns, http, https, ipv4, ipv6, unix, native, native+tls, native+unix, ws, wss, and \
                     connect+, grpc-web+, grpc-web-text+ or rest+ before http, https or h2c",
                ));
            }
            _ => ("dns", text),
        };
        let tls = scheme == "https";
        let tcp = |authority: &str, list: &str| -> Result<Self, InvalidTarget> {
            let default = match scheme {
                "http" => Some(80),
                "https" | "dns" => Some(443),
                _ => None,
            };
            let endpoints = list
                .split(',')
                .map(|endpoint| split_endpoint(endpoint.trim(), default))
                .collect::<Result<Vec<_>, _>>()
                .map_err(invalid)?;
            Ok(Self { tls, ..Self::new(Place::Tcp(endpoints), authority.to_owned()) })
        };
        match scheme {
            "unix-abstract" => Err(invalid("abstract Unix sockets are not supported: use unix:path")),
            "unix" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() {
                    return Err(invalid("a Unix socket needs a path"));
                }
                Ok(Self::new(Place::Unix(path.into()), "localhost".to_owned()))
            }
            "ipv4" | "ipv6" => tcp(rest.split(',').next().unwrap_or_default(), rest),
            _ => {
                let rest = rest.strip_prefix("//").map_or(rest, |rest| match (scheme, rest.split_once('/')) {
                    // dns://authority/host:port names a DNS server, which the system's resolver does not take.
                    ("dns", Some((_, host))) => host,
                    (_, Some((host, _))) => host,
                    (_, None) => rest,
                });
                tcp(rest, rest)
            }
        }
    }

    /// The host without its port: the name a certificate must carry.
    pub(crate) fn host(&self) -> &str {
        match &self.place {
            Place::Tcp(endpoints) => endpoints.first().map_or("", |(host, _)| host.as_str()),
            Place::Memory(_) | Place::Unix(_) => "localhost",
        }
    }
}

impl fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "target {:?}: {}", self.target, self.reason)
    }
}

impl std::error::Error for InvalidTarget {}

fn of_word(word: &str) -> Protocol {
    match word {
        "connect" => Protocol::Connect,
        "rest" => Protocol::Rest,
        _ => Protocol::GrpcWeb,
    }
}

fn split_endpoint(text: &str, default_port: Option<u16>) -> Result<(String, u16), &'static str> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("an IPv6 address in brackets needs its closing bracket")?;
        (host, rest.strip_prefix(':'))
    } else {
        match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => return Err("write an IPv6 address in brackets: [::1]:8080"),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Err("the host is missing: write host:port");
    }
    let port = match port {
        Some(port) => port.parse().map_err(|_| "the port is not a number from 0 to 65535")?,
        None => default_port.ok_or("the port is missing")?,
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_people_write_them() {
        for (text, host, port, tls) in [
            ("localhost:8080", "localhost", 8080, false),
            ("dns:///orders:8080", "orders", 8080, false),
            ("dns:orders:8080", "orders", 8080, false),
            ("dns://8.8.8.8/orders", "orders", 443, false),
            ("http://127.0.0.1:80", "127.0.0.1", 80, false),
            ("https://example.com/", "example.com", 443, true),
            ("[::1]:5", "::1", 5, false),
            ("ipv4:1.2.3.4:5,6.7.8.9:10", "1.2.3.4", 5, false),
        ] {
            let target = Target::parse(text).unwrap();
            let Place::Tcp(endpoints) = &target.place else { panic!("{text}") };
            assert_eq!(endpoints[0], (host.to_owned(), port), "{text}");
            assert_eq!(target.tls, tls, "{text}");
        }
        assert!(matches!(Target::parse("unix:/a/b").unwrap().place, Place::Unix(path) if path == *"/a/b"));
        assert!(matches!(Target::parse("unix:///a/b").unwrap().place, Place::Unix(path) if path == *"/a/b"));
    }

    #[test]
    fn what_cannot_be_a_target_is_refused_with_the_reason() {
        for text in ["", ":80", "host:99999", "::1", "ftp://x", "unix:", "[::1", "ipv4:1.2.3.4"] {
            let error = Target::parse(text).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
