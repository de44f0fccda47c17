//! The standard gRPC interoperability cases, polywire's client against others' servers and the other way round.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use tokio::{process::Command, sync::Semaphore, task::JoinSet};

use crate::{
    certificates::{Certificates, SERVER_NAME},
    peers::{Peer, Workshop},
    process::{self, Program},
    skips::{How, Skips},
    table::{Count, Outcome, Table},
};

/// Which of the matrix is run. Without flags: everything that has polywire on one side.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only this peer, on both sides; may be repeated
    #[arg(long, value_enum)]
    peer: Vec<Peer>,
    /// Only these clients (with --server: any two, also without polywire)
    #[arg(long, value_enum, value_delimiter = ',')]
    client: Vec<Peer>,
    /// Only these servers
    #[arg(long, value_enum, value_delimiter = ',')]
    server: Vec<Peer>,
    /// Only these cases
    #[arg(long, value_delimiter = ',')]
    case: Vec<String>,
    /// A handful of cases over plaintext
    #[arg(long)]
    quick: bool,
    /// What CI runs: all cases over plaintext, over TLS the quick ones
    #[arg(long)]
    ci: bool,
    /// Only over TLS
    #[arg(long, conflicts_with = "quick")]
    tls: bool,
    /// Only over plaintext
    #[arg(long, conflicts_with = "tls")]
    plain: bool,
}

/// Runs the matrix and prints it. Whether all that ran is as expected.
pub(crate) async fn run(options: Options) -> Result<bool, String> {
    let started = Instant::now();
    let skips = Arc::new(Skips::read()?);
    let workshop = Workshop::open()?;
    let certificates = Certificates::make(&workshop.folder("certificates"))?;
    let cells = plan(&options);
    let gaps = install(&workshop, &cells).await;
    let installed_after = started.elapsed();

    let mut tables: BTreeMap<Title, Table> = BTreeMap::new();
    let turns = Arc::new(Semaphore::new(CELLS_AT_ONCE));
    let mut running = JoinSet::new();
    for cell in cells {
        let bench = Bench { workshop: workshop.clone(), certificates: certificates.clone(), skips: Arc::clone(&skips) };
        if let Some(why) = [cell.client, cell.server].iter().find_map(|peer| gaps.get(peer)) {
            let table = tables.entry(cell.title()).or_default();
            cell.cases
                .iter()
                .for_each(|case| table.put(&cell.column(), case, Outcome::Skipped(format!("not installed: {why}"))));
            continue;
        }
        let turns = Arc::clone(&turns);
        running.spawn(async move {
            let _turn = turns.acquire_owned().await;
            let started = Instant::now();
            let outcomes = bench.play(&cell).await;
            (cell, outcomes, started.elapsed())
        });
    }
    while let Some(done) = running.join_next().await {
        let (cell, outcomes, took) = done.map_err(|e| format!("a cell of the matrix broke off: {e}"))?;
        let failed = outcomes.values().filter(|outcome| matches!(outcome, Outcome::Failed(_))).count();
        eprintln!("{cell}: {} cases, {failed} failed, {:.1} s", outcomes.len(), took.as_secs_f32());
        let table = tables.entry(cell.title()).or_default();
        for case in &cell.cases {
            table.put(&cell.column(), case, outcomes.get(case).cloned().unwrap_or(Outcome::Failed("no result".into())));
        }
    }

    let mut count = Count::default();
    for (title, table) in &tables {
        println!("\n{title}");
        table.print("case");
        println!();
        table.print_reasons();
        count.add(table.count());
    }
    for (peer, why) in &gaps {
        println!("gap {}: {why}", peer.name());
    }
    println!(
        "\ninstalled in {:.0} s, run in {:.0} s",
        installed_after.as_secs_f32(),
        (started.elapsed() - installed_after).as_secs_f32()
    );
    Ok(count.close())
}

/// One client against one server.
#[derive(Clone, Debug)]
struct Cell {
    client: Peer,
    server: Peer,
    tls: bool,
    cases: Vec<&'static str>,
}

impl Cell {
    fn title(&self) -> Title {
        match (self.client, self.server) {
            (_, Peer::Misbehaving) => Title::Misbehaving,
            (Peer::Polywire, _) => Title::OurClient,
            (_, Peer::Polywire) => Title::OurServer,
            _ => Title::Others,
        }
    }

    fn column(&self) -> String {
        let peers = match self.title() {
            Title::OurClient => self.server.name().to_owned(),
            Title::OurServer | Title::Misbehaving => self.client.name().to_owned(),
            Title::Others => format!("{}>{}", self.client.name(), self.server.name()),
        };
        if self.tls { format!("{peers}+tls") } else { peers }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}{}", self.client.name(), self.server.name(), if self.tls { " over TLS" } else { "" })
    }
}

