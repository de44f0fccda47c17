//! Getting to the server, and explaining why not.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use polywire::{
    Channel, ChannelBuilder, ChannelError, ChannelState, Code, Limits, Method, MethodKind, Protocol, Status, TlsAgreed,
    Wire,
    raw::RawOptions,
    transport::tls::{CertificateSource, ClientTls, Roots},
};

use crate::{
    arguments::{ADDRESS_FORMS, ConnectArguments},
    failure::Failure,
};

/// A server that was reached.
pub(crate) struct Server {
    pub(crate) channel: Channel,
    /// Where to ask for descriptors: REST cannot carry the stream of questions, so there it is a channel of gRPC to the same place.
    pub(crate) reflection: Channel,
    pub(crate) address: String,
    /// How long it took.
    pub(crate) connected_in: Duration,
    /// When everything must be done.
    pub(crate) deadline: Option<Instant>,
}

impl Server {
    /// Connects, or says what stands in the way.
    pub(crate) async fn reach(
        address: &str,
        arguments: &ConnectArguments,
        deadline: Option<Instant>,
    ) -> Result<Self, Failure> {
        let started = Instant::now();
        let tls = speaks_tls(address, arguments)?;
        let build = |address: &str| {
            let mut builder = builder(address, arguments)?;
            if tls {
                builder = builder.tls(client_tls(arguments));
            }
            builder.build().map_err(|error| Failure::usage(error.to_string()))
        };
        let channel = build(address)?;
        let Some(ready) = within(deadline, becomes_ready(&channel)).await else {
            let status = Status::deadline_exceeded(format!("not connected to {address} when the time was over"));
            return Err(Failure::from(status).hint("allow more with --timeout"));
        };
        if !ready {
            return Err(explain(address, arguments, tls, why(&channel).await).await);
        }
        let connected_in = started.elapsed();
        let reflection = match channel.protocol() {
            Protocol::Rest => build(&of_grpc(address))?,
            _ => channel.clone(),
        };
        Ok(Self { channel, reflection, address: address.to_owned(), connected_in, deadline })
    }

    /// How it was reached, in words.
    pub(crate) fn how(&self) -> String {
        let (protocol, mut wire) = (self.channel.protocol(), self.channel.wire());
        let security = match self.channel.tls_agreed() {
            None => "plaintext".to_owned(),
            Some(TlsAgreed { version, alpn: None }) => version.to_string(),
            Some(TlsAgreed { version, alpn: Some(alpn) }) => {
                if alpn == "http/1.1" && wire == Wire::Http2 {
                    wire = Wire::Http1;
                }
                format!("{version}, ALPN {alpn}")
            }
        };
        format!("{security}, {protocol} over {wire}")
    }
}

/// The address of a server that is called by REST, for gRPC.
fn of_grpc(address: &str) -> String {
    let address = address.strip_prefix("rest+").unwrap_or(address);
    address.strip_prefix("h2c:").map_or_else(|| address.to_owned(), |rest| format!("http:{rest}"))
}

/// Waits for the future, at most until the deadline.
pub(crate) async fn within<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline.into(), future).await.ok(),
        None => Some(future.await),
    }
}

/// Whether to speak TLS: as the flags or the scheme say; else not to this machine itself, where servers are tried out, and with
/// everybody else, so that no secret in the metadata travels in the clear by accident.
fn speaks_tls(address: &str, arguments: &ConnectArguments) -> Result<bool, Failure> {
    let chosen = arguments.tls || arguments.insecure || arguments.cacert.is_some() || arguments.cert.is_some();
    let scheme = address.split_once(':').map_or("", |(scheme, _)| scheme);
    // The word in front chooses the protocol, what is behind it the transport.
    let transport = match scheme.rsplit_once('+').map_or(scheme, |(_, transport)| transport) {
        "h2c" | "ws" => "http",
        "native" if !chosen => "http",
        "tls" | "wss" => "https",
        transport => transport,
    };
    match transport {
        "https" if arguments.plaintext => Err(Failure::usage("--plaintext and an https address contradict each other")),
        "http" if chosen => Err(Failure::usage("TLS and an http address contradict each other").hint("write https://")),
        "unix" if chosen => Err(Failure::usage("TLS over Unix sockets is not supported")),
        "https" => Ok(true),
        "http" | "unix" => Ok(false),
        _ => Ok(chosen || !(arguments.plaintext || is_this_machine(address))),
    }
}

fn is_this_machine(address: &str) -> bool {
    let rest = ["dns:///", "dns:", "ipv4:", "ipv6:"].iter().find_map(|scheme| address.strip_prefix(scheme));
    let rest = rest.unwrap_or(address);
    let host = match rest.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => rest.rsplit_once(':').map_or(rest, |(host, _)| host),
    };
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

fn builder(address: &str, arguments: &ConnectArguments) -> Result<ChannelBuilder, Failure> {
    let connect_timeout = arguments.connect_timeout.unwrap_or(PROBE_TIMEOUT);
    let limits = Limits {
        message_bytes_max: arguments.max_message_bytes,
        handshake_timeout: connect_timeout,
        ping_policy: None,
        ..Limits::default()
    };
    let mut builder = Channel::builder(address)
        .map_err(|error| {
            let failure = Failure::usage(error.to_string());
            match error {
                ChannelError::Target(_) => failure.hint(format!("write {ADDRESS_FORMS}")),
                _ => failure,
            }
        })?
        .limits(limits)
        .connect_timeout(connect_timeout)
        .user_agent(concat!("polywire-cli/", env!("CARGO_PKG_VERSION")));
    if let Some(name) = &arguments.user_agent {
        builder = builder.user_agent(name);
    }
    if let Some(authority) = &arguments.authority {
        builder = builder.authority(authority);
    }
    Ok(builder)
}

