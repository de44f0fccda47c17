//! What connections cost that do nothing, by wire: many of them to one process.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use crate::process::Server;

/// Connections to one process. The usual limit of open files, 20,000, holds for either side.
const CONNECTIONS: usize = 15_000;

/// How long a server may take to greet.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// How a wire begins.
struct Greeting {
    name: &'static str,
    /// What a client says, piece by piece, and what must stand in the answer before the next.
    says: &'static [(&'static [u8], &'static [u8])],
}

/// The preface of native frames and a HELLO that names version 1.
const NATIVE_HELLO: &[u8] = b"\xf0PW1\x00\x00\x03\x01\x01\x01";

const GREETINGS: [Greeting; 4] = [
    Greeting {
        name: "HTTP/2",
        says: &[(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", b"\x04\x00\x00\x00\x00\x00")],
    },
    Greeting { name: "HTTP/1.1", says: &[(b"GET /none HTTP/1.1\r\nhost: bench\r\n\r\n", b"HTTP/1.1 404")] },
    Greeting { name: "native", says: &[(NATIVE_HELLO, b"\x00\x00")] },
    Greeting {
        name: "native in WebSocket",
        says: &[
            (
                b"GET / HTTP/1.1\r\nhost: bench\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                  sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nsec-websocket-protocol: polywire.v1\r\n\r\n",
                b"HTTP/1.1 101",
            ),
            // A masked binary message; the mask is zero, so it stands there as it is.
            (b"\x82\x8a\x00\x00\x00\x00\xf0PW1\x00\x00\x03\x01\x01\x01", b"\x82"),
        ],
    },
];

/// User memory for each connection, by wire, as a table.
pub(crate) fn run(program: &Path, share: f64) -> io::Result<String> {
    let connections = ((CONNECTIONS as f64 * share) as usize).max(100);
    let mut text = format!(
        "\n### Idle connections\n\nUser memory of the server for each of {connections} connections to one process, after the greeting.\n\n\
         | wire | KB |\n|---|--:|\n"
    );
    for greeting in &GREETINGS {
        let server = Server::start(program)?;
        // Whatever is set up once has been set up by these.
        let first = connect(greeting, server.banner.address, connections.div_ceil(20))?;
        let base = server.memory_bytes()?;
        let all = connect(greeting, server.banner.address, connections)?;
        let bytes = server.memory_bytes()?.saturating_sub(base) / connections as u64;
        text.push_str(&format!("| {} | {:.1} |\n", greeting.name, bytes as f64 / 1000.0));
        drop((first, all));
    }
    Ok(text)
}

fn connect(greeting: &Greeting, address: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let one = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(GREETING_TIMEOUT))?;
        // A server may greet before it is greeted: what has come beyond an answer is looked at for the next.
        let mut heard = Vec::new();
        for (says, hears) in greeting.says {
            stream.write_all(says)?;
            let end = loop {
                if let Some(place) = heard.windows(hears.len()).position(|part| part == *hears) {
                    break place + hears.len();
                }
                let mut buffer = [0; 512];
                let bytes = stream.read(&mut buffer)?;
                if bytes == 0 {
                    return Err(io::Error::other(format!("{}: the server closed", greeting.name)));
                }
                heard.extend_from_slice(&buffer[..bytes]);
            };
            heard.drain(..end);
        }
        Ok(stream)
    };
    (0..count).map(|_| one()).collect()
}