/// Which table a cell belongs to.
#[derive(Copy, Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Title {
    OurServer,
    OurClient,
    Misbehaving,
    Others,
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OurServer => "Others' clients against polywire's server",
            Self::OurClient => "polywire's client against the servers",
            Self::Misbehaving => "Clients against a server that misbehaves",
            Self::Others => "Others among themselves (client>server)",
        })
    }
}

fn plan(options: &Options) -> Vec<Cell> {
    let all = [Peer::Go, Peer::Java, Peer::Node, Peer::Python];
    let mut pairs = Vec::new();
    if options.client.is_empty() || options.server.is_empty() {
        pairs.extend(all.map(|peer| (peer, Peer::Polywire)));
        pairs.push((Peer::ConnectEs, Peer::Polywire));
        pairs.extend(all.map(|peer| (Peer::Polywire, peer)));
        pairs.extend([(Peer::Polywire, Peer::Polywire), (Peer::Polywire, Peer::Misbehaving)]);
        let wanted = |peer: &Peer, list: &[Peer]| list.is_empty() || list.contains(peer);
        pairs.retain(|(client, server)| {
            let among = options.peer.is_empty() || options.peer.contains(client) || options.peer.contains(server);
            among && wanted(client, &options.client) && wanted(server, &options.server)
        });
    } else {
        options.client.iter().for_each(|client| pairs.extend(options.server.iter().map(|server| (*client, *server))));
    }
    let transports: &[bool] = match (options.plain || options.quick, options.tls) {
        (true, _) => &[false],
        (_, true) => &[true],
        _ => &[false, true],
    };
    let mut cells = Vec::new();
    for (client, server) in pairs {
        for &tls in transports {
            if tls && server == Peer::Misbehaving {
                continue;
            }
            let among = match (client, server) {
                (Peer::Polywire, Peer::Misbehaving) => MISBEHAVING_CASES,
                (_, Peer::Misbehaving) => &MISBEHAVING_CASES[..PUBLIC_MISBEHAVING_CASES],
                _ => CASES,
            };
            let quick = options.quick || (options.ci && tls);
            // Under TLS nobody sees from outside what our server or client compresses.
            let unseen = |case: &str| tls && client == Peer::Polywire && case.starts_with("server_compressed");
            let kept = |case: &&&'static str| match () {
                () if unseen(case) => false,
                () if !options.case.is_empty() => options.case.iter().any(|wanted| wanted == *case),
                () if server == Peer::Misbehaving => true,
                () if quick => QUICK_CASES.contains(case),
                () => true,
            };
            let cases: Vec<_> = among.iter().filter(kept).copied().collect();
            if !cases.is_empty() {
                cells.push(Cell { client, server, tls, cases });
            }
        }
    }
    // The longest first, so that no core is idle at the end.
    cells.sort_by_key(|cell| [cell.client, cell.server].iter().all(|peer| *peer != Peer::Java));
    cells
}

/// Installs everybody at once; says who could not be installed and why.
async fn install(workshop: &Workshop, cells: &[Cell]) -> BTreeMap<Peer, String> {
    let mut peers: BTreeSet<Peer> = cells.iter().flat_map(|cell| [cell.client, cell.server]).collect();
    if peers.remove(&Peer::Misbehaving) {
        peers.insert(Peer::Python);
    }
    let mut running = JoinSet::new();
    for peer in peers {
        let workshop = workshop.clone();
        running.spawn(async move { (peer, workshop.install(peer).await) });
    }
    let mut gaps = BTreeMap::new();
    while let Some(done) = running.join_next().await {
        if let Ok((peer, Err(why))) = done {
            if peer == Peer::Python {
                gaps.insert(Peer::Misbehaving, why.clone());
            }
            gaps.insert(peer, why);
        }
    }
    gaps
}

/// What playing a cell needs.
struct Bench {
    workshop: Workshop,
    certificates: Certificates,
    skips: Arc<Skips>,
}

