use std::fmt;

use polywire_core::Wire;
use polywire_engine::Beginning;

/// What a peer is taken to speak that chose nothing by ALPN.
const HTTP_1_1: &[u8] = b"http/1.1";

/// The protocols offered by ALPN (RFC 7301), the preferred one first. A client's default is `h2` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alpn(Vec<Vec<u8>>);

impl Default for Alpn {
    fn default() -> Self {
        Self(vec![b"h2".to_vec()])
    }
}

impl Alpn {
    /// What a server of ours speaks, the one it likes best first.
    pub(super) fn of_server() -> Self {
        Self::new(Beginning::ALL.map(Beginning::alpn))
    }

    /// The same without what a server does not speak.
    pub(super) fn without(&self, off: &[Wire]) -> Self {
        let on = |name: &&Vec<u8>| !Beginning::of_alpn(name).is_some_and(|beginning| off.contains(&beginning.wire()));
        Self(self.0.iter().filter(on).cloned().collect())
    }

    pub(super) fn new<P: Into<Vec<u8>>>(protocols: impl IntoIterator<Item = P>) -> Self {
        Self(protocols.into_iter().map(Into::into).collect())
    }

    pub(super) fn to_vec(&self) -> Vec<Vec<u8>> {
        self.0.clone()
    }

    /// Whether we can go on with a peer that has `negotiated` this. HTTP/2 over TLS demands ALPN (RFC 9113 §3.2), so without
    /// it only HTTP/1.1 can be meant. An empty list leaves the question to the caller.
    pub(super) fn accepts(&self, negotiated: Option<&[u8]>) -> bool {
        negotiated.is_some() || self.0.is_empty() || self.0.iter().any(|protocol| protocol == HTTP_1_1)
    }
}

impl fmt::Display for Alpn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, protocol) in self.0.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{}", protocol.escape_ascii())?;
        }
        Ok(())
    }
}
