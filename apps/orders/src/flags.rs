//! What may be said on the command line and in the environment. Each flag is declared once, with its help.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use orders::app::Settings;
use orders::service::ShopSettings;
use orders::store::DatabaseUrl;
use polywire::Channel;
use polywire::transport::tls::{CertificateSource, ClientCertificates, ClientTls, Roots, ServerTls};

/// The order system of a small café, on polywire.
///
/// Without flags it listens on 127.0.0.1:8080 in the clear and keeps its orders in ./data/orders.db.
#[derive(Debug, Parser)]
#[command(name = "orders", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Flags {
    /// Where to listen: host:port (port 0 takes a free one) or unix:PATH
    #[arg(long, env = "ORDERS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,

    /// Where to keep everything: sqlite:PATH, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE
    ///
    /// By default a SQLite file in the data directory.
    #[arg(long, env = "ORDERS_DATABASE", value_name = "URL", hide_env_values = true)]
    database: Option<DatabaseUrl>,

    /// The data directory, made if it does not exist; unused with --database or --ephemeral
    #[arg(long, env = "ORDERS_DATA", value_name = "DIRECTORY", default_value = "data")]
    data: PathBuf,

    /// Keep everything in memory and forget it at the end
    #[arg(long, env = "ORDERS_EPHEMERAL", conflicts_with = "database")]
    ephemeral: bool,

    /// Do not fill empty shelves with the catalogue
    #[arg(long, env = "ORDERS_NO_SEED")]
    no_seed: bool,

    /// Use a Stock elsewhere instead of running one: host:port, http://…, https://… or unix:PATH for gRPC
    ///
    /// Other words choose how it is called: connect+, grpc-web+, grpc-web-text+ or rest+ before http://, https:// or h2c://;
    /// native://, native+tls:// or native+unix:PATH; ws:// or wss://.
    #[arg(long, env = "ORDERS_STOCK_TARGET", value_name = "TARGET", help_heading = "Stock")]
    stock_target: Option<String>,

    /// Certificates (PEM) of whom to believe at an https target; by default those the system believes
    #[arg(long, env = "ORDERS_STOCK_CA", value_name = "FILE", requires = "stock_target", help_heading = "Stock")]
    stock_ca: Option<PathBuf>,

    /// How long a call to Stock may take: 500ms, 2s
    #[arg(long, env = "ORDERS_STOCK_TIMEOUT", value_name = "TIME", default_value = "2s", value_parser = time, help_heading = "Stock")]
    stock_timeout: Duration,

    /// How long an order waits for a kitchen before it expires and its goods are given back: 90s, 15m
    #[arg(long, env = "ORDERS_HOLD", value_name = "TIME", default_value = "15m", value_parser = hold, help_heading = "Stock")]
    hold: Duration,

    /// Speak TLS with this certificate chain (PEM); read again when the file changes
    #[arg(long, env = "ORDERS_TLS_CERT", value_name = "FILE", requires = "tls_key", help_heading = "TLS")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key (PEM)
    #[arg(long, env = "ORDERS_TLS_KEY", value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    tls_key: Option<PathBuf>,

    /// Ask callers for a certificate that one of these has issued (PEM)
    #[arg(long, env = "ORDERS_CLIENT_CA", value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    client_ca: Option<PathBuf>,

    /// How logs are written, to standard error
    #[arg(
        long,
        env = "ORDERS_LOG_FORMAT",
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Running"
    )]
    pub(crate) log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, also by module: info,orders::service=debug
    #[arg(long, env = "ORDERS_LOG", default_value = "info", value_name = "FILTER", help_heading = "Running")]
    pub(crate) log: String,

    /// How long calls in progress may take to end after Ctrl-C or SIGTERM: 10s
    #[arg(long, env = "ORDERS_DRAIN_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = time, help_heading = "Running")]
    pub(crate) drain_timeout: Duration,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object a line, for machines
    Json,
    /// For people
    #[default]
    Text,
}

const EXIT_CODES: &str = "Exit codes: 0 ended after draining, 1 could not start, 2 wrong flags, \
     3 could not listen, 130 ended by a second Ctrl-C.";