impl Bench {
    async fn play(&self, cell: &Cell) -> BTreeMap<&'static str, Outcome> {
        let mut outcomes = BTreeMap::new();
        let mut usual = Vec::new();
        for &case in &cell.cases {
            match self.skip(cell, case) {
                Some(skip) if skip.how != How::Fails => {
                    outcomes.insert(case, Outcome::Skipped(skip.to_string()));
                }
                _ if cell.server == Peer::Misbehaving => {
                    outcomes.insert(case, self.play_misbehaving(cell, case).await);
                }
                _ if case == SCALING_CASE => {
                    let played = self.play_together(cell, &[case], true).await;
                    outcomes.extend(played);
                }
                _ => usual.push(case),
            }
        }
        if !usual.is_empty() {
            outcomes.extend(self.play_together(cell, &usual, false).await);
        }
        outcomes.into_iter().map(|(case, outcome)| (case, outcome.judged(self.skip(cell, case)))).collect()
    }

    fn skip(&self, cell: &Cell, case: &str) -> Option<&crate::skips::Skip> {
        self.skips.find("interop", cell.client.name(), cell.server.name(), case)
    }

    /// All cases against one running server. `limited`: it allows two streams at once on a connection.
    async fn play_together(
        &self,
        cell: &Cell,
        cases: &[&'static str],
        limited: bool,
    ) -> BTreeMap<&'static str, Outcome> {
        let all_failed = |why: String| cases.iter().map(|case| (*case, Outcome::Failed(why.clone()))).collect();
        let name = format!(
            "{}-{}{}{}",
            cell.client.name(),
            cell.server.name(),
            if cell.tls { "-tls" } else { "" },
            if limited { "-limited" } else { "" }
        );
        let started = async {
            let port = process::free_port()?;
            let mut command = self.server(cell.server, port, cell.tls)?;
            if limited {
                command.arg("--max_concurrent_streams=2");
            }
            Ok::<_, String>((port, Program::serve(command, port, &self.workshop.log(&name)).await?))
        };
        let (port, mut server) = match started.await {
            Ok(started) => started,
            Err(why) => return all_failed(why),
        };
        let mut outcomes = BTreeMap::new();
        if matches!(cell.client, Peer::ConnectEs | Peer::Java | Peer::Node | Peer::Python) {
            let limit = CASE_LIMIT + CASE_LIMIT / 10 * cases.len() as u32;
            outcomes.extend(self.run_list(cell, port, cases, limit).await);
        } else {
            for &case in cases {
                outcomes.insert(case, self.run_case(cell, port, case).await);
                if !server.is_alive() {
                    outcomes.insert(case, Outcome::Failed(format!("the server died: {}", server.last_words())));
                    break;
                }
            }
        }
        outcomes
    }

    /// One process for one case; its exit status is the verdict.
    async fn run_case(&self, cell: &Cell, port: u16, case: &str) -> Outcome {
        let ended = async { process::run(self.client(cell, port, case)?, CASE_LIMIT).await };
        match ended.await {
            Ok(ended) if ended.succeeded() => Outcome::Passed,
            Ok(ended) => Outcome::Failed(ended.complaint()),
            Err(why) => Outcome::Failed(why),
        }
    }

    /// One process for all cases, which says a line for each.
    async fn run_list(
        &self,
        cell: &Cell,
        port: u16,
        cases: &[&'static str],
        limit: Duration,
    ) -> BTreeMap<&'static str, Outcome> {
        let ended = async { process::run(self.client(cell, port, &cases.join(","))?, limit).await };
        let (output, complaint) = match ended.await {
            Ok(ended) => (ended.output.clone(), ended.complaint()),
            Err(why) => (String::new(), why),
        };
        let verdict = |case: &str| {
            let said =
                output.lines().find_map(|line| line.strip_prefix("case ")?.strip_prefix(case)?.strip_prefix(' '));
            match said.map(|said| said.split_once(' ').unwrap_or((said, ""))) {
                Some(("ok", _)) => Outcome::Passed,
                Some((_, why)) => Outcome::Failed(why.to_owned()),
                None => Outcome::Failed(format!("no verdict; {complaint}")),
            }
        };
        cases.iter().map(|case| (*case, verdict(case))).collect()
    }

    /// A case with a server of its own, which has a say in the verdict.
    async fn play_misbehaving(&self, cell: &Cell, case: &str) -> Outcome {
        let played = async {
            let port = process::free_port()?;
            let mut server = self.workshop.python("misbehaving_server.py");
            server.arg(format!("--port={port}")).arg(format!("--test_case={case}"));
            let log = self.workshop.log(&format!("{}-misbehaving-{case}", cell.client.name()));
            let server = Program::serve(server, port, &log).await?;
            let outcome = self.run_case(cell, port, case).await;
            Ok::<_, String>((outcome, server.end().await))
        };
        match played.await {
            Ok((Outcome::Passed, words)) if words.lines().last() == Some("server ok") => Outcome::Passed,
            Ok((Outcome::Passed, words)) => {
                Outcome::Failed(words.lines().last().unwrap_or("the server said nothing").to_owned())
            }
            Ok((outcome, _)) => outcome,
            Err(why) => Outcome::Failed(why),
        }
    }

    fn server(&self, peer: Peer, port: u16, tls: bool) -> Result<Command, String> {
        let mut command = match peer {
            Peer::ConnectEs => return Err("is a client only".into()),
            Peer::Go => self.workshop.go("server"),
            Peer::Java => self.workshop.java(self.certificates.class_path(), "TestServiceServer")?,
            Peer::Misbehaving => return Err("needs a case".into()),
            Peer::Node => self.workshop.node("server.js"),
            Peer::Polywire => self.workshop.ours("interop_server"),
            Peer::Python => self.workshop.python("server.py"),
        };
        command.arg(format!("--port={port}")).arg(format!("--use_tls={tls}"));
        if peer == Peer::Polywire {
            // very_large_request wants more than the default.
            command.arg("--message_bytes_max=16777216");
        }
        if tls && peer != Peer::Java {
            command.arg(format!("--tls_cert_file={}", self.certificates.server().display()));
            command.arg(format!("--tls_key_file={}", self.certificates.server_key().display()));
        }
        Ok(command)
    }

    fn client(&self, cell: &Cell, port: u16, case: &str) -> Result<Command, String> {
        let plain_case = case.starts_with("data_frame") || case.starts_with("no_df");
        let negative = cell.server == Peer::Misbehaving && !plain_case;
        let mut command = match cell.client {
            Peer::ConnectEs => self.workshop.connect_es(),
            Peer::Go if negative => self.workshop.go("http2"),
            Peer::Go => self.workshop.go("client"),
            Peer::Java if negative => self.workshop.java(self.certificates.class_path(), "Http2Client")?,
            Peer::Java => self.workshop.java_cases(self.certificates.class_path())?,
            Peer::Misbehaving => return Err("is a server only".into()),
            Peer::Node => self.workshop.node("client.js"),
            Peer::Polywire => self.workshop.ours("interop_client"),
            Peer::Python => self.workshop.python("client.py"),
        };
        // To everybody but us, padding is an ordinary call against an odd server.
        let case = if plain_case && cell.client != Peer::Polywire { "large_unary" } else { case };
        command.args(["--server_host=127.0.0.1", &format!("--server_port={port}"), &format!("--test_case={case}")]);
        if !(negative && matches!(cell.client, Peer::Go | Peer::Java)) {
            command.arg(format!("--use_tls={}", cell.tls));
        }
        if cell.tls {
            command.args(["--use_test_ca=true", &format!("--server_host_override={SERVER_NAME}")]);
            if cell.client != Peer::Java {
                command.arg(format!("--ca_file={}", self.certificates.authority().display()));
            }
        }
        if case.contains("soak") {
            command.arg(format!("--soak_iterations={SOAK_ITERATIONS}"));
            if matches!(cell.client, Peer::Go | Peer::Java | Peer::Polywire) {
                command
                    .args(["--soak_overall_timeout_seconds=20", "--soak_per_iteration_max_acceptable_latency_ms=2000"]);
            }
        }
        if case.starts_with("orca") && cell.client == Peer::Go {
            command.arg(r#"--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}"#);
        }
        Ok(command)
    }
}