fn client_tls(arguments: &ConnectArguments) -> ClientTls {
    let mut tls = match &arguments.cacert {
        _ if arguments.insecure => ClientTls::dangerous_without_verification(),
        Some(file) => ClientTls::new(Roots::file(file)),
        None => ClientTls::new(Roots::system()),
    };
    if let (Some(cert), Some(key)) = (&arguments.cert, &arguments.key) {
        tls = tls.certificate(CertificateSource::files(cert, key));
    }
    let authority = arguments.authority.as_deref().map(|authority| match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    });
    match arguments.servername.as_deref().or(authority) {
        Some(name) => tls.server_name(name),
        None => tls,
    }
}

/// Connects and says whether that worked.
async fn becomes_ready(channel: &Channel) -> bool {
    channel.connect();
    let mut state = channel.state();
    loop {
        match state {
            ChannelState::Ready => return true,
            ChannelState::TransientFailure => return false,
            ChannelState::Connecting | ChannelState::Idle => state = channel.state_change(state).await,
        }
    }
}

/// Why the channel is not ready: what a call would be told.
async fn why(channel: &Channel) -> Status {
    let method = Method::dynamic("/", MethodKind::Unary);
    match channel.start_raw(&method, RawOptions::new()) {
        Ok((_, mut responses)) => match responses.next().await {
            Err(status) => status,
            Ok(_) => Status::unavailable("the connection did not work at first"),
        },
        Err(status) => status,
    }
}

/// How long is tried whether the other of TLS and plaintext works.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Adds to a failure to connect what can be done about it.
async fn explain(address: &str, arguments: &ConnectArguments, tls: bool, status: Status) -> Failure {
    let text = status.message().to_lowercase();
    let status = match status.code() {
        Code::Unavailable if text.starts_with("cannot connect") => status,
        _ => Status::unavailable(format!("cannot connect to {address}: {}", status.message())),
    };
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let failure = Failure::from(status);
    if has(&["refused (os", "no such file"]) {
        let failure = failure.hint(format!("is the server running? nothing listens on {address}"));
        let has_port =
            address.contains("unix:") || address.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok());
        return if has_port { failure } else { failure.hint("no port was given, so the default one was tried") };
    }
    if has(&["client certificate"]) && arguments.cert.is_none() {
        return failure.hint("if the server wants to know who calls: --cert FILE --key FILE");
    }
    if has(&["lookup", "no address"]) {
        return failure.hint("check the host name");
    }
    if has(&["connect timeout", "timed out", "unreachable"]) {
        return failure.hint("check host, port and firewalls; allow more time with --connect-timeout");
    }
    if has(&["certificate is not trusted"]) {
        return failure
            .hint("--cacert FILE names the authority that issued it; --servername NAME the name it is for")
            .hint("--insecure believes any certificate, for trying things out");
    }
    match other_way_works(address, arguments, tls).await {
        Some(true) if tls => failure.hint(format!("{address} speaks plaintext: add --plaintext")),
        Some(true) => failure
            .hint(format!("{address} speaks TLS: add --tls"))
            .hint("with a private authority: --cacert FILE; to try things out: --insecure"),
        _ if tls => failure,
        _ => {
            failure.hint(format!("something listens on {address}, but it does not speak HTTP/2: is it the right port?"))
        }
    }
}

/// Whether a server can be reached by TLS when plaintext failed, or the other way round. Sends it nothing but a greeting.
async fn other_way_works(address: &str, arguments: &ConnectArguments, tls: bool) -> Option<bool> {
    let bare = ["https://", "http://"].iter().find_map(|scheme| address.strip_prefix(scheme)).unwrap_or(address);
    let arguments = ConnectArguments { max_message_bytes: arguments.max_message_bytes, ..ConnectArguments::default() };
    let mut builder = builder(bare, &arguments).ok()?;
    if !tls {
        builder = builder.tls(ClientTls::dangerous_without_verification());
    }
    let channel = builder.build().ok()?;
    if tokio::time::timeout(PROBE_TIMEOUT, becomes_ready(&channel)).await.ok()? {
        return Some(true);
    }
    // A server that wants a certificate of ours, or another protocol, has answered in TLS all the same.
    let status = why(&channel).await;
    Some(!tls && ["refused TLS with us", "ALPN"].iter().any(|words| status.message().contains(words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_spoken_with_everybody_but_this_machine() {
        let tls = |address| speaks_tls(address, &ConnectArguments::default()).unwrap();
        for address in [
            "localhost:80",
            "127.0.0.1:80",
            "[::1]:80",
            "dns:///localhost:80",
            "http://orders:80",
            "unix:/x",
            "a.localhost:1",
        ] {
            assert!(!tls(address), "{address}");
        }
        for address in ["orders:80", "10.0.0.1:80", "https://localhost:80", "dns:///orders:80", "example.com"] {
            assert!(tls(address), "{address}");
        }
    }

    #[test]
    fn flags_choose() {
        let plaintext = ConnectArguments { plaintext: true, ..ConnectArguments::default() };
        assert!(!speaks_tls("orders:80", &plaintext).unwrap());
        assert!(speaks_tls("https://orders:80", &plaintext).is_err());
        let insecure = ConnectArguments { insecure: true, ..ConnectArguments::default() };
        assert!(speaks_tls("localhost:80", &insecure).unwrap());
        assert!(speaks_tls("http://orders:80", &insecure).is_err());
    }
}
