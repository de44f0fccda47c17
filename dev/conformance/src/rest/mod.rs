//! REST by `google.api.http`, judged with curl: every case over HTTP/1.1 and HTTP/2.

mod cases;
mod client;
mod service;

use std::{net::SocketAddr, process::Stdio};

use clap::Args;
use conformance::polywire::test::v1::RestServer;
use polywire::Server;
use tokio::{io::AsyncWriteExt, process::Command};

use self::cases::{CASES, Case, Wanted};
use crate::table::{Outcome, Table};

/// Without flags: all cases over both wires.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only cases whose promise or path has this in it
    #[arg(long)]
    run: Option<String>,
    /// Only over this wire
    #[arg(long, value_parser = ["h1", "h2"])]
    wire: Option<String>,
}

/// How curl is told to take a wire.
const WIRES: [(&str, &str); 2] = [("h1", "--http1.1"), ("h2", "--http2-prior-knowledge")];

/// Runs the cases. Whether every one passed.
pub(crate) async fn judge(options: Options) -> Result<bool, String> {
    let bound = Server::new().add(RestServer::new(service::Echo)).bind("127.0.0.1:0").await;
    let bound = bound.map_err(|error| error.to_string())?;
    let address = bound.address().ok_or("the server listens nowhere")?;
    let server = tokio::spawn(bound.serve());
    let mut table = Table::default();
    for (wire, flag) in WIRES.into_iter().filter(|(wire, _)| options.wire.as_deref().is_none_or(|only| only == *wire)) {
        for case in CASES {
            let part = options.run.as_deref().unwrap_or_default();
            if !case.about.contains(part) && !case.path.contains(part) {
                continue;
            }
            let outcome = match play(address, flag, case).await {
                Ok(()) => Outcome::Passed,
                Err(problem) => Outcome::Failed(problem),
            };
            table.put(wire, case.about, outcome);
        }
        for (about, result) in client::play(address, wire).await? {
            table.put(wire, about, result.map_or_else(Outcome::Failed, |()| Outcome::Passed));
        }
    }
    server.abort();
    table.print("rest");
    table.print_reasons();
    Ok(table.count().close())
}

async fn play(address: SocketAddr, wire: &str, case: &Case) -> Result<(), String> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--include", "--max-time", "10", "--path-as-is", wire]);
    curl.args(["--request", case.verb]);
    for header in case.headers {
        curl.args(["--header", header]);
    }
    if case.body.is_some() {
        curl.args(["--data-binary", "@-"]);
        // curl would name a type of its own.
        if !case.headers.iter().any(|header| header.starts_with("content-type")) {
            curl.args(["--header", "content-type:"]);
        }
    }
    curl.arg(format!("http://{address}{}", case.path));
    let mut curl = curl
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("curl is needed for this suite: {error}"))?;
    let mut stdin = curl.stdin.take().ok_or("curl has no standard input")?;
    // A server may answer before it has read everything.
    let _ = stdin.write_all(case.body.unwrap_or_default().as_bytes()).await;
    drop(stdin);
    let output = curl.wait_with_output().await.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let mut response = String::from_utf8_lossy(&output.stdout).into_owned();
    while response.starts_with("HTTP/1.1 100") {
        response = response.split_once("\r\n\r\n").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    }
    let (head, body) = response.split_once("\r\n\r\n").ok_or("the response has no head")?;
    judge_response(case, head, body)
}

fn judge_response(case: &Case, head: &str, body: &str) -> Result<(), String> {
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let header = |wanted: &str| {
        lines.clone().filter_map(|line| line.split_once(": ")).find(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    let value = |name: &str| header(name).map(|(_, value)| value.trim()).unwrap_or_default();
    if status != case.status.to_string() {
        return Err(format!("status {status}, not {}: {}", case.status, body.trim()));
    }
    if value("x-method") != case.method {
        return Err(format!("the method {:?} was called, not {:?}", value("x-method"), case.method));
    }
    if let Some((name, wanted)) = case.header
        && value(name) != wanted
    {
        return Err(format!("the header {name} is {:?}, not {wanted:?}", value(name)));
    }
    match case.wanted {
        Wanted::Exactly(wanted) if body != wanted => Err(format!("the body is {body:?}, not {wanted:?}")),
        Wanted::With(part) if !body.contains(part) => Err(format!("the body is {body:?}, without {part:?}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        for (index, case) in CASES.iter().enumerate() {
            assert!(CASES[..index].iter().all(|other| other.about != case.about), "{}", case.about);
        }
    }
}
