//! nginx, which does not say that it is up, and a question to any server by hand.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use crate::{
    process::{Banner, Server},
    wires::Directory,
};

/// How long an answer, or a start, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// nginx answering everything with the same.
pub(super) struct Nginx {
    pub(super) server: Server,
    _directory: Directory,
}

impl Nginx {
    /// Starts `program` as one process that speaks HTTP/2 if `http2` and HTTP/1.1 otherwise.
    ///
    /// # Errors
    ///
    /// When it does not start, or takes no connection.
    pub(super) fn start(program: &Path, http2: bool, answer: &str) -> io::Result<Self> {
        let directory = Directory::new(if http2 { "nginx-http2" } else { "nginx-http1" })?;
        // It has no way to say which port it was given.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let path = directory.0.join("nginx.conf");
        fs::write(&path, configuration(&directory.0, address, http2, answer))?;
        let said = Command::new(program).arg("-v").output()?;
        let said = String::from_utf8_lossy(&said.stderr).trim().to_owned();
        let version = said.rsplit_once('/').map_or("?", |(_, version)| version).to_owned();
        let unknown = || "?".to_owned();
        let banner = Banner { name: "nginx".into(), version, address, opt_level: unknown(), profile: unknown() };
        let (path, prefix) = (path.display().to_string(), directory.0.display().to_string());
        let server = Server::start_silent(program, &["-p", &prefix, "-c", &path], banner, PATIENCE)?;
        Ok(Self { server, _directory: directory })
    }
}

/// One process, no log, connections that last.
fn configuration(directory: &Path, address: SocketAddr, http2: bool, answer: &str) -> String {
    let (directory, http2) = (directory.display(), if http2 { " http2" } else { "" });
    // In quotes a backslash and the quote itself need another backslash; `$` would be a variable, but nothing here has one.
    let answer = answer.replace('\\', "\\\\").replace('\'', "\\'");
    format!(
        "daemon off;\nmaster_process off;\npid {directory}/pid;\nerror_log {directory}/error.log crit;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  keepalive_timeout 600s;\n\
         \x20 client_body_temp_path {directory}/body;\n  proxy_temp_path {directory}/proxy;\n\
         \x20 fastcgi_temp_path {directory}/fastcgi;\n  uwsgi_temp_path {directory}/uwsgi;\n  scgi_temp_path {directory}/scgi;\n\
         \x20 default_type application/json;\n\
         \x20 server {{ listen {address}{http2}; location / {{ return 200 '{answer}'; }} }}\n}}\n"
    )
}

/// The body of the answer to one POST over HTTP/1.1.
///
/// # Errors
///
/// When the answer is not 200.
pub(super) fn ask(address: SocketAddr, path: &str, json: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = json.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{json}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("POST {path} is answered by {answer:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_survives_the_quotes_of_the_configuration() {
        let text = configuration(Path::new("/run/n"), ([127, 0, 0, 1], 8).into(), true, r#"{"a":"it's \\ so"}"#);
        assert!(text.contains("listen 127.0.0.1:8 http2;"), "{text}");
        assert!(text.contains(r#"return 200 '{"a":"it\'s \\\\ so"}';"#), "{text}");
    }
}