/// All cases of the specification that need nothing but a client and a server.
const CASES: &[&str] = &[
    "empty_unary",
    "large_unary",
    "client_compressed_unary",
    "client_compressed_unary_noprobe",
    "server_compressed_unary",
    "client_streaming",
    "client_compressed_streaming",
    "client_compressed_streaming_noprobe",
    "server_streaming",
    "server_compressed_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
    "very_large_request",
    "pick_first_unary",
    "rpc_soak",
    "channel_soak",
    "orca_per_rpc",
    "orca_oob",
    SCALING_CASE,
];
/// Wants a server that allows two streams at once on a connection.
const SCALING_CASE: &str = "max_concurrent_streams_connection_scaling";
const QUICK_CASES: &[&str] = &["empty_unary", "large_unary", "ping_pong", "custom_metadata", "status_code_and_message"];
/// The eight public negative cases, then ours in the same spirit.
const MISBEHAVING_CASES: &[&str] = &[
    "goaway",
    "rst_after_header",
    "rst_during_data",
    "rst_after_data",
    "ping",
    "max_streams",
    "data_frame_padding",
    "no_df_padding_sanity_test",
    "refused_stream",
    "informational_headers",
    "unknown_frames",
    "no_trailers",
    "no_grpc_status",
    "http_503",
    "truncated_message",
    "two_messages",
    "length_bomb",
    "gzip_bomb",
    "header_flood",
    "push_promise",
    "window_overflow",
    "flow_control_violation",
    "silence",
];
/// How many of them other people's clients know.
const PUBLIC_MISBEHAVING_CASES: usize = 8;
/// One per core.
const CELLS_AT_ONCE: usize = 2;
/// No case needs more than ten seconds (orca_oob, whose reports come once a second).
const CASE_LIMIT: Duration = Duration::from_secs(40);
const SOAK_ITERATIONS: u32 = 20;