impl Flags {
    /// What the application is told.
    ///
    /// # Errors
    /// In words, when a flag cannot be made true.
    pub(crate) fn settings(&self) -> Result<Settings, String> {
        let shop = ShopSettings { hold: self.hold, ..ShopSettings::default() };
        let stock = self.stock_target.as_ref().map(|target| self.stock_channel(target)).transpose()?;
        let (stock_timeout, seed) = (self.stock_timeout, !self.no_seed);
        Ok(Settings { stock, stock_timeout, shop, seed, ..Settings::new(self.database_url()) })
    }

    /// The directory that must exist before the database can be opened.
    pub(crate) fn data_directory(&self) -> Option<&Path> {
        (self.database.is_none() && !self.ephemeral).then_some(&self.data)
    }

    /// How to speak TLS, if at all.
    pub(crate) fn tls(&self) -> Option<ServerTls> {
        let (certificate, key) = (self.tls_cert.as_ref()?, self.tls_key.as_ref()?);
        let clients = match &self.client_ca {
            Some(roots) => ClientCertificates::Required(Roots::file(roots)),
            None => ClientCertificates::None,
        };
        Some(ServerTls::new(CertificateSource::files(certificate, key)).client_certificates(clients))
    }

    /// Whether callers have to show a certificate.
    pub(crate) fn asks_for_certificates(&self) -> bool {
        self.client_ca.is_some()
    }

    /// The Stock elsewhere, if there is one.
    pub(crate) fn stock_target(&self) -> Option<&str> {
        self.stock_target.as_deref()
    }

    fn database_url(&self) -> DatabaseUrl {
        match &self.database {
            Some(url) => url.clone(),
            None if self.ephemeral => DatabaseUrl::Memory,
            None => DatabaseUrl::File(self.data.join("orders.db")),
        }
    }

    fn stock_channel(&self, target: &str) -> Result<Channel, String> {
        let mut builder = Channel::builder(target).map_err(|error| format!("--stock-target: {error}"))?;
        if let Some(roots) = &self.stock_ca {
            builder = builder.tls(ClientTls::new(Roots::file(roots)));
        }
        builder.build().map_err(|error| format!("--stock-target: {error}"))
    }
}

/// Reads a length of time: a number with ms, s, m or h behind it.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("expected a number with a unit: 500ms, 2s, 15m or 1h".to_owned()),
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis_per_unit));
    millis
        .filter(|&millis| millis > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| "expected a number above zero".to_owned())
}

/// Reads how long goods are held: Stock holds them for a day at most, and a little longer than this.
fn hold(text: &str) -> Result<Duration, String> {
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(23 * 60 * 60));
    time(text)
        .and_then(|hold| if (least..=most).contains(&hold) { Ok(hold) } else { Err("between 1s and 23h".to_owned()) })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn flags(arguments: &[&str]) -> Result<Flags, clap::Error> {
        Flags::try_parse_from([&["orders"], arguments].concat())
    }

    #[test]
    fn the_flags_are_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn without_flags_orders_are_kept_in_a_file_below_the_current_directory() {
        let flags = flags(&[]).unwrap();
        assert_eq!(flags.settings().unwrap().database, DatabaseUrl::File("data/orders.db".into()));
        assert_eq!(flags.data_directory(), Some(Path::new("data")));
        assert!(flags.tls().is_none());
    }

    #[test]
    fn what_needs_no_directory_makes_none() {
        let memory = flags(&["--ephemeral"]).unwrap();
        assert_eq!((memory.settings().unwrap().database, memory.data_directory()), (DatabaseUrl::Memory, None));
        assert_eq!(flags(&["--database", "postgres://h/db"]).unwrap().data_directory(), None);
    }

    #[test]
    fn flags_that_make_no_sense_together_are_refused() {
        for wrong in [
            &["--ephemeral", "--database", "sqlite:x.db"][..],
            &["--database", "mysql://h/db"],
            &["--tls-cert", "cert.pem"],
            &["--client-ca", "ca.pem"],
            &["--stock-timeout", "2"],
            &["--hold", "2d"],
            &["--hold", "24h"],
            &["--log-format", "xml"],
        ] {
            assert!(flags(wrong).is_err(), "{wrong:?}");
        }
        let target = flags(&["--stock-target", "ftp://h"]).unwrap().settings().unwrap_err();
        assert!(target.starts_with("--stock-target: "), "{target}");
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(time("1500ms"), Ok(Duration::from_millis(1_500)));
        assert_eq!(time("15m"), Ok(Duration::from_secs(900)));
        for wrong in ["", "s", "0s", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(time(wrong).is_err(), "{wrong:?}");
        }
    }
}
